package env

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// maxDotenv is what a .env file may be long: one that is longer is another
// file by mistake.
const maxDotenv = 1 << 20

// maxExpanded is how long all its values may be once expanded: execve(2) takes
// no more than 6 MB of arguments and environment whatever the limits are, and a
// thousand lines with one long ${NAME} each would fill the memory.
const maxExpanded = 6 << 20

// Dotenv is what a .env file holds.
type Dotenv struct {
	// Found is false where there is no file, or a folder of that name: not an
	// error but where somebody named the file.
	Found bool
	// Variables in the order of the file, each name once: the last one counts.
	// The caller merges them under the real environment.
	Variables []Variable
	// Warnings are whole lines for a log: what was ignored, and why.
	Warnings []string
}

// ReadDotenv reads a .env file as python-dotenv does, ${NAME} resolved from
// base first, then from the lines before. The error has a line for everything
// that is wrong, with the file, the line's number and the name, and never
// anything of a value. It does not wait for a FIFO's writer.
//
// PATH, LD_* and what says whether and where this file is read are ignored
// with a warning: they come too late here, or are a trap.
func ReadDotenv(path string, base Environment) (Dotenv, error) {
	content, info, err := readPlain(path, maxDotenv)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Dotenv{}, nil
	case errors.Is(err, errFolder): // a virtual environment is often called so
		return Dotenv{Warnings: []string{path + " is ignored: it is a folder"}}, nil
	case errors.Is(err, errNotPlain) && isNull(info):
		return Dotenv{Found: true}, nil
	case errors.Is(err, errTooBig):
		return Dotenv{}, fmt.Errorf("cannot read %s: it is over 1 MB; is it the right file?", path)
	case errors.Is(err, errNotPlain):
		return Dotenv{}, fmt.Errorf("cannot read %s: %w; a plain file is wanted", path, err)
	case errors.Is(err, fs.ErrPermission):
		return Dotenv{}, fmt.Errorf("cannot read %s: user %d may not read it; change its owner or mode", path, os.Geteuid())
	case err != nil:
		return Dotenv{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	d := Dotenv{Found: true}
	if info.Mode().Perm()&0o002 != 0 {
		d.Warnings = append(d.Warnings, path+" may be written by every user of this machine: chmod o-w")
	}
	text, err := plainText(path, content)
	if err != nil {
		return Dotenv{}, err
	}
	variables, warnings, err := readStatements(path, text, base)
	if err != nil {
		return Dotenv{}, err
	}
	d.Variables, d.Warnings = variables, append(d.Warnings, warnings...)
	return d, nil
}

// isNull reports whether it is /dev/null, which is bound over a .env to hide
// it.
func isNull(info fs.FileInfo) bool {
	if info == nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && uint64(stat.Rdev) == unix.Mkdev(1, 3)
}

// plainText is the content without a BOM and with "\n" for every line end, as
// Python's text files are read.
func plainText(path string, content []byte) (string, error) {
	line := func(i int) int { return 1 + bytes.Count(content[:i], []byte("\n")) }
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if i := bytes.IndexByte(content, 0); i >= 0 {
		return "", fmt.Errorf("cannot read %s line %d: it holds a NUL byte; is it a text file in UTF-8?", path, line(i))
	}
	if !utf8.Valid(content) {
		i := 0
		for r, n := utf8.DecodeRune(content); r != utf8.RuneError || n > 1; r, n = utf8.DecodeRune(content[i:]) {
			i += n
		}
		return "", fmt.Errorf("cannot read %s line %d: it is not UTF-8; save the file in that encoding", path, line(i))
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(content)), nil
}

// readStatements is the file's text as variables.
func readStatements(path, text string, base Environment) (variables []Variable, warnings []string, err error) {
	bindings, faults := parseDotenv(text)
	sure := len(faults) == 0       // that a name is one
	values := map[string]binding{} // the last of each name
	lookup := func(name string) (string, bool) {
		if v, ok := base.Lookup(name); ok {
			return v.Value.Reveal(), true
		}
		b, ok := values[name]
		return b.value, ok
	}
	var names []string // in the order of the file
	expanded := 0
	for _, b := range bindings {
		if expanded > maxExpanded {
			faults = append(faults, fault{line: b.line, what: tooMuch})
			break
		}
		switch {
		case isIgnored(b.name):
			warnings = append(warnings, fmt.Sprintf("%s line %d is ignored: %q is taken from the real environment only", path, b.line, b.name))
			continue
		case !b.set: // not named: it may be the second line of a value
			warnings = append(warnings, fmt.Sprintf("%s line %d sets nothing: it has no '='", path, b.line))
		default:
			var ok bool
			if b.value, ok = expand(b.value, lookup, maxEntry-len(b.name)-len("=")); !ok {
				f := fault{line: b.line, what: tooLong}
				if sure && isIdentifier(b.name) {
					f.name = b.name
				}
				faults = append(faults, f)
			}
			expanded += len(b.value)
		}
		if _, again := values[b.name]; !again {
			names = append(names, b.name)
		}
		values[b.name] = b
	}
	for _, name := range names {
		if b := values[name]; b.set {
			variables = append(variables, Variable{Name: name, Value: NewSecret(b.value), Source: FromDotenv})
		}
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return a.line - b.line })
	var errs []error
	for _, f := range faults {
		name := ""
		if f.name != "" {
			name = " (" + f.name + ")"
		}
		errs = append(errs, fmt.Errorf("cannot read %s line %d%s: %s", path, f.line, name, f.what))
	}
	return variables, warnings, errors.Join(errs...)
}

// isIgnored reports whether a file may not set it: what the dynamic linker and
// the search for programs go by is not changed behind the back of who started
// us, and what decides about this file was decided before it was read.
// PYTHONPATH is the application's own and allowed.
func isIgnored(name string) bool {
	switch name {
	case "PATH", "ENTRYPOINT_PLATFORM", "ENTRYPOINT_ENV_FILE":
		return true
	}
	return strings.HasPrefix(name, "LD_")
}
