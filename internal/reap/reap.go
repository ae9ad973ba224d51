// Package reap is the only place that starts processes and the only place that
// waits for them. A PID 1 has to wait for every child, orphans of others
// included; whoever else calls wait loses exit codes to it, so all of it goes
// through one Reaper.
//
// Invariants: a pid is registered under the lock that was held across its fork,
// so that a fast child cannot be reaped unknown; a status is kept until asked
// for; no signal is sent to a pid after it was reaped, because the kernel may
// have given the number away.
package reap

import (
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the slow look for children beside SIGCHLD, should one signal ever be
// lost. More often shows as wake-ups of an idle container.
const tick = time.Minute

// Reaper starts and waits for processes. Make one with New, before anything
// else in the program may fork.
type Reaper struct {
	mu       sync.Mutex
	children map[int]*Process
	batch    chan struct{} // closed when a batch was reaped, then replaced

	orphans atomic.Uint64
	chld    chan os.Signal
	quit    chan struct{}
	done    chan struct{}
}

// New starts the reaper. Where we are not PID 1 it makes us the subreaper of
// our descendants (prctl(2)), so that what our children leave behind comes to
// us and not to an init that knows nothing of it. Close ends it.
func New() (*Reaper, error) {
	r := &Reaper{
		children: make(map[int]*Process),
		batch:    make(chan struct{}),
		chld:     make(chan os.Signal, 1),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	var err error
	if os.Getpid() != 1 {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	// A channel of its own: a storm of deaths must not push TERM out of another.
	signal.Notify(r.chld, syscall.SIGCHLD)
	go r.loop()
	return r, err
}

// Close stops reaping. Call it when no process is awaited any more.
func (r *Reaper) Close() {
	signal.Stop(r.chld)
	close(r.quit)
	<-r.done
}

func (r *Reaper) loop() {
	defer close(r.done)
	slow := time.NewTicker(tick)
	defer slow.Stop()
	r.collect() // children from before the handler stood
	for {
		select {
		case <-r.chld:
		case <-slow.C:
		case <-r.quit:
			return
		}
		r.collect()
	}
}

// collect reaps all there is, then tells: one SIGCHLD may stand for many deaths.
func (r *Reaper) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	any := false
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG|syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 { // ECHILD, or none that has ended
			break
		}
		p, known := r.children[pid]
		if status.Stopped() {
			if known {
				select {
				case p.stopped <- status.StopSignal():
				default: // nobody minds
				}
			}
			continue
		}
		any = true
		if !known {
			r.orphans.Add(1)
			continue
		}
		delete(r.children, pid)
		p.status = status
		close(p.done)
	}
	if any {
		close(r.batch)
		r.batch = make(chan struct{})
	}
}

// Orphans counts the processes that were reaped without having been started
// here.
func (r *Reaper) Orphans() uint64 { return r.orphans.Load() }

// Next returns a channel that is closed after the next batch of deaths. Take it
// before looking at the state that a death may change.
func (r *Reaper) Next() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.batch
}

// Program is what Start needs. Files are the child's descriptors from 0 on.
type Program struct {
	Path  string // resolved; see LookPath
	Argv  []string
	Env   []string
	Dir   string
	Files []uintptr
}

// Start forks and executes the program as the leader of a process group of its
// own. The error is the kernel's: ENOENT, EACCES, ENOEXEC, E2BIG, EAGAIN ...
func (r *Reaper) Start(p Program) (*Process, error) {
	attr := &syscall.ProcAttr{Dir: p.Dir, Env: p.Env, Files: p.Files, Sys: &syscall.SysProcAttr{Setpgid: true}}
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(p.Path, p.Argv, attr)
	if err != nil {
		return nil, err
	}
	return r.register(pid, &Group{reaper: r, id: pid}), nil
}

// register is called with the lock held.
func (r *Reaper) register(pid int, group *Group) *Process {
	p := &Process{reaper: r, pid: pid, group: group, done: make(chan struct{}), stopped: make(chan syscall.Signal, 1)}
	r.children[pid] = p
	return p
}

// Process is a child that was started or adopted here.
type Process struct {
	reaper  *Reaper
	pid     int
	group   *Group
	done    chan struct{}
	status  syscall.WaitStatus
	stopped chan syscall.Signal
}

// PID is its number. It may belong to another process once Done is closed.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Status is how it ended; it is valid after Done.
func (p *Process) Status() syscall.WaitStatus { return p.status }

// Stopped tells that the process was stopped by a signal (SIGTSTP, SIGTTIN ...).
func (p *Process) Stopped() <-chan syscall.Signal { return p.stopped }

// Signal sends to the process alone. After its end it answers ESRCH and sends
// nothing.
func (p *Process) Signal(s syscall.Signal) error {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	if p.reaper.children[p.pid] != p {
		return syscall.ESRCH
	}
	return syscall.Kill(p.pid, s)
}

// Group is the process group that this process leads or led.
func (p *Process) Group() *Group { return p.group }

// Group is a process group. Once it was seen empty it stays so: its number may
// be another's by then.
type Group struct {
	reaper *Reaper
	id     int
	gone   bool
}

// ID is the group's number, its first leader's pid.
func (g *Group) ID() int { return g.id }

// Signal sends to every process of the group.
func (g *Group) Signal(s syscall.Signal) error {
	g.reaper.mu.Lock()
	defer g.reaper.mu.Unlock()
	return g.send(s)
}

func (g *Group) send(s syscall.Signal) error {
	if g.gone {
		return syscall.ESRCH
	}
	err := syscall.Kill(-g.id, s)
	if err == syscall.ESRCH {
		g.gone = true
	}
	return err
}

// Empty reports whether no process of the group is left. Zombies that we have
// not reaped yet count as left.
func (g *Group) Empty() bool {
	g.reaper.mu.Lock()
	defer g.reaper.mu.Unlock()
	return g.send(0) == syscall.ESRCH
}

// Oldest registers the oldest process of the group as its main one: a shell
// that started its server in the background has ended, the server lives on as
// our child. It reports false where no process of the group is a child of ours
// that can be awaited.
func (g *Group) Oldest() (*Process, bool) {
	g.reaper.mu.Lock()
	defer g.reaper.mu.Unlock()
	if g.send(0) == syscall.ESRCH {
		return nil, false // the usual end, which must not cost a look at all of /proc
	}
	self := os.Getpid()
	for _, entry := range members(g.id) { // oldest first
		if entry.Parent != self || entry.State == 'Z' {
			continue
		}
		if p, known := g.reaper.children[entry.PID]; known {
			return p, true
		}
		return g.reaper.register(entry.PID, g), true
	}
	return nil, false
}
