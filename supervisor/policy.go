package supervisor

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/reap"
)

// healthyAfter is how long a life must last for the backoff to begin anew.
const healthyAfter = time.Minute

// verdict is what follows an unasked end of a copy.
type verdict struct {
	next State // Backoff, Stopped or Failed
	wait time.Duration
	why  string
}

// history is what the policy remembers of a copy.
type history struct {
	deaths []time.Time // within the give-up window
	steps  int         // doublings of the backoff so far
	served bool        // one of its lives was ready
}

// death is one unasked end.
type death struct {
	exit     Exit
	lived    time.Duration
	wasReady bool
	now      time.Time
	trial    bool // a new release on trial in a rolling restart: no second try
}

// judge decides by the spec's restart rule, its give-up limit and its backoff.
// jitter is a number from 0 up to 1: the wait is between half and all of the
// step, so that copies that died together do not come back together.
func (h *history) judge(spec command.Spec, d death, jitter float64) verdict {
	h.served = h.served || d.wasReady
	switch {
	case d.trial:
		return verdict{next: Failed, why: "it is on trial"}
	case spec.Restart != command.Always && d.exit.Code == 0 && d.exit.Reason != Unhealthy: // asked by us, its 0 says nothing
		return verdict{next: Stopped, why: "finished"}
	case spec.Restart == command.Never:
		return verdict{next: Failed, why: "it is not to be restarted"}
	case (d.exit.Reason == NotStarted || d.exit.Reason == ByExit) && (d.exit.Code == reap.CodeNotExecutable || d.exit.Code == reap.CodeNotFound):
		return verdict{next: Failed, why: "a second try would end the same way"}
	case !h.served && d.exit.Reason == ByExit && slices.Contains(spec.Fatal, d.exit.Code):
		return verdict{next: Failed, why: "it was never ready, and this code says that a second try would end the same way"}
	}
	if d.lived >= healthyAfter {
		h.steps = 0
	}
	if d.exit.Reason != NotStarted { // the kernel had no room: nothing lived that could die
		h.deaths = append(h.deaths, d.now)
	}
	h.deaths = slices.DeleteFunc(h.deaths, func(t time.Time) bool { return d.now.Sub(t) >= spec.GiveUp.Window })
	if len(h.deaths) >= spec.GiveUp.Deaths {
		return verdict{next: Failed, why: "deaths within the limit of " + spec.GiveUp.String()}
	}
	wait := backoff(spec.Backoff, h.steps)
	h.steps++
	return verdict{next: Backoff, wait: wait - time.Duration(jitter*float64(wait)/2)}
}

// backoff is the step without jitter.
func backoff(b command.Backoff, steps int) time.Duration {
	wait := b.First
	if wait == 0 && steps > 0 {
		wait = 50 * time.Millisecond // "0s..1s": at once, then doubling from here
		steps--
	}
	for range steps {
		if wait >= b.Cap/2 {
			return b.Cap
		}
		wait *= 2
	}
	return min(wait, b.Cap)
}

func jitter() float64 { return rand.Float64() }
