// Package supervisor keeps programs running: N copies of each as one group,
// every copy a state machine that one goroutine owns, one group after the other.
// It knows no run mode, no cloud and no command line; what it does is written in
// the command.Spec.
package supervisor

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// CodeTimeout is timeout(1)'s code for a command that took too long.
const CodeTimeout = 124

// CodeStoppedEarly is the code of a stop before anything ran: 128 + TERM.
const CodeStoppedEarly = 143

// Config is what a Supervisor needs. Launcher and Log are required.
type Config struct {
	Launcher Launcher
	Sockets  Sockets       // shared by the copies that Bind; may be nil
	Probe    Probe         // may be nil
	OOMKills func() uint64 // may be nil
	Log      *slog.Logger
}

// Supervisor runs programs, one after the other. Its methods may be called from
// any goroutine; one Run after the other.
type Supervisor struct {
	config   Config
	counters Counters
	memory   *memoryKills

	mu       sync.Mutex
	current  *group
	stops    int
	stopping chan struct{} // closed with the first request to stop
	askedAt  time.Time     // of that one
	timeout  bool
}

// New makes a supervisor that has started nothing yet.
func New(c Config) *Supervisor {
	return &Supervisor{config: c, memory: newMemoryKills(c.OOMKills), stopping: make(chan struct{})}
}

// Stopping is closed with the first request to stop: whatever is prepared before
// Run ends then.
func (s *Supervisor) Stopping() <-chan struct{} { return s.stopping }

// Run runs the programs in order and returns when the last has ended, or the
// first has failed. The timeout is for all of them together; 0 is none.
func (s *Supervisor) Run(specs []command.Spec, timeout time.Duration) Outcome {
	if timeout > 0 {
		defer time.AfterFunc(timeout, s.expire).Stop()
	}
	outcome := Outcome{Why: "nothing to do"}
	for _, spec := range specs {
		g := s.begin(spec)
		if g == nil {
			outcome = Outcome{Code: CodeStoppedEarly, Why: "stopped before " + spec.Name + " ran", Stopped: true}
			if s.expired() {
				outcome.Code, outcome.Why = CodeTimeout, "there was no time left for "+spec.Name+" in the timeout of "+timeout.String()
			}
			return outcome
		}
		outcome = g.run()
		if outcome.Stopped && s.expired() {
			outcome.Code, outcome.Why = CodeTimeout, spec.Name+" took longer than the timeout of "+timeout.String()
		}
		if outcome.Code != 0 || outcome.Stopped {
			break
		}
	}
	return outcome
}

// begin makes the next group, unless a stop has come first.
func (s *Supervisor) begin(spec command.Spec) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stops > 0 {
		return nil
	}
	var sockets Sockets
	if len(spec.Bind) > 0 {
		sockets = s.config.Sockets
	}
	s.current = newGroup(spec, parts{
		launch: s.config.Launcher, probe: s.config.Probe, memory: s.memory,
		log: s.config.Log, jitter: jitter,
	}, sockets, &s.counters)
	return s.current
}

func (s *Supervisor) expire() {
	s.mu.Lock()
	s.timeout = s.stops == 0
	s.mu.Unlock()
	s.Stop()
}

func (s *Supervisor) expired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timeout
}

// Stop asks for the stop sequence; asked a second time it skips the drain, a
// third time it kills. It does not block.
func (s *Supervisor) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops++
	if s.stops == 1 {
		s.askedAt = time.Now()
		close(s.stopping)
	}
	if s.current != nil {
		s.current.stop()
	}
}

// Signal passes a signal on to the main process of every copy.
func (s *Supervisor) Signal(sig syscall.Signal) {
	s.mu.Lock()
	g := s.current
	s.mu.Unlock()
	name := command.SignalName(sig)
	if g == nil {
		s.counters.signalled(name, "nobody")
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.Contains(g.spec.Unsent, sig) {
		s.config.Log.Warn("signal not passed on: it would take this program out of our hands", "signal", name)
		s.counters.signalled(name, "withheld")
		return
	}
	s.counters.signalled(name, "forwarded")
	for _, c := range g.copies() {
		select {
		case c.signals <- sig:
		default: // as the kernel does with a signal that is pending already
		}
	}
}

// Restart replaces the copies of what runs now by those of fresh, one after the
// other, and returns when all are replaced, or says which was not.
func (s *Supervisor) Restart(fresh command.Spec) error {
	s.mu.Lock()
	g := s.current
	s.mu.Unlock()
	if g == nil {
		return errors.New("nothing runs yet")
	}
	return g.restart(fresh)
}

// Counts reads the counters.
func (s *Supervisor) Counts() Counts { return s.counters.Counts() }

// Status is what is known of the copies now.
type Status struct {
	Name     string // of the program that runs, "" before the first
	Once     bool
	Desired  int
	Copies   []CopyStatus
	Started  bool // every copy was ready once
	Draining bool
	Stopping bool

	ReadyAt   time.Time // when every copy had been ready once; zero before
	StopAsked time.Time // the first request to stop; zero before
}

// Ready counts the copies that serve.
func (s Status) Ready() int {
	n := 0
	for _, c := range s.Copies {
		if c.State == Ready {
			n++
		}
	}
	return n
}

// Status reads it; it never blocks on a copy.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	g := s.current
	status := Status{Stopping: s.stops > 0, StopAsked: s.askedAt}
	s.mu.Unlock()
	if g == nil {
		return status
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	status.Name, status.Once, status.Desired, status.Draining = g.spec.Name, g.spec.Once, len(g.slots), g.draining
	status.Started, status.ReadyAt = !slices.Contains(g.wasReady, false), g.readyAt
	for _, p := range g.slots {
		c := p.status
		c.LastExit = p.last
		status.Copies = append(status.Copies, c)
	}
	return status
}
