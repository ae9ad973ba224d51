package reap

import (
	"context"
	"os"
	"slices"
	"syscall"
	"time"
)

// last is how long KILL may take: a process in an uninterruptible sleep (state
// D) does not die of it, and an init must end all the same.
const last = 900 * time.Millisecond

// Leftover is what remains when the programs have ended: as PID 1 every process
// of the namespace, those of docker exec included; otherwise nothing, because
// the rest of the machine is not ours.
type Leftover struct{ reaper *Reaper }

// Leftover returns the rest.
func (r *Reaper) Leftover() Leftover { return Leftover{r} }

// Signal sends to all of it. kill(-1) spares ourselves, and PID 1 of a shared
// namespace is not us.
func (l Leftover) Signal(s syscall.Signal) error {
	if os.Getpid() != 1 {
		return syscall.ESRCH
	}
	return syscall.Kill(-1, s)
}

// Empty reports whether nothing is left.
func (l Leftover) Empty() bool { return l.Signal(0) == syscall.ESRCH }

// Members names what is left.
func (l Leftover) Members() []Entry {
	if os.Getpid() != 1 {
		return nil
	}
	return slices.DeleteFunc(table(), func(e Entry) bool { return e.PID == 1 || e.State == 'Z' })
}

// Crowd is a set of processes that is ended as one: a Group or the Leftover.
type Crowd interface {
	Signal(syscall.Signal) error
	Empty() bool
}

// Wait returns when the crowd is empty, or when ctx ends: then false. Deaths
// are told by the reaper; a member whose parent lives elsewhere dies unheard, so
// there is a slow look as well.
func (r *Reaper) Wait(ctx context.Context, c Crowd) bool {
	slow := time.NewTicker(time.Second)
	defer slow.Stop()
	for {
		next := r.Next()
		if c.Empty() {
			return true
		}
		select {
		case <-next:
		case <-slow.C:
		case <-ctx.Done():
			r.collect() // what has died already needs no KILL
			return c.Empty()
		}
	}
}

// Sweep ends a crowd: TERM and CONT (a stopped process never sees TERM
// otherwise), the time until ctx ends, KILL. It reports whether anything had to
// be killed. It returns within a second of the end of ctx, whatever is left.
func (r *Reaper) Sweep(ctx context.Context, c Crowd) (killed bool) {
	if c.Empty() {
		return false
	}
	_ = c.Signal(syscall.SIGTERM)
	_ = c.Signal(syscall.SIGCONT)
	if r.Wait(ctx, c) {
		return false
	}
	return r.Kill(c)
}

// Kill sends KILL until the crowd is empty or a second has passed; a fork may
// run ahead of the first one.
func (r *Reaper) Kill(c Crowd) (killed bool) {
	ctx, cancel := context.WithTimeout(context.Background(), last)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		next := r.Next()
		if c.Signal(syscall.SIGKILL) == syscall.ESRCH {
			return killed
		}
		killed = true
		select {
		case <-next:
		case <-again.C:
		case <-ctx.Done():
			return killed
		}
	}
}
