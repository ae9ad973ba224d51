// Package contract knows the variables that an application is promised: which
// belong together, when they are needed, and what may stand in them. It looks
// at an environment and says everything that is wrong with it at once; it
// changes nothing and asks nobody.
package contract

import (
	"strings"

	"github.com/codeontap/entrypoint/internal/env"
)

// Set is the variables of one part that an application can use.
type Set struct {
	Name  string // as `check` and --wait-for call it
	Title string // as people do
	// Always is a set in use whatever is set. Of any other the first variable
	// says whether it is.
	Always    bool
	Variables []Variable
	Remark    string // one sentence for the documentation, or nothing
}

// Variable is one row of the contract.
type Variable struct {
	Name    string
	Kind    Kind
	Choices []string // of Choice
	// Default is what the application takes where the variable is unset. It is
	// the application's to apply: nothing is put into its environment.
	Default  string
	Required bool   // where its set is in use
	Unless   string // a boolean of the same set that lifts Required
	Secret   bool   // worth encrypting
	Meaning  string
}

// Lookup returns the set of that name.
func Lookup(name string) (Set, bool) {
	for _, s := range Sets() {
		if s.Name == name {
			return s, true
		}
	}
	return Set{}, false
}

// Names returns the variables that X_FILE may give: all but APP_* and AWS_*,
// which other programs read by themselves.
func Names() []string {
	var names []string
	for _, s := range Sets() {
		for _, v := range s.Variables {
			if hasFile(v.Name) {
				names = append(names, v.Name)
			}
		}
	}
	return names
}

func hasFile(name string) bool {
	return !strings.HasPrefix(name, "APP_") && !strings.HasPrefix(name, "AWS_")
}

// InUse reports whether the application is to use the set.
func (s Set) InUse(e env.Environment) bool { return s.Always || e.Has(s.Variables[0].Name) }
