package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// Output takes what a copy writes. Pass hands our own descriptors on, at no
// cost; others read pipes.
type Output interface {
	// Open returns the descriptors for a copy's stdout and stderr, and what to
	// call once it was started (or not), and once its group is empty.
	Open(name string, index int) (stdout, stderr uintptr, started, ended func(), err error)
}

// Starter is the Launcher that forks.
type Starter struct {
	Reaper  *reap.Reaper
	Sockets *listen.Set // what the copies inherit from descriptor 3 on; may be nil
	Output  Output      // nil: our own stdout and stderr
	Ignored []syscall.Signal
	// PrivateDir is the 0700 folder for the copies' own sockets.
	PrivateDir string
	// Forked is called after the first successful start.
	Forked func()

	once  sync.Once
	count atomic.Uint64
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
	order := shim.Order{Path: path, Ignore: s.Ignored, Foreground: foreground}
	if s.Sockets != nil && len(spec.Bind) > 0 {
		for _, socket := range s.Sockets.Sockets() {
			program.Files = append(program.Files, uintptr(socket.FD()))
		}
		order.ListenPID = true
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
		out, errs, started, ended, err := s.Output.Open(spec.Name, index)
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("cannot make pipes for the output of %s: %w", spec.Name, err)
		}
		program.Files[1], program.Files[2] = out, errs
		defer started()
		l.ended = ended
	}
	if order.ListenPID || order.Foreground || len(order.Ignore) > 0 {
		program.Path = shim.Executable
		program.Env = append(program.Env, order.Marker(os.Getpid()))
	}
	if l.process, err = s.Reaper.Start(program); err != nil {
		l.Close()
		if program.Path == shim.Executable && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOMEM) {
			return nil, fmt.Errorf("cannot run %s through %s: %w", path, shim.Executable, err)
		}
		return nil, reap.Explain(path, err)
	}
	if l.private != nil {
		l.private.Release() // the copy's alone from here on
	}
	if s.Forked != nil {
		s.once.Do(s.Forked)
	}
	return l, nil
}

func (s *Starter) private(index int) (*listen.Socket, error) {
	name := fmt.Sprintf("copy-%d-%d.sock", index, s.count.Add(1))
	socket, err := listen.Bind(command.Address{Path: filepath.Join(s.PrivateDir, name)})
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
	process *reap.Process
	private *listen.Socket
	ended   func()

	emptyOnce sync.Once
	empty     chan struct{}
}

func (l *life) PID() int                      { return l.process.PID() }
func (l *life) Ended() <-chan struct{}        { return l.process.Done() }
func (l *life) Status() syscall.WaitStatus    { return l.process.Status() }
func (l *life) Signal(s syscall.Signal) error { return l.process.Signal(s) }
func (l *life) Kill()                         { l.reaper.Kill(l.process.Group()) }

func (l *life) Adopt() bool {
	next, ok := l.process.Group().Oldest()
	if ok {
		l.process = next
	}
	return ok
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (l *life) Empty() <-chan struct{} {
	group := l.process.Group()
	if group.Empty() {
		return closed
	}
	l.emptyOnce.Do(func() {
		l.empty = make(chan struct{})
		go func() {
			l.reaper.Wait(context.Background(), group)
			close(l.empty)
		}()
	})
	return l.empty
}

func (l *life) Private() string {
	if l.private == nil {
		return ""
	}
	return l.private.Address.Path
}

func (l *life) Survivors() []string {
	members := l.process.Group().Members()
	names := make([]string, 0, len(members))
	for _, m := range members {
		names = append(names, m.String())
	}
	return slices.Clip(names)
}

func (l *life) Close() {
	if l.private != nil {
		l.private.Close()
	}
	if l.ended != nil {
		l.ended()
	}
}
