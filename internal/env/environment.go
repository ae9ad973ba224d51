// Package env holds the process environment as one immutable value: ordered,
// free of duplicates, and unable to print what its variables hold.
package env

import (
	"fmt"
	"slices"
	"strings"
)

// Source says where a variable came from.
type Source int

// The sources, as `entrypoint plan` prints them.
const (
	FromEnvironment Source = iota // the container's configuration
	FromDotenv                    // the .env file
	FromFile                      // X_FILE
	FromMode                      // the run mode: APP_RUN_MODE, APP_WORKER_COUNT ...
	Injected                      // for the server's sake: GUNICORN_CMD_ARGS ...
)

func (s Source) String() string {
	switch s {
	case FromEnvironment:
		return "environment"
	case FromDotenv:
		return "dotenv"
	case FromFile:
		return "file"
	case FromMode:
		return "mode"
	case Injected:
		return "injected"
	}
	return fmt.Sprintf("source %d", int(s))
}

// Variable is one name with its value and origin.
type Variable struct {
	Name   string
	Value  Secret
	Source Source
}

// Environment is a set of variables sorted by name. It never changes: With and
// Without return another one. The zero value is empty and ready to use.
type Environment struct{ variables []Variable }

// Parse reads a block as os.Environ returns it. The first of several entries
// of one name counts, as in Go's own os.Getenv. Entries without a name or
// without "=" are dropped; dropped counts them, for a warning: their text may
// be a secret and is not returned.
func Parse(block []string) (e Environment, dropped int) {
	variables := make([]Variable, 0, len(block))
	for _, entry := range block {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			dropped++
			continue
		}
		variables = append(variables, Variable{Name: name, Value: NewSecret(value), Source: FromEnvironment})
	}
	slices.SortStableFunc(variables, byName)
	variables = slices.CompactFunc(variables, func(a, b Variable) bool { return a.Name == b.Name })
	return Environment{variables}, dropped
}

func byName(a, b Variable) int { return strings.Compare(a.Name, b.Name) }

func (e Environment) find(name string) (int, bool) {
	return slices.BinarySearchFunc(e.variables, name, func(v Variable, name string) int {
		return strings.Compare(v.Name, name)
	})
}

// Lookup returns the variable of that name, set to "" or not.
func (e Environment) Lookup(name string) (Variable, bool) {
	if i, ok := e.find(name); ok {
		return e.variables[i], true
	}
	return Variable{}, false
}

// Get returns the value of that name; that of an unset variable is empty, as
// everywhere here: an empty variable is an unset one.
func (e Environment) Get(name string) Secret {
	v, _ := e.Lookup(name)
	return v.Value
}

// Has reports whether the variable is set to something.
func (e Environment) Has(name string) bool { return !e.Get(name).IsEmpty() }

// With returns the environment with these variables set; a later one of the
// same name wins.
func (e Environment) With(variables ...Variable) Environment {
	if len(variables) == 0 {
		return e
	}
	all := slices.Concat(e.variables, variables)
	slices.Reverse(all)
	slices.SortStableFunc(all, byName)
	all = slices.CompactFunc(all, func(a, b Variable) bool { return a.Name == b.Name })
	return Environment{slices.Clip(all)}
}

// Set is With for one value that is not a secret to begin with.
func (e Environment) Set(source Source, name, value string) Environment {
	return e.With(Variable{Name: name, Value: NewSecret(value), Source: source})
}

// Merge returns the environment with those of the variables that it does not
// have yet: a file's under the real ones. One that is set to "" is there, as
// python-dotenv's load_dotenv has it.
func (e Environment) Merge(variables ...Variable) Environment {
	return Environment{}.With(variables...).With(e.variables...)
}

// WithoutOwn returns what the application may see: ENTRYPOINT_* is ours.
func (e Environment) WithoutOwn() Environment {
	return e.Without(func(name string) bool { return strings.HasPrefix(name, "ENTRYPOINT_") })
}

// Without returns the environment less the variables that drop names.
func (e Environment) Without(drop func(name string) bool) Environment {
	return Environment{slices.DeleteFunc(slices.Clone(e.variables), func(v Variable) bool { return drop(v.Name) })}
}

// Variables returns all of them, sorted by name.
func (e Environment) Variables() []Variable { return slices.Clone(e.variables) }

// Names returns the names alone, sorted.
func (e Environment) Names() []string {
	names := make([]string, len(e.variables))
	for i, v := range e.variables {
		names[i] = v.Name
	}
	return names
}

// Len is the number of variables.
func (e Environment) Len() int { return len(e.variables) }

// Block returns name=value strings for execve(2). With Reveal it is the one
// place where plaintext leaves; the caller hands it to a new process and to
// nothing else.
func (e Environment) Block() []string {
	block := make([]string, len(e.variables))
	for i, v := range e.variables {
		block[i] = v.Name + "=" + v.Value.Reveal()
	}
	return block
}

// String names the variables and holds no value.
func (e Environment) String() string {
	return fmt.Sprintf("Environment{%s}", strings.Join(e.Names(), " "))
}

// GoString is String: %#v shall not look inside.
func (e Environment) GoString() string { return e.String() }
