// Package admin is how the running supervisor is asked: four endpoints on the
// admin address and on the control socket, on which it can also be told to
// restart, and the client of that socket. All answers come from a snapshot that
// main hands in; nothing here waits for the application.
package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Status is the supervisor at one moment; its JSON is that of `status --json`.
type Status struct {
	Mode     string    `json:"mode"`
	Platform string    `json:"platform"`
	State    string    `json:"state"` // of the whole
	PID      int       `json:"pid"`   // the supervisor's
	Started  time.Time `json:"started"`
	Copies   []Copy    `json:"copies"`
	Checks   []Check   `json:"checks"`

	Desired int `json:"-"` // copies that there should be
	// Booted says that every first copy was ready once. It stays true.
	Booted bool `json:"-"`
}

// Copy is one copy of the application.
type Copy struct {
	Index    int       `json:"index"`
	PID      int       `json:"pid"` // 0 while no process of it lives
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	LastExit *Exit     `json:"last_exit,omitempty"`
}

// Exit is how a copy's last life ended.
type Exit struct {
	Code   int    `json:"code"`   // 128+n for a signal n
	Signal string `json:"signal"` // without SIG; empty if it exited by itself
	Reason string `json:"reason"`
}

// Check is a health check's latest result. One that has not come to a result is
// not up.
type Check struct {
	Name  string `json:"name"`
	Up    bool   `json:"up"`
	Error string `json:"error,omitempty"` // of its last look, in a few words
}

// MarshalJSON writes times in UTC by the second, and lists that are empty as
// such, not as null.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	p := plain(s)
	p.Started = seconds(p.Started)
	p.Copies = make([]Copy, len(s.Copies))
	for i, c := range s.Copies {
		c.Since = seconds(c.Since)
		p.Copies[i] = c
	}
	p.Checks = append([]Check{}, s.Checks...)
	return json.Marshal(p)
}

func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// ready counts the copies that are.
func (s Status) ready() int {
	n := 0
	for _, c := range s.Copies {
		if c.State == "ready" {
			n++
		}
	}
	return n
}

// Answer is what an endpoint says; its JSON is the body.
type Answer struct {
	OK     bool   `json:"-"` // 200, not 503
	State  string `json:"state"`
	Copies struct {
		Desired int `json:"desired"`
		Ready   int `json:"ready"`
	} `json:"copies"`
	Checks  []CheckUp `json:"checks"`
	Reasons []string  `json:"reasons"` // why not; empty where OK
}

// CheckUp is a check as the endpoints name it.
type CheckUp struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
}

// String is one line for people and for Docker's health log.
func (a Answer) String() string {
	line := fmt.Sprintf("%s: %d of %d copies ready", a.State, a.Copies.Ready, a.Copies.Desired)
	if len(a.Reasons) > 0 {
		line += "; " + strings.Join(a.Reasons, "; ")
	}
	return printable(line)
}

// The endpoints' paths.
const (
	Livez    = "/livez"    // the supervisor itself
	Readyz   = "/readyz"   // whether to send traffic
	Startupz = "/startupz" // whether every first copy was ready once
	metricz  = "/metrics"
	statusz  = "/status"
	restartz = "/restart"
)

// answer decides what the endpoint of that path says.
func answer(path string, s Status) Answer {
	a := Answer{State: s.State, Checks: make([]CheckUp, len(s.Checks)), Reasons: []string{}}
	a.Copies.Desired, a.Copies.Ready = s.Desired, s.ready()
	for i, c := range s.Checks {
		a.Checks[i] = CheckUp{c.Name, c.Up}
	}
	switch path {
	case Readyz:
		a.Reasons = append(a.Reasons, unready(s, a.Copies.Ready)...)
	case Startupz:
		if !s.Booted {
			a.Reasons = append(a.Reasons, unbooted(s))
		}
	}
	a.OK = len(a.Reasons) == 0
	return a
}

func unready(s Status, ready int) (reasons []string) {
	switch {
	case s.State == "draining" || s.State == "stopping":
		reasons = append(reasons, "it is "+s.State)
	case !s.Booted:
		reasons = append(reasons, unbooted(s))
	}
	if ready == 0 {
		reasons = append(reasons, "no copy is ready")
	}
	for _, c := range s.Checks {
		switch {
		case c.Up:
		case c.Error == "":
			reasons = append(reasons, "the check "+c.Name+" has no result yet")
		default:
			reasons = append(reasons, "the check "+c.Name+" fails: "+c.Error)
		}
	}
	return reasons
}

func unbooted(s Status) string {
	switch s.State {
	case "decrypting", "waiting", "initialising":
		return "it is " + s.State
	}
	return "not every first copy was ready yet"
}
