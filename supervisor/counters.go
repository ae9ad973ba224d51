package supervisor

import (
	"maps"
	"sync"

	"github.com/codeontap/entrypoint/internal/command"
)

// ExitKey tells ends apart in the counters.
type ExitKey struct {
	Code   int
	Signal string // "" if it exited
	Reason Reason
}

// SignalKey tells what became of a signal.
type SignalKey struct{ Signal, Action string }

// Counters count over the whole life of the supervisor. The zero value is ready.
type Counters struct {
	mu       sync.Mutex
	starts   uint64
	killed   uint64
	exits    map[ExitKey]uint64
	restarts map[Reason]uint64
	signals  map[SignalKey]uint64
}

// Counts is a copy of the counters.
type Counts struct {
	Starts, KilledAfterGrace uint64
	Exits                    map[ExitKey]uint64
	Restarts                 map[Reason]uint64
	Signals                  map[SignalKey]uint64
}

// Counts reads them.
func (c *Counters) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counts{c.starts, c.killed, maps.Clone(c.exits), maps.Clone(c.restarts), maps.Clone(c.signals)}
}

func (c *Counters) started() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts++
}

func (c *Counters) ended(e Exit, forced bool) {
	key := ExitKey{Code: e.Code, Reason: e.Reason}
	if e.Signal != 0 {
		key.Signal = command.SignalName(e.Signal)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if forced {
		c.killed++
	}
	if c.exits == nil {
		c.exits = map[ExitKey]uint64{}
	}
	c.exits[key]++
}

func (c *Counters) restarted(why Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.restarts == nil {
		c.restarts = map[Reason]uint64{}
	}
	c.restarts[why]++
}

func (c *Counters) signalled(name, action string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signals == nil {
		c.signals = map[SignalKey]uint64{}
	}
	c.signals[SignalKey{name, action}]++
}
