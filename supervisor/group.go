package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// noneAliveFor is how long a group may be without a living copy before it is
// given up, however patient the backoff is.
const noneAliveFor = time.Minute

// restartPatience is what a new copy gets beside its start period to become
// ready in a rolling restart.
const restartPatience = 60 * time.Second

func itoa(n int) string { return strconv.Itoa(n) }

// Sockets are shared by all copies: open while one lives, shut otherwise.
type Sockets interface {
	Open() error
	Shut()
}

// Outcome is the end of a group or of a list of them.
type Outcome struct {
	Code    int
	Why     string // one line
	Stopped bool   // it was asked to stop
	Killed  bool   // something had to be killed at the end of the grace period
}

// CopyStatus is what is known of one copy.
type CopyStatus struct {
	Index    int
	PID      int // 0 while no process lives
	State    State
	Since    time.Time
	Restarts int
	LastExit *Exit
}

// slot is one of N places; a rolling restart changes its copy.
type slot struct {
	current *Copy
	next    *Copy // to come in a rolling restart
	leaving *Copy // and to go
	status  CopyStatus
	other   CopyStatus // of next, then of leaving
	last    *Exit
}

// group is N copies of one program.
type group struct {
	parts
	spec    command.Spec
	sockets Sockets // may be nil
	count   *Counters

	mu        sync.Mutex
	slots     []*slot
	wasReady  []bool    // each place was ready once
	readyAt   time.Time // when the last of them was; zero before
	ran       bool      // something was forked
	open      bool      // the sockets are
	noneSince time.Time // no copy lives since then; zero while one does
	stops     int
	stopping  chan struct{} // closed with the first request to stop
	draining  bool
	changed   chan struct{} // something to look at
	killed    bool
	lastExit  Exit  // of the copy that ended last, unasked
	givenUp   *Exit // why all of it was
	over      bool  // run has returned, or is about to
	rolling   sync.Mutex
}

func newGroup(spec command.Spec, p parts, sockets Sockets, count *Counters) *group {
	g := &group{
		parts: p, spec: spec, sockets: sockets, count: count,
		stopping: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	g.parts.turn, g.parts.held = &turn{}, &sync.Once{}
	g.parts.before = g.beforeStart
	g.parts.report = g.report
	g.noneSince = time.Now()
	g.wasReady = make([]bool, spec.Copies)
	for i := range spec.Copies {
		g.slots = append(g.slots, &slot{
			current: newCopy(spec, i, g.parts),
			status:  CopyStatus{Index: i, State: Waiting, Since: g.noneSince},
		})
	}
	return g
}

// beforeStart lets clients in before the copy that serves them is forked. The
// copy is Starting: nobody shuts them out meanwhile.
func (g *group) beforeStart(*Copy) error {
	if g.sockets == nil {
		return nil
	}
	return g.sockets.Open()
}

// report takes a copy's change of state. It is called by the copy's goroutine.
func (g *group) report(c *Copy, s State, exit Exit, v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	place := g.slots[c.index]
	status := &place.status
	if place.current != c {
		status = &place.other // the new one on trial, or the old one on its way out
	}
	if status.State == Starting && s == Running {
		g.ran = true
		g.count.started()
	}
	if status.State != s {
		status.State, status.Since = s, time.Now()
	}
	status.PID = 0
	if s.alive() {
		status.PID = c.pid
	}
	if exit.Reason != "" {
		status.LastExit = &exit
		place.last = &exit
		g.count.ended(exit, c.forced)
		g.killed = g.killed || (c.killed && g.stops > 0)
		if !c.asked() {
			g.lastExit = exit
		}
	}
	switch {
	case s == Backoff:
		status.Restarts++
		g.count.restarted(exit.Reason)
	case s == Ready && place.current == c:
		g.servedOnce(c.index)
	}
	g.look()
	g.poke()
}

// servedOnce notes that a place was ready; called with the lock held.
func (g *group) servedOnce(index int) {
	g.wasReady[index] = true
	if g.readyAt.IsZero() && !slices.Contains(g.wasReady, false) {
		g.readyAt = time.Now()
	}
}

// look keeps the sockets open as long as a copy lives or is about to, and notes
// since when none lives; called with the lock held.
func (g *group) look() {
	alive, coming := false, false
	for _, p := range g.slots {
		for _, s := range []State{p.status.State, p.other.State} {
			alive = alive || s.alive()
			coming = coming || s == Starting
		}
	}
	switch {
	case alive:
		g.noneSince = time.Time{}
	case g.noneSince.IsZero():
		g.noneSince = time.Now()
	}
	wasOpen := g.open
	g.open = alive || coming
	if wasOpen && !g.open && g.sockets != nil {
		g.sockets.Shut()
	}
}

// run starts the copies and returns when the last is over.
func (g *group) run() Outcome {
	for _, p := range g.slots {
		go p.current.run()
	}
	none := time.NewTimer(noneAliveFor)
	defer none.Stop()
	for {
		g.mu.Lock()
		g.over = !slices.ContainsFunc(g.slots, func(p *slot) bool { return !p.status.State.over() || p.next != nil || p.leaving != nil })
		over, since, ending := g.over, g.noneSince, g.stops > 0 || g.givenUp != nil
		g.mu.Unlock()
		if over {
			break
		}
		none.Reset(time.Hour)
		if !since.IsZero() && !ending {
			none.Reset(max(0, time.Until(since.Add(noneAliveFor))))
		}
		select {
		case <-g.changed:
		case <-none.C:
			g.giveUp()
		}
	}
	for _, p := range g.slots {
		<-p.current.done
	}
	return g.outcome()
}

// giveUp ends a group of which nothing has lived for a minute.
func (g *group) giveUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.noneSince.IsZero() || g.stops > 0 || g.givenUp != nil || time.Since(g.noneSince) < noneAliveFor {
		return
	}
	g.log.Error("no copy of " + g.spec.Name + " has lived for " + noneAliveFor.String() + ": giving up")
	exit := g.lastExit
	g.givenUp = &exit
	for _, c := range g.copies() {
		c.Stop()
	}
}

func (g *group) outcome() Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := Outcome{Stopped: g.stops > 0, Killed: g.killed}
	failed := g.failure()
	switch {
	case g.spec.Once && g.slots[0].last != nil:
		exit := *g.slots[0].last
		o.Code, o.Why = exit.Code, g.spec.Name+": "+exit.String()
	case o.Stopped && !g.ran:
		o.Code, o.Why = CodeStoppedEarly, "stopped before "+g.spec.Name+" ran"
	case o.Stopped && o.Killed:
		o.Code, o.Why = 128+int(syscall.SIGKILL), "stopped as asked, and something had to be killed"
	case o.Stopped:
		o.Why = "stopped as asked"
	case failed != nil:
		o.Code, o.Why = failed.Code, g.spec.Name+" failed: "+failed.String()
		if o.Code == 0 { // ended with 0 again and again: not what was wanted
			o.Code = 1
		}
	default:
		o.Why = "finished"
	}
	return o
}

// failure is the end of the copy that failed last, or nil; called with the lock
// held.
func (g *group) failure() *Exit {
	if g.givenUp != nil {
		return g.givenUp
	}
	var exit *Exit
	var when time.Time
	for _, p := range g.slots {
		if p.status.State == Failed && !p.status.Since.Before(when) {
			exit, when = p.status.LastExit, p.status.Since
		}
	}
	return exit
}

// stop asks for the stop: first with the drain, then without, then by KILL.
// It does not block.
func (g *group) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stops++
	if g.stops == 1 {
		close(g.stopping)
	}
	switch {
	case g.stops == 1 && g.spec.Drain > 0:
		g.draining = true
		g.log.Info("draining: not ready any more, still serving", "for", g.spec.Drain)
		time.AfterFunc(g.spec.Drain, g.drained)
	case g.stops == 1:
		g.stopAll()
	case g.stops == 2 && g.draining:
		g.log.Info("asked again: the drain is skipped")
		g.stopAll()
	case g.stops >= 3:
		g.log.Warn("asked a third time: killing")
		for _, c := range g.copies() {
			c.Kill()
		}
	}
}

func (g *group) drained() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopAll()
}

// stopAll is called with the lock held.
func (g *group) stopAll() {
	g.draining = false
	for _, c := range g.copies() {
		c.Stop()
	}
}

// copies are all there are, those that come and go in a rolling restart included; called with the lock held.
func (g *group) copies() []*Copy {
	var all []*Copy
	for _, p := range g.slots {
		all = append(all, p.current)
		if p.next != nil {
			all = append(all, p.next)
		}
		if p.leaving != nil {
			all = append(all, p.leaving)
		}
	}
	return all
}

// restart replaces one copy after the other. Where we hold the sockets the new
// one is ready before the old one goes; a program that binds by itself, or that
// must not run twice, is stopped first. It ends with the first new copy that
// does not become ready; the old ones then go on serving.
func (g *group) restart(fresh command.Spec) error {
	if !g.rolling.TryLock() {
		return errors.New("a restart is under way")
	}
	defer g.rolling.Unlock()
	beside := len(g.spec.Bind) > 0
	for i := range g.slots {
		if err := g.replace(i, fresh, beside); err != nil {
			return err
		}
		g.log.Info("restart: copy replaced", "copy", i, "of", len(g.slots))
	}
	g.mu.Lock()
	g.spec = fresh
	g.mu.Unlock()
	return nil
}

func (g *group) replace(i int, fresh command.Spec, beside bool) error {
	g.mu.Lock()
	if err := g.ending(); err != nil {
		g.mu.Unlock()
		return err
	}
	place := g.slots[i]
	old := place.current
	next := newCopy(fresh, i, g.parts)
	if beside {
		next.trial.Store(onTrial)
	}
	place.next = next
	place.other = CopyStatus{Index: i, State: Waiting, Since: time.Now()}
	g.mu.Unlock()

	if !beside {
		old.Stop()
		<-old.done
		g.promote(place)
		go next.run()
		return g.awaitReady(next)
	}
	go next.run()
	err := g.awaitReady(next)
	if err == nil && !g.promote(place) {
		<-next.done
		err = g.notReady(next)
	}
	if err != nil {
		next.Stop()
		<-next.done
		g.mu.Lock()
		place.next, place.other = nil, CopyStatus{State: Stopped}
		g.poke()
		g.mu.Unlock()
		return err
	}
	old.Stop()
	<-old.done
	g.mu.Lock()
	defer g.mu.Unlock()
	place.leaving = nil
	g.poke()
	return nil
}

// ending says why nothing can be restarted any more; called with the lock held.
func (g *group) ending() error {
	switch {
	case g.stops > 0 || g.givenUp != nil:
		return errors.New("stopping")
	case g.over:
		return errors.New(g.spec.Name + " has ended")
	case g.spec.Once:
		return errors.New(g.spec.Name + " runs to its end")
	}
	return nil
}

// promote makes the new copy the place's own, unless it has died on trial
// meanwhile.
func (g *group) promote(place *slot) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if next := place.next; next.trial.Load() != regular && !next.trial.CompareAndSwap(onTrial, regular) {
		return false
	}
	leaving := place.current
	if place.status.State.over() {
		leaving = nil
	}
	restarts := place.status.Restarts + 1
	place.current, place.next = place.next, nil
	place.leaving = leaving
	place.status, place.other = place.other, place.status
	place.status.Restarts = restarts
	g.count.restarted("requested")
	if place.status.State == Ready {
		g.servedOnce(place.current.index)
	}
	return true
}

// awaitReady waits for the first word of a new copy.
func (g *group) awaitReady(c *Copy) error {
	patience := restartPatience + c.spec.Health.StartPeriod
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.settled:
		return g.notReady(c)
	case <-g.stopping:
		return errors.New("stopping")
	case <-timer.C:
		return fmt.Errorf("new copy %d was not ready within %s", c.index, patience)
	}
}

// notReady says why a new copy whose first word has come does not serve; nil if
// it does.
func (g *group) notReady(c *Copy) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	place := g.slots[c.index]
	status := place.other
	if place.current == c {
		status = place.status
	}
	switch {
	case status.LastExit != nil:
		return fmt.Errorf("new copy %d failed: %s", c.index, status.LastExit)
	case status.State.over():
		return errors.New("stopping")
	}
	return nil
}

func (g *group) poke() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}
