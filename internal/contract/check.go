package contract

import (
	"strings"

	"github.com/codeontap/entrypoint/internal/env"
)

// Problem is one thing that is wrong, and `check --json` prints it as it is.
// It never holds a value.
type Problem struct {
	Set      string `json:"set"`
	Variable string `json:"variable"`
	Problem  string `json:"problem"` // what the variable "is": not a port number
	Hint     string `json:"hint"`    // what is wanted, or what to do

	// Warning is a problem that does not keep anything from being run: it may
	// be meant so.
	Warning bool `json:"-"`
}

// String is the problem as one line.
func (p Problem) String() string { return p.Variable + " is " + p.Problem + ": " + p.Hint }

// Facts are what the environment alone does not tell.
type Facts struct {
	// Django says that a manage.py stands in the application directory: only
	// then are the Django set's variables demanded.
	Django bool
	// Ciphertext reports whether a variable is still encrypted: it counts as
	// set, and what stands in it is not looked at. nil is none.
	Ciphertext func(name string) bool
}

// Check returns all that is wrong with the environment, in the order of the
// contract; what may be a typo of a variable's name comes last. It is to be
// called on plaintext, with X_FILE and .env already in e.
func Check(e env.Environment, facts Facts) []Problem {
	encrypted := func(name string) bool { return facts.Ciphertext != nil && facts.Ciphertext(name) }
	sets := Sets()
	problems := []Problem{} // [] in JSON, not null
	for _, s := range sets {
		if !s.InUse(e) {
			continue
		}
		for _, v := range s.Variables {
			value := e.Get(v.Name)
			switch {
			case value.IsEmpty():
				if v.Required && (s.Name != "django" || facts.Django) {
					problems = append(problems, missing(s, v, e, encrypted)...)
				}
			case !encrypted(v.Name):
				problems = append(problems, judge(s, v, value.Reveal())...)
			}
		}
	}
	return append(problems, typos(sets, e)...)
}

// missing is the problem of a required variable that is not set.
func missing(s Set, v Variable, e env.Environment, encrypted func(string) bool) []Problem {
	p := Problem{Set: s.Name, Variable: v.Name, Problem: "required and not set"}
	if v.Unless != "" {
		if lifted, _ := Bool(e.Get(v.Unless).Reveal()); lifted || encrypted(v.Unless) {
			return nil
		}
		p.Problem = "required unless " + v.Unless + " is true"
	}
	switch {
	case s.Always:
		p.Hint = "set it"
	default:
		p.Hint = "set it, or unset " + s.Variables[0].Name + " if the " + s.Title + " set is not in use"
	}
	if hasFile(v.Name) {
		p.Hint += "; " + v.Name + "_FILE may name a file with it"
	}
	return []Problem{p}
}

// judge is the problem with a value, if there is one.
func judge(s Set, v Variable, value string) []Problem {
	if problem, hint := v.wrong(value); problem != "" {
		return []Problem{{Set: s.Name, Variable: v.Name, Problem: problem, Hint: hint}}
	}
	if strings.HasSuffix(value, "\n") { // of whoever encrypted it with echo
		return []Problem{{Set: s.Name, Variable: v.Name, Warning: true,
			Problem: "ending in a line end", Hint: "is it meant? If not, store the value without it"}}
	}
	return nil
}
