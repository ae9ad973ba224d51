package modes

import "fmt"

// The codes that a plan can end with; main names them all.
const (
	codeUsage         = 64
	codeConfiguration = 78
	codeNotExecutable = 126
	codeNotFound      = 127
)

// Problem is one reason why the plan cannot be carried out.
type Problem struct {
	Name     string // the flag or variable to change; empty where it is neither
	Message  string // never with the value of Name
	FromFlag bool
	Code     int // the exit code: 64, 78, 126 or 127
}

// String is the line for people.
func (p Problem) String() string {
	if p.Name == "" {
		return p.Message
	}
	return "cannot use " + p.Name + ": " + p.Message
}

// fault notes a problem with a setting.
func (p *planner) fault(flag, format string, args ...any) {
	problem := Problem{Name: p.called(flag), Message: fmt.Sprintf(format, args...), Code: codeConfiguration}
	if p.byFlag(flag) {
		problem.FromFlag, problem.Code = true, codeUsage
	}
	p.problems = append(p.problems, problem)
}

// faultAt notes a problem that has a code of its own.
func (p *planner) faultAt(code int, format string, args ...any) {
	p.problems = append(p.problems, Problem{Message: fmt.Sprintf(format, args...), Code: code})
}

func (p *planner) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}
