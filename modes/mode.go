package modes

import (
	"errors"
	"slices"
	"strings"
)

// Mode is what the container does, in upper case: one of the four below, or the
// name of a script.
type Mode string

// The modes that have a command of their own.
const (
	WEB    Mode = "WEB"
	TASK   Mode = "TASK"
	WORKER Mode = "WORKER"
	BEAT   Mode = "BEAT"
)

// builtin returns the modes that need no script, in the order of their names.
func builtin() []Mode { return []Mode{BEAT, TASK, WEB, WORKER} }

func (m Mode) String() string { return string(m) }

// lower is the mode as scripts and logs write it.
func (m Mode) lower() string { return strings.ToLower(string(m)) }

// ParseMode reads a mode in any case. Its letters are those of a file name: a
// slash would lead out of the application's directory.
func ParseMode(s string) (Mode, error) {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
		if !letter {
			s = ""
			break
		}
	}
	if s == "" {
		return "", errors.New("wanted: WEB, TASK, WORKER, BEAT, or NAME of a container-NAME.sh; letters, digits, _ and - only")
	}
	return Mode(strings.ToUpper(s)), nil
}

// known lists the modes there are: the four, and the scripts'.
func known(scripts []string) []Mode {
	modes := builtin()
	for _, name := range scripts {
		if m, ok := scriptMode(name); ok && !slices.Contains(modes, m) {
			modes = append(modes, m)
		}
	}
	slices.Sort(modes)
	return modes
}
