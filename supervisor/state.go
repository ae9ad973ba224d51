package supervisor

import "fmt"

// State is where a copy stands.
type State int

// The states of a copy, and what brings it there.
const (
	Waiting  State = iota // nothing forked yet
	Starting              // about to be forked
	Running               // forked, not ready yet, or not ready any more
	Ready                 // serves
	Stopping              // its group is being ended, asked for or to clean up
	Backoff               // ended, to be started again after a wait
	Stopped               // ended for good, as asked or finished
	Failed                // ended for good, given up
)

var stateNames = [...]string{"waiting", "starting", "running", "ready", "stopping", "backoff", "stopped", "failed"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", int(s))
	}
	return stateNames[s]
}

// States lists all of them, in order.
func States() []State {
	all := make([]State, len(stateNames))
	for i := range all {
		all[i] = State(i)
	}
	return all
}

// transitions is the table that every copy keeps to.
var transitions = map[State][]State{
	Waiting:  {Starting, Stopped},
	Starting: {Running, Backoff, Failed, Stopped}, // the fork may fail, a stop may have come first
	Running:  {Ready, Stopping, Backoff, Stopped, Failed},
	Ready:    {Running, Stopping, Backoff, Stopped, Failed},
	Stopping: {Backoff, Stopped, Failed},
	Backoff:  {Starting, Stopped},
	Stopped:  {},
	Failed:   {},
}

// alive reports whether a process of the copy may exist.
func (s State) alive() bool { return s == Running || s == Ready || s == Stopping }

// over reports whether the copy has ended for good.
func (s State) over() bool { return s == Stopped || s == Failed }
