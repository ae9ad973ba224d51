package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Backoff is the wait before a restart: First, doubled to Cap, with jitter.
type Backoff struct{ First, Cap time.Duration }

func (b Backoff) String() string { return b.First.String() + ".." + b.Cap.String() }

// ParseBackoff reads "500ms..30s"; one duration alone is both ends.
func ParseBackoff(s string) (Backoff, error) {
	wanted := fmt.Errorf("wanted: FIRST..CAP, two durations such as 500ms..30s, the first not above the second")
	first, last, ok := strings.Cut(s, "..")
	if !ok {
		last = first
	}
	b := Backoff{}
	var err error
	if b.First, err = ParseDuration(first); err != nil {
		return Backoff{}, wanted
	}
	if b.Cap, err = ParseDuration(last); err != nil || b.Cap < b.First {
		return Backoff{}, wanted
	}
	return b, nil
}

// GiveUp is the burst limit: the Deaths-th death of a copy within Window is its
// last.
type GiveUp struct {
	Deaths int
	Window time.Duration
}

func (g GiveUp) String() string { return strconv.Itoa(g.Deaths) + "/" + g.Window.String() }

// ParseGiveUp reads "5/60s".
func ParseGiveUp(s string) (GiveUp, error) {
	wanted := fmt.Errorf("wanted: DEATHS/WINDOW, a number from 1 on and a duration, such as 5/60s")
	n, window, ok := strings.Cut(s, "/")
	if !ok {
		return GiveUp{}, wanted
	}
	deaths, err := strconv.ParseUint(n, 10, 31)
	if err != nil || deaths < 1 {
		return GiveUp{}, wanted
	}
	d, err := ParseDuration(window)
	if err != nil || d == 0 {
		return GiveUp{}, wanted
	}
	return GiveUp{int(deaths), d}, nil
}

// ParseDuration reads a duration with its unit, not negative. A bare number is
// refused but for 0: seconds to one reader are milliseconds to another.
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("wanted: a duration with its unit, such as 500ms, 8s or 2m")
	}
	return d, nil
}
