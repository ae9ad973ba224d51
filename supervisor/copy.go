package supervisor

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// Probe watches one life and tells what it finds: ready or not, and why it is to
// be replaced. It runs until ctx ends. Of the life it may use Private and Holds
// alone; the rest is the copy's own.
type Probe func(ctx context.Context, spec command.Spec, index int, life Life, ready func(bool), replace func(reason string))

// parts are the things that a copy works with; they are the seams of its tests.
type parts struct {
	launch Launcher
	probe  Probe        // nil: readiness is a matter of time
	memory *memoryKills // nil: not known
	turn   *turn
	held   *sync.Once // for what is said once of the sockets that we hold
	log    *slog.Logger
	jitter func() float64
	// before is called just before each start, after Starting was reported;
	// report after each change and at the end of each life. They may not block.
	before func(*Copy) error
	report func(*Copy, State, Exit, verdict)
}

// The words of a copy's trial: in a rolling restart the first death of a new
// copy is its last, until it has been accepted.
const (
	regular int32 = iota
	onTrial
	rejected
)

// Copy is one of a group's N. One goroutine, run, owns its state; the rest of
// the program reads what it reported and asks through channels.
type Copy struct {
	parts
	spec  command.Spec
	index int
	name  string

	signals chan syscall.Signal
	stop    chan struct{} // closed: run the stop stages
	kill    chan struct{} // closed: no more stages
	settled chan struct{} // closed when it is known whether its first life becomes ready
	done    chan struct{} // closed when run has returned

	stopOnce, killOnce, settleOnce sync.Once

	trial atomic.Int32

	// Owned by run, handed out by report.
	state   State
	pid     int
	history history
	cleaned bool // the stale file was removed, and it was not ready since
	forced  bool // KILL was needed to end this life
	killed  bool // and that after a requested stop
}

func newCopy(spec command.Spec, index int, p parts) *Copy {
	return &Copy{
		parts: p, spec: spec, index: index, name: copyName(spec, index),
		signals: make(chan syscall.Signal, 64),
		stop:    make(chan struct{}),
		kill:    make(chan struct{}),
		settled: make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// copyName is what people read: web.0, or web where there is one only.
func copyName(spec command.Spec, index int) string {
	if spec.Copies > 1 {
		return spec.Name + "." + itoa(index)
	}
	return spec.Name
}

// Stop asks for the stop stages, Kill for the last of them at once. Neither
// blocks; done tells the end.
func (c *Copy) Stop() { c.stopOnce.Do(func() { close(c.stop) }) }

// Kill ends the copy without further patience.
func (c *Copy) Kill() {
	c.Stop()
	c.killOnce.Do(func() { close(c.kill) })
}

func (c *Copy) enter(s State) { c.enterWith(s, Exit{}, verdict{}) }

func (c *Copy) enterWith(s State, exit Exit, v verdict) {
	c.state = s
	if s == Ready || s.over() {
		c.turn.pass(c)
	}
	c.report(c, s, exit, v)
	if s == Ready || s == Backoff || s.over() {
		c.settleOnce.Do(func() { close(c.settled) })
	}
}

func (c *Copy) asked() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// run is the copy's life, or lives. It returns when the copy is over.
func (c *Copy) run() {
	defer close(c.done)
	for {
		if c.asked() {
			c.enter(Stopped)
			return
		}
		c.enter(Starting)
		began := time.Now()
		c.forced = false
		exit, wasReady := c.once()
		if c.asked() {
			c.enterWith(Stopped, exit, verdict{next: Stopped})
			c.farewell(exit)
			return
		}
		v := c.follow(exit, wasReady, time.Since(began))
		c.enterWith(v.next, exit, v)
		c.explain(exit, v)
		if v.next.over() {
			return
		}
		if !c.pause(v.wait) {
			c.enter(Stopped)
			return
		}
	}
}

// follow decides what comes after an unasked end.
func (c *Copy) follow(exit Exit, wasReady bool, lived time.Duration) verdict {
	if wasReady {
		c.cleaned = false
	}
	if c.removeStale(exit) {
		return verdict{next: Backoff, why: "its stale file was removed"}
	}
	return c.history.judge(c.spec, death{
		exit: exit, lived: lived, wasReady: wasReady, now: time.Now(),
		trial: c.trial.CompareAndSwap(onTrial, rejected),
	}, c.jitter())
}

// removeStale removes the file that an earlier life has left behind, where the
// exit code says that it is in the way. Once: if the program goes on to complain,
// the file is not what is wrong.
func (c *Copy) removeStale(exit Exit) bool {
	if c.spec.Stale == "" || exit.Reason != ByExit || exit.Code != c.spec.StaleCode || c.cleaned {
		return false
	}
	path := c.spec.Stale
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.spec.Dir, path)
	}
	switch err := os.Remove(path); {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case err != nil:
		c.log.Warn("cannot remove the stale file of "+c.name, "file", path, "error", err)
		return false
	}
	c.cleaned = true
	c.log.Warn("removed a stale file that kept "+c.name+" from starting", "file", path)
	return true
}

func (c *Copy) explain(exit Exit, v verdict) {
	switch {
	case v.next == Stopped:
		c.log.Info(c.name + " has finished: " + exit.String())
	case v.next == Failed && c.spec.Once:
		c.log.Error(c.name + " failed: " + exit.String())
	case v.next == Failed && c.trial.Load() == rejected:
		c.log.Error("the new " + c.name + " failed: " + exit.String())
	case v.next == Failed:
		c.log.Error(c.name + " is given up: " + exit.String() + "; " + v.why)
	default:
		c.log.Warn(c.name+" ended: "+exit.String()+"; it is started again", "in", v.wait.Round(time.Millisecond))
	}
	if v.next != Stopped {
		for _, line := range exit.Output {
			c.log.Warn(c.name + " last wrote: " + line)
		}
	}
	if c.spec.Held != "" && !c.history.served && exit.Reason == ByExit && exit.Code != 0 {
		c.held.Do(func() { c.log.Warn(c.spec.Held) })
	}
}

// farewell is the word on an end that was asked for. A server that ends with a
// code that is not known to be clean may have lost something; for what runs once
// the code speaks for itself.
func (c *Copy) farewell(exit Exit) {
	if c.spec.Once || exit.Reason == ByKill || c.clean(exit) {
		c.log.Info(c.name + " stopped: " + exit.String())
		return
	}
	c.log.Warn(c.name + " stopped, but not cleanly: " + exit.String())
}

func (c *Copy) clean(exit Exit) bool {
	if exit.Code == 0 || slices.Contains(c.spec.Clean, exit.Code) {
		return true
	}
	return slices.ContainsFunc(c.spec.Stop, func(s command.Stage) bool { return exit.Code == 128+int(s.Signal) })
}

// pause waits before the next start; a stop ends it at once, and then it
// reports false. A signal that finds nobody is not kept for the next life.
func (c *Copy) pause(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			for len(c.signals) > 0 {
				<-c.signals
			}
			return true
		case <-c.stop:
			return false
		case <-c.signals:
		}
	}
}

// once is one life, from the fork to the last process of the group.
func (c *Copy) once() (exit Exit, wasReady bool) {
	if err := c.before(c); err != nil {
		return exitOfError(err), false
	}
	c.memory.began()
	life, err := c.launch.Launch(c.spec, c.index)
	if err != nil {
		return exitOfError(err), false
	}
	c.pid = life.PID()
	c.enter(Running)
	c.log.Info(c.name+" started", "pid", c.pid)
	exit, wasReady = c.live(life)
	exit.Output = life.Close()
	main, other := c.memory.ended(exit)
	if main {
		exit.Reason = ByOOM
	}
	if other {
		c.log.Warn("a process of the container was killed for memory (its limit) while " + c.name + " ran")
	}
	return exit, wasReady
}

func (c *Copy) live(life Life) (exit Exit, wasReady bool) {
	ctx, cancel := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	// Channels of this life alone: the word on one life says nothing of the next.
	seen := sight{ready: make(chan bool, 1), replace: make(chan string, 1)}
	var after <-chan time.Time
	switch {
	case c.spec.Ready.Check && c.probe != nil:
		watch.Go(func() { c.probe(ctx, c.spec, c.index, life, seen.tellReady, seen.askReplace) })
	case c.spec.Ready.After > 0:
		timer := time.NewTimer(c.spec.Ready.After)
		defer timer.Stop()
		after = timer.C
	default:
		wasReady = true
		c.enter(Ready)
	}
	var unwell string              // why it has to be replaced, when it is its turn
	var mayReplace <-chan struct{} // closed when it may be
	for {
		if unwell != "" {
			granted, later := c.turn.take(c)
			if granted {
				c.enter(Stopping)
				c.log.Warn(c.name + " is replaced: " + unwell)
				exit = c.end(life)
				exit.Reason = Unhealthy
				return exit, wasReady
			}
			mayReplace = later
		}
		select {
		case <-life.Ended():
			status := life.Status()
			if status.Exited() && status.ExitStatus() == 0 && life.Adopt() {
				c.pid = life.PID()
				c.enter(c.state)
				c.log.Info(c.name+" has started its server in the background, which is the main process now", "pid", c.pid)
				continue
			}
			exit = exitOf(status)
			select {
			case <-life.Empty():
			default:
				c.enter(Stopping)
				c.end(life)
			}
			return exit, wasReady
		case <-after:
			wasReady = true
			c.becomeReady(true)
		case ready := <-seen.ready:
			wasReady = wasReady || ready
			if ready {
				unwell, mayReplace = "", nil
			}
			c.becomeReady(ready)
		case unwell = <-seen.replace:
		case <-mayReplace:
		case s := <-c.signals:
			c.pass(life, s)
		case <-c.stop:
			c.enter(Stopping)
			return c.end(life), wasReady
		}
	}
}

func (c *Copy) becomeReady(ready bool) {
	switch {
	case ready && c.state == Running:
		c.enter(Ready)
		c.log.Info(c.name + " is ready")
	case !ready && c.state == Ready:
		c.enter(Running)
		c.log.Warn(c.name + " is not ready any more")
	}
}

func (c *Copy) pass(life Life, s syscall.Signal) {
	if err := life.Signal(s); err != nil && err != syscall.ESRCH { // ESRCH: it has just ended
		c.log.Warn("cannot signal "+c.name, "signal", command.SignalName(s), "error", err)
	}
}

// sight is what a probe has seen of one life.
type sight struct {
	ready   chan bool
	replace chan string
}

// tellReady keeps the latest word if the last was not read yet.
func (s sight) tellReady(ready bool) {
	for {
		select {
		case s.ready <- ready:
			return
		default:
		}
		select {
		case <-s.ready:
		default:
		}
	}
}

func (s sight) askReplace(reason string) {
	select {
	case s.replace <- reason:
	default: // asked already
	}
}

// named is a list for the log that a fork bomb cannot make long.
func named(processes []string) string {
	const most = 8
	if len(processes) <= most {
		return strings.Join(processes, ", ")
	}
	return strings.Join(processes[:most], ", ") + " and " + itoa(len(processes)-most) + " more"
}
