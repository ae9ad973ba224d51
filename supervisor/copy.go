package supervisor

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// lastKill bounds the wait after KILL: a process in an uninterruptible sleep
// does not die of it, and the container must end all the same.
const lastKill = time.Second

// survivorsEvery is how often the log names who is still there during a stop.
const survivorsEvery = 2 * time.Second

// Probe watches one life and tells what it finds: ready or not, and to replace
// it. It runs until ctx ends.
type Probe func(ctx context.Context, spec command.Spec, index int, life Life, ready func(bool), replace func(reason string))

// parts are the things that a copy works with; they are the seams of its tests.
type parts struct {
	launch   Launcher
	probe    Probe         // nil: readiness is a matter of time
	oomKills func() uint64 // the cgroup's count; nil: not known
	log      *slog.Logger
	jitter   func() float64
	// before is called just before each start, after each change and at the
	// end of each life. They may not block.
	before func(*Copy) error
	report func(*Copy, State, Exit, verdict)
}

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
	ready   chan bool
	replace chan string
	settled chan struct{} // closed when it is known whether its first life becomes ready
	done    chan struct{} // closed when run has returned

	stopOnce, killOnce, settleOnce sync.Once

	// Owned by run, handed out by report.
	state   State
	pid     int
	history history
	killed  bool // KILL was needed after a requested stop

	trial atomic.Bool // on trial in a rolling restart: its first death is its last
}

func newCopy(spec command.Spec, index int, p parts) *Copy {
	name := spec.Name
	if spec.Copies > 1 {
		name += "." + itoa(index)
	}
	return &Copy{
		parts: p, spec: spec, index: index, name: name,
		signals: make(chan syscall.Signal, 64),
		stop:    make(chan struct{}),
		kill:    make(chan struct{}),
		ready:   make(chan bool, 1),
		replace: make(chan string, 1),
		settled: make(chan struct{}),
		done:    make(chan struct{}),
	}
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
		exit, wasReady := c.once()
		if c.asked() && exit.Reason != NotStarted {
			c.enterWith(Stopped, exit, verdict{next: Stopped})
			return
		}
		v := c.history.judge(c.spec, death{
			exit: exit, lived: time.Since(began), wasReady: wasReady, now: time.Now(), trial: c.trial.Load(),
		}, c.jitter())
		c.enterWith(v.next, exit, v)
		c.explain(exit, v)
		if v.next.over() {
			return
		}
		// A signal that finds nobody is not kept for the next life.
		if !c.pause(v.wait) {
			c.enter(Stopped)
			return
		}
	}
}

func (c *Copy) explain(exit Exit, v verdict) {
	switch {
	case v.next == Stopped:
		c.log.Info(c.name + " has finished: " + exit.String())
	case v.next == Failed && c.spec.Once:
		c.log.Error(c.name + " failed: " + exit.String())
	case v.next == Failed:
		c.log.Error(c.name + " is given up: " + exit.String() + "; " + v.why)
	default:
		c.log.Warn(c.name+" ended: "+exit.String()+"; it is started again", "in", v.wait.Round(time.Millisecond))
	}
}

// pause waits before the next start; a stop ends it at once, and then it
// reports false.
func (c *Copy) pause(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case <-c.stop:
			return false
		case <-c.signals:
		case <-c.ready:
		case <-c.replace:
		}
	}
}

// once is one life, from the fork to the last process of the group.
func (c *Copy) once() (exit Exit, wasReady bool) {
	if err := c.before(c); err != nil {
		return exitOfError(err), false
	}
	var oomBefore uint64
	if c.oomKills != nil {
		oomBefore = c.oomKills()
	}
	life, err := c.launch.Launch(c.spec, c.index)
	if err != nil {
		return exitOfError(err), false
	}
	defer life.Close()
	c.pid = life.PID()
	c.log.Info(c.name+" started", "pid", c.pid)
	c.enter(Running)
	exit, wasReady = c.live(life)
	if c.oomKills != nil && c.oomKills() > oomBefore {
		if exit.Signal == syscall.SIGKILL && exit.Reason == BySignal {
			exit.Reason = ByOOM
		} else {
			c.log.Warn(c.name + " or a process of it was killed for memory (the container's limit)")
		}
	}
	return exit, wasReady
}

func (c *Copy) live(life Life) (exit Exit, wasReady bool) {
	ctx, cancel := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	var after <-chan time.Time
	switch {
	case c.spec.Ready.Check && c.probe != nil:
		watch.Go(func() { c.probe(ctx, c.spec, c.index, life, c.tellReady, c.askReplace) })
	case c.spec.Ready.After > 0:
		timer := time.NewTimer(c.spec.Ready.After)
		defer timer.Stop()
		after = timer.C
	default:
		wasReady = true
		c.enter(Ready)
	}
	for {
		select {
		case <-life.Ended():
			status := life.Status()
			if status.Exited() && status.ExitStatus() == 0 && life.Adopt() {
				c.pid = life.PID()
				c.log.Info(c.name+" has started its server in the background, which is the main process now", "pid", c.pid)
				c.enter(c.state)
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
		case ready := <-c.ready:
			wasReady = wasReady || ready
			c.becomeReady(ready)
		case reason := <-c.replace:
			c.log.Warn(c.name + " is replaced: " + reason)
			c.enter(Stopping)
			exit = c.end(life)
			exit.Reason = Unhealthy
			return exit, wasReady
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
		c.log.Info(c.name + " is ready")
		c.enter(Ready)
	case !ready && c.state == Ready:
		c.log.Warn(c.name + " is not ready any more")
		c.enter(Running)
	}
}

// tellReady keeps the latest word if the last was not read yet.
func (c *Copy) tellReady(ready bool) {
	for {
		select {
		case c.ready <- ready:
			return
		default:
		}
		select {
		case <-c.ready:
		default:
		}
	}
}

func (c *Copy) askReplace(reason string) {
	select {
	case c.replace <- reason:
	default: // asked already
	}
}

func (c *Copy) pass(life Life, s syscall.Signal) {
	if err := life.Signal(s); err != nil && err != syscall.ESRCH { // ESRCH: it has just ended
		c.log.Warn("cannot signal "+c.name, "signal", command.SignalName(s), "error", err)
	}
}

// end runs the stop stages until the group is empty. Every signal goes to the
// main process alone (a TERM to celery's whole group kills its running tasks);
// where the main process has ended and others live on, the oldest of them is the
// main one. KILL goes to the group.
func (c *Copy) end(life Life) (exit Exit) {
	ended := life.Ended()
	survivors := time.NewTicker(survivorsEvery)
	defer survivors.Stop()
	known := false
	last := func() Exit {
		select {
		case <-life.Ended():
			if !known {
				exit = exitOf(life.Status())
			}
		default:
		}
		if exit.Reason != ByKill {
			exit.Reason = ByStop
		}
		return exit
	}
	for i, stage := range c.spec.Stop {
		if stage.Signal == syscall.SIGKILL {
			break
		}
		c.pass(life, stage.Signal)
		if i == 0 {
			c.pass(life, syscall.SIGCONT) // a stopped process never sees TERM
		}
		timer := time.NewTimer(stage.Wait)
		for waiting := true; waiting; {
			select {
			case <-life.Empty():
				timer.Stop()
				return last()
			case <-ended:
				if !known {
					exit, known = exitOf(life.Status()), true
				}
				ended = nil
				if life.Adopt() {
					ended = life.Ended()
					c.pass(life, stage.Signal)
					c.pass(life, syscall.SIGCONT)
				}
			case <-timer.C:
				waiting = false
			case <-c.kill:
				timer.Stop()
				return c.finish(life, last)
			case s := <-c.signals:
				c.pass(life, s)
			case <-survivors.C:
				c.log.Info(c.name + " is stopping, still there: " + strings.Join(life.Survivors(), ", "))
			}
		}
	}
	if !c.spec.Stop.EndsInKill() {
		return last()
	}
	return c.finish(life, last)
}

// finish kills the group.
func (c *Copy) finish(life Life, last func() Exit) Exit {
	select {
	case <-life.Empty():
		return last()
	default:
	}
	c.log.Warn(c.name + " has to be killed: " + strings.Join(life.Survivors(), ", "))
	c.killed = c.asked() // a clean-up between two lives is not the stop's doing
	life.Kill()
	timer := time.NewTimer(lastKill)
	defer timer.Stop()
	select {
	case <-life.Empty():
	case <-timer.C:
		c.log.Error(c.name + " does not die of KILL: " + strings.Join(life.Survivors(), ", "))
	}
	exit := last()
	exit.Reason = ByKill
	return exit
}
