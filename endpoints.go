package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/oklog/run"

	"github.com/codeontap/entrypoint/internal/admin"
	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/metrics"
	"github.com/codeontap/entrypoint/supervisor"
)

// addEndpoints adds the admin address and the control socket as actors. They
// are opened after the first fork, or before whatever takes time; the admin
// address is bound at once, because one in use is a boot error.
func (r *runner) addEndpoints(group *run.Group, adminListener net.Listener) {
	source := admin.Source{Status: r.status, Metrics: metrics.New(build(), r.snapshot).Write, Restart: r.restart}
	done := make(chan struct{})
	group.Add(func() error {
		select {
		case <-r.opened:
		case <-done:
			return nil
		}
		serveEndpoints(r.prepared, source, adminListener, done, slog.LevelWarn)
		return nil
	}, func(error) { close(done) })
}

// serveEndpoints serves until done is closed. A socket that cannot be opened is a
// line of that level: the application does not need it.
func serveEndpoints(s *prepared, source admin.Source, adminListener net.Listener, done <-chan struct{}, without slog.Level) {
	var servers []*admin.Server
	path := ""
	if v := s.of("control"); v.set() {
		path = v.text[0]
	}
	control, err := admin.OpenControl(path, admin.Folders(s.environment.Get("XDG_RUNTIME_DIR").Reveal()))
	if err != nil {
		s.log.Log(context.Background(), without, "no control socket, so health, status and restart do not work: "+err.Error())
	} else {
		servers = append(servers, admin.NewControl(control, source, s.log))
	}
	if adminListener != nil {
		servers = append(servers, admin.New(adminListener, source, s.log))
	}
	var serving sync.WaitGroup
	for _, server := range servers {
		serving.Go(func() {
			if err := server.Serve(); err != nil {
				s.log.Warn(err.Error())
			}
		})
	}
	<-done
	for _, server := range servers {
		server.Close()
	}
	serving.Wait()
}

// listenAdmin binds --admin; nil where it is off.
func (h how) listenAdmin() (net.Listener, error) {
	if h.admin == nil {
		return nil, nil
	}
	listener, err := admin.Listen(*h.admin)
	if err != nil {
		return nil, &exitError{codeDependency, err}
	}
	return listener, nil
}

// status is the whole at this moment, from memory.
func (r *runner) status() admin.Status {
	now := r.supervisor.Status()
	s := admin.Status{
		Mode: r.mode.String(), Platform: r.platform, PID: os.Getpid(), Started: r.began,
		Desired: now.Desired, Booted: now.Started && r.currentPhase() == "",
	}
	for _, c := range now.Copies {
		s.Copies = append(s.Copies, copyStatus(c))
	}
	for _, check := range r.currentChecks() {
		result := check.Result()
		s.Checks = append(s.Checks, admin.Check{Name: check.Name(), Up: result.Up, Error: result.Last})
	}
	s.State = wholeState(now, r.currentPhase())
	return s
}

// wholeState is the word for all copies together.
func wholeState(s supervisor.Status, phase string) string {
	switch {
	case s.Draining:
		return "draining"
	case s.Stopping:
		return "stopping"
	case phase != "":
		return phase
	case !s.Started:
		return "starting"
	case s.Ready() < s.Desired:
		return "degraded"
	}
	return "ready"
}

func copyStatus(c supervisor.CopyStatus) admin.Copy {
	out := admin.Copy{Index: c.Index, PID: c.PID, State: c.State.String(), Since: c.Since, Restarts: c.Restarts}
	if c.LastExit != nil {
		out.LastExit = &admin.Exit{Code: c.LastExit.Code, Reason: string(c.LastExit.Reason)}
		if c.LastExit.Signal != 0 {
			out.LastExit.Signal = command.SignalName(c.LastExit.Signal)
		}
	}
	return out
}

// restart is what the control socket and HUP:restart ask for: everything is
// decided anew from the environment that we started with, secrets included, so
// that a rotated one arrives.
func (r *runner) restart(ctx context.Context, progress func(string)) error {
	if phase := r.currentPhase(); phase != "" {
		return errors.New("it is " + phase)
	}
	if len(r.plan.Commands) != 1 {
		return errors.New("tasks run to their end")
	}
	fresh, err := r.freshSpec(ctx)
	if err != nil { // in the words of a start, and several lines
		return errors.New(strings.ReplaceAll(strings.ReplaceAll(err.Error(), cannotStart, ""), "\n", "; "))
	}
	progress(fmt.Sprintf("restarting %d copies of %s", fresh.Copies, fresh.Name))
	return r.supervisor.Restart(fresh)
}

// restartSoon restarts without anybody who waits for it.
func (r *runner) restartSoon() {
	go func() {
		if err := r.restart(context.Background(), func(line string) { r.log.Info(line) }); err != nil {
			r.log.Error("cannot restart: " + err.Error())
		}
	}()
}

// freshSpec decides anew what to run, from the environment that we were started
// with: files are read and ciphertexts decrypted again, because a rotated secret
// comes by either.
func (r *runner) freshSpec(ctx context.Context) (command.Spec, error) {
	s := *r.prepared
	s.problems = problems{}
	s.environment, _ = env.Parse(r.environ)
	s.env = s.environment
	if err := s.readFiles(); err != nil {
		return command.Spec{}, err
	}
	result, err := s.decrypt(ctx, r.reaper)
	r.countDecryption(s.environment, result)
	if err != nil {
		return command.Spec{}, err
	}
	r.mu.Lock()
	names := lost(r.decrypted, result)
	r.mu.Unlock()
	if len(names) > 0 { // KMS is away: copies that work are not replaced by some that do not
		return command.Spec{}, fmt.Errorf("decrypted at the start and not now: %s; the copies go on with what they have", strings.Join(names, ", "))
	}
	plan, err := s.decide(r.words)
	if err != nil {
		return command.Spec{}, err
	}
	if err := s.acceptable(r.words); err != nil {
		return command.Spec{}, err
	}
	r.setDecrypted(result)
	return plan.Commands[0], nil
}

// execEndpoints are those of the verb exec, whose one command is ready while it
// runs. Most commands are over before anybody could ask, so they are opened a
// moment after the start.
type execEndpoints struct {
	*prepared
	listener net.Listener
	began    time.Time
	pid      int
	timer    *time.Timer
	done     chan struct{}
	serving  sync.WaitGroup
}

// isGuest reports whether we are beside the container's supervisor, as in a session
// of docker exec: its variables are ours, and it holds what they name.
func (s *prepared) isGuest(flag string) bool {
	v := s.of(flag)
	return os.Getpid() != 1 && v.set() && !v.fromFlag
}

// execOpensAfter is that moment.
const execOpensAfter = 100 * time.Millisecond

func (x *execEndpoints) soon(pid int) {
	x.began, x.pid = time.Now(), pid
	x.serving.Add(1)
	x.timer = time.AfterFunc(execOpensAfter, func() {
		defer x.serving.Done()
		without := slog.LevelWarn
		if x.isGuest("control") {
			without = slog.LevelDebug
		}
		serveEndpoints(x.prepared, admin.Source{Status: x.status, Metrics: metrics.New(build(), x.snapshot).Write}, x.listener, x.done, without)
	})
}

// close ends them; nothing was opened where the command could not be started.
func (x *execEndpoints) close() {
	close(x.done)
	if x.timer == nil {
		return
	}
	if x.timer.Stop() {
		x.serving.Done()
	}
	x.serving.Wait()
}

func (x *execEndpoints) status() admin.Status {
	ready := supervisor.Ready.String()
	return admin.Status{
		Mode: "EXEC", Platform: x.platform, State: ready, PID: os.Getpid(), Started: x.began, Desired: 1, Booted: true,
		Copies: []admin.Copy{{PID: x.pid, State: ready, Since: x.began}},
	}
}

func (x *execEndpoints) snapshot() metrics.Snapshot {
	return metrics.Snapshot{Copies: map[string]int{supervisor.Ready.String(): 1}, Desired: 1, Starts: 1}
}
