// Package command describes what is to run, as data: a plan is a list of Specs
// that can be printed, compared and handed to a test. Nothing here acts.
package command

import (
	"fmt"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/env"
)

// Spec is one program and everything the supervisor has to know to keep it
// running: it knows no mode, no server and no cloud beside what stands here.
type Spec struct {
	Name string   // "web", "worker", "task 2", "command": for people and logs
	Argv []string // Argv[0] without a slash is looked up in Env's PATH
	Dir  string   // working directory

	// Env is what every copy gets; PerCopy is set on top of it, with {index}
	// in the value replaced by the copy's index.
	Env     env.Environment
	PerCopy []PerCopy

	Copies   int
	Strategy Strategy
	Why      string // one line: why this strategy, this count, this program

	Bind    []Address // sockets that we hold and every copy inherits from fd 3 on
	Private bool      // each copy gets a unix listener of its own after them (servers that take several)
	// Held, if set, is said once when a copy fails that never was ready: a program
	// that does not take our sockets finds the address in use.
	Held  string
	Asked Address // where an http check asks a program that binds by itself; zero where Bind says it

	Stop  Stages        // the whole of it within Grace
	Grace time.Duration // from the request to stop to the KILL
	Drain time.Duration // part of Grace before the first stage: not ready, still serving

	// Once says that the program's own code is the answer, also after a
	// requested stop: tasks and commands that run to their end.
	Once    bool
	Restart Restart
	Backoff Backoff
	GiveUp  GiveUp
	Timeout time.Duration // ends the command by its stop sequence with code 124; 0 is none

	// Clean are the exit codes that count as 0 after a requested stop.
	Clean []int
	// Fatal are the exit codes that end a copy for good when it was never
	// ready: a second try cannot end otherwise.
	Fatal []int
	// Stale, if set, is a file whose remains of an earlier life make the
	// program end with StaleCode; it is removed once.
	Stale     string
	StaleCode int
	// Unsent are signals that would harm this program and are not passed on.
	Unsent []syscall.Signal

	Ready  Readiness
	Health Health // its check: of every copy where Private is set or the check is a file with {index}, else of the whole
}

// PerCopy is a variable whose value depends on the copy.
type PerCopy struct{ Name, Value string }

// Strategy says who multiplies the program.
type Strategy int

const (
	// Copies: we start it N times.
	Copies Strategy = iota
	// Native: it is started once and told to run N itself.
	Native
)

func (s Strategy) String() string {
	if s == Native {
		return "native"
	}
	return "copies"
}

// ParseStrategy reads "copies" or "native".
func ParseStrategy(s string) (Strategy, error) {
	switch s {
	case "copies":
		return Copies, nil
	case "native":
		return Native, nil
	}
	return 0, fmt.Errorf("wanted: copies or native")
}

// Restart says when an unasked end of a copy is followed by another start.
type Restart int

const (
	Always    Restart = iota // whatever the code
	OnFailure                // 0 is finished, all else is restarted
	Never                    // the code of the command is the code of the whole
)

func (r Restart) String() string {
	switch r {
	case OnFailure:
		return "on-failure"
	case Never:
		return "never"
	}
	return "always"
}

// ParseRestart reads "always", "on-failure" or "never".
func ParseRestart(s string) (Restart, error) {
	switch s {
	case "always":
		return Always, nil
	case "on-failure":
		return OnFailure, nil
	case "never":
		return Never, nil
	}
	return 0, fmt.Errorf("wanted: always, on-failure or never")
}

// Readiness says when a running copy counts as ready: the first of these that
// is set.
type Readiness struct {
	Check bool          // when its health check (Health, or any HTTP answer on the private or shared socket) succeeds
	After time.Duration // when it has been up for so long; 0 is at once
}
