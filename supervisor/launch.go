package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/listen"
	"github.com/codeontap/entrypoint/internal/reap"
	"github.com/codeontap/entrypoint/internal/shim"
)

// Starter is the Launcher that forks.
type Starter struct {
	Reaper  *reap.Reaper
	Sockets *listen.Set // what the copies inherit from descriptor 3 on; may be nil
	Output  *Output     // nil: our own stdout and stderr are inherited, at no cost
	Ignored []syscall.Signal
	// PrivateDir is the 0700 folder for the copies' own sockets; Log, if not nil,
	// is told where that cannot be written.
	PrivateDir string
	Log        *slog.Logger
	// Reserve is called after the first successful start and before any other, Forked
	// after that, with its pid.
	Reserve func()
	Forked  func(pid int)

	forking  sync.Mutex
	reserved sync.Once
	once     sync.Once
	count    atomic.Uint64
	said     sync.Once
}

// Launch starts one copy.
func (s *Starter) Launch(spec command.Spec, index int) (Life, error) {
	l, err := s.start(spec, index, false)
	if err != nil {
		return nil, err // a nil *life is not a nil Life
	}
	return l, nil
}

func (s *Starter) start(spec command.Spec, index int, foreground bool) (*life, error) {
	e := copyEnvironment(spec, index)
	if len(spec.Argv) == 0 {
		return nil, &reap.NotStarted{Program: `""`, Problem: "the command is empty", Code: reap.CodeNotFound}
	}
	path, err := reap.LookPath(spec.Argv[0], e.Get("PATH").Reveal(), spec.Dir)
	if err != nil {
		return nil, err
	}
	l := &life{reaper: s.Reaper}
	program := reap.Program{Path: path, Argv: spec.Argv, Env: e.Block(), Dir: spec.Dir, Files: []uintptr{0, 1, 2}}
	order := shim.Order{Path: path, Ignore: s.Ignored, Foreground: foreground, ListenPID: s.Sockets != nil && len(spec.Bind) > 0}
	if order.ListenPID || order.Foreground || len(order.Ignore) > 0 {
		if err := reap.Interpreter(path); err != nil {
			return nil, err
		}
		program.Path = shim.Executable
		if order.ListenPID {
			e = e.Without(func(name string) bool { return name == "LISTEN_PID" })
		}
		program.Env = append(order.Entries(os.Getpid()), e.Block()...)
	}
	if order.ListenPID {
		for _, socket := range s.Sockets.Sockets() {
			program.Files = append(program.Files, uintptr(socket.FD()))
		}
	}
	if spec.Private {
		private, err := s.private(index)
		if err != nil {
			return nil, err
		}
		program.Files = append(program.Files, uintptr(private.FD()))
		l.private = private
	}
	if s.Output != nil {
		if l.output, err = s.Output.open(copyName(spec, index)); err != nil {
			l.Close()
			return nil, err
		}
		program.Files[1], program.Files[2] = uintptr(l.output.files[0]), uintptr(l.output.files[1])
	}
	if l.process, err = s.fork(program); err != nil {
		if l.output != nil {
			l.output.started()
		}
		l.Close()
		return nil, refusal(path, program, err)
	}
	l.group = l.process.Group()
	if l.output != nil {
		l.output.started()
	}
	if l.private != nil {
		l.private.Release() // the copy's alone from here on
	}
	if s.Forked != nil {
		s.once.Do(func() { s.Forked(l.process.PID()) })
	}
	return l, nil
}

// fork starts one at a time, which the reaper does anyway.
func (s *Starter) fork(program reap.Program) (*reap.Process, error) {
	s.forking.Lock()
	defer s.forking.Unlock()
	process, err := s.Reaper.Start(program)
	if err == nil && s.Reserve != nil {
		s.reserved.Do(s.Reserve)
	}
	return process, err
}

// refusal explains why the kernel did not start a program.
func refusal(path string, program reap.Program, err error) error {
	why := reap.Explain(path, err)
	if why.Temporary {
		return why
	}
	if info, missing := os.Stat(program.Dir); program.Dir != "" && (missing != nil || !info.IsDir()) {
		why.Problem, why.Code = "there is no directory "+program.Dir+" to run it in", reap.CodeNotExecutable
	} else if program.Path == shim.Executable && errors.Is(err, syscall.ENOENT) {
		why.Problem, why.Code = shim.Executable+" is needed for it and is missing: mount /proc", reap.CodeNotExecutable
	}
	return why
}

// private makes a copy's own socket. Where its folder cannot be written (full,
// read-only) the socket has no file: the application starts all the same.
func (s *Starter) private(index int) (*listen.Socket, error) {
	name := fmt.Sprintf("copy-%d-%d.sock", index, s.count.Add(1))
	socket, err := listen.Bind(command.Address{Path: filepath.Join(s.PrivateDir, name)})
	if err != nil {
		if s.Log != nil {
			s.said.Do(func() {
				s.Log.Warn("no folder for the copies' own sockets, so that they have no file: " + err.Error())
			})
		}
		socket, err = listen.BindNameless()
	}
	if err != nil {
		return nil, err
	}
	if err := socket.Listen(); err != nil {
		socket.Close()
		return nil, err
	}
	return socket, nil
}

// copyEnvironment sets what depends on the copy.
func copyEnvironment(spec command.Spec, index int) env.Environment {
	variables := make([]env.Variable, len(spec.PerCopy))
	for i, v := range spec.PerCopy {
		value := strings.ReplaceAll(v.Value, "{index}", strconv.Itoa(index))
		variables[i] = env.Variable{Name: v.Name, Value: env.NewSecret(value), Source: env.FromMode}
	}
	return spec.Env.With(variables...)
}

// life is a Life over the reaper.
type life struct {
	reaper  *reap.Reaper
	process *reap.Process // the main one; Adopt changes it
	group   *reap.Group
	private *listen.Socket
	output  *stream

	watchOnce sync.Once
	empty     chan struct{}
	unwatch   context.CancelFunc
}

func (l *life) PID() int                      { return l.process.PID() }
func (l *life) Ended() <-chan struct{}        { return l.process.Done() }
func (l *life) Status() syscall.WaitStatus    { return l.process.Status() }
func (l *life) Signal(s syscall.Signal) error { return l.process.Signal(s) }
func (l *life) Kill() bool                    { return l.reaper.Kill(l.process.Group()) }

func (l *life) Adopt() bool {
	next, ok := l.process.Group().Oldest()
	if ok {
		l.process = next
	}
	return ok
}

// Empty looks each time, because who asks may have seen the last death before
// the watch has.
func (l *life) Empty() <-chan struct{} {
	l.watchOnce.Do(func() {
		l.empty = make(chan struct{})
		var ctx context.Context
		ctx, l.unwatch = context.WithCancel(context.Background())
		go l.watch(ctx, l.process, l.empty)
	})
	if l.process.Group().Empty() {
		gone := make(chan struct{})
		close(gone)
		return gone
	}
	return l.empty
}

// watch closes empty when the group is. While the main process lives it is not:
// a thousand copies that stop must not look at each other's every death.
func (l *life) watch(ctx context.Context, main *reap.Process, empty chan<- struct{}) {
	select {
	case <-main.Done():
	case <-ctx.Done():
		return
	}
	if l.reaper.Wait(ctx, main.Group()) {
		close(empty)
	}
}

func (l *life) Private() string {
	if l.private == nil {
		return ""
	}
	return l.private.Address.Path
}

func (l *life) Holds(inode uint64) (holds, seen bool) { return l.group.Holds(inode) }

func (l *life) Survivors() []string {
	members := l.process.Group().Members()
	names := make([]string, 0, len(members))
	for _, m := range members {
		names = append(names, m.String())
	}
	return names
}

func (l *life) Close() []string {
	if l.unwatch != nil {
		l.unwatch()
	}
	if l.private != nil {
		l.private.Close()
	}
	if l.output != nil {
		return l.output.close()
	}
	return nil
}
