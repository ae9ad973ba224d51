package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// world is a kernel whose processes do what the test says.
type world struct {
	mu     sync.Mutex
	pids   int
	lives  []*fakeLife
	probes []*fakeProbe
	refuse func(launch int) error // of the launch with that number, from 0 on
	tries  int
	born   func(*fakeLife) // what the next lives do by themselves
}

// fakeLife is a group: its main process, and those beside it.
type fakeLife struct {
	mu       sync.Mutex
	index    int
	argv     string
	main     *fakeProcess
	others   []*fakeProcess
	empty    chan struct{}
	closed   bool
	immortal bool // in state D: KILL does nothing
	on       func(l *fakeLife, s syscall.Signal)
	got      []string // signals, with the pid that got them, and the time since birth
	born     time.Time
	output   []string
}

type fakeProcess struct {
	pid    int
	ended  chan struct{}
	status syscall.WaitStatus
}

func exited(code int) syscall.WaitStatus           { return syscall.WaitStatus(code << 8) }
func killedBy(s syscall.Signal) syscall.WaitStatus { return syscall.WaitStatus(s) }
func (w *world) process() *fakeProcess {
	w.pids++
	return &fakeProcess{pid: 100 + w.pids, ended: make(chan struct{})}
}
func (p *fakeProcess) over() bool                    { return isClosed(p.ended) }
func (p *fakeProcess) end(status syscall.WaitStatus) { p.status = status; close(p.ended) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (w *world) Launch(spec command.Spec, index int) (Life, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tries++
	if w.refuse != nil {
		if err := w.refuse(w.tries - 1); err != nil {
			return nil, err
		}
	}
	l := &fakeLife{index: index, argv: fmt.Sprint(spec.Argv), main: w.process(), empty: make(chan struct{}), born: time.Now()}
	w.lives = append(w.lives, l)
	if w.born != nil {
		w.born(l)
	}
	return l, nil
}

func (l *fakeLife) PID() int               { l.mu.Lock(); defer l.mu.Unlock(); return l.main.pid }
func (l *fakeLife) Ended() <-chan struct{} { l.mu.Lock(); defer l.mu.Unlock(); return l.main.ended }
func (l *fakeLife) Status() syscall.WaitStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.main.status
}
func (l *fakeLife) Empty() <-chan struct{}   { return l.empty }
func (l *fakeLife) Private() string          { return "" }
func (l *fakeLife) Holds(uint64) (_, _ bool) { return false, false }

func (l *fakeLife) Adopt() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.others {
		if !p.over() {
			l.main, l.others = p, slices.DeleteFunc(l.others, func(q *fakeProcess) bool { return q == p })
			return true
		}
	}
	return false
}

func (l *fakeLife) Signal(s syscall.Signal) error {
	l.mu.Lock()
	if l.main.over() {
		l.mu.Unlock()
		return syscall.ESRCH
	}
	l.got = append(l.got, fmt.Sprintf("%s %d %s", command.SignalName(s), l.main.pid, time.Since(l.born)))
	on := l.on
	l.mu.Unlock()
	if on != nil {
		on(l, s)
	}
	return nil
}

func (l *fakeLife) Kill() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if isClosed(l.empty) {
		return false
	}
	l.got = append(l.got, fmt.Sprintf("KILL group %s", time.Since(l.born)))
	if !l.immortal {
		for _, p := range append(l.others, l.main) {
			if !p.over() {
				p.end(killedBy(syscall.SIGKILL))
			}
		}
		close(l.empty)
	}
	return true
}

func (l *fakeLife) Survivors() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, p := range append(l.others, l.main) {
		if !p.over() {
			all = append(all, fmt.Sprintf("%d app (S)", p.pid))
		}
	}
	return all
}

func (l *fakeLife) Close() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.output
}

// end ends the main process, and the group if it was the last.
func (l *fakeLife) end(status syscall.WaitStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.main.end(status)
	l.close()
}

// endOther ends a process beside the main one.
func (l *fakeLife) endOther(p *fakeProcess, status syscall.WaitStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.end(status)
	l.close()
}

func (l *fakeLife) close() {
	if l.main.over() && !slices.ContainsFunc(l.others, func(p *fakeProcess) bool { return !p.over() }) {
		close(l.empty)
	}
}

// beside adds a process to the group.
func (w *world) beside(l *fakeLife) *fakeProcess {
	w.mu.Lock()
	p := w.process()
	w.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.others = append(l.others, p)
	return p
}

// signals are what the life was sent.
func (l *fakeLife) signals() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// obedient ends with 0 when asked.
func obedient(l *fakeLife) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = func(l *fakeLife, s syscall.Signal) {
		if s == syscall.SIGTERM {
			l.end(exited(0))
		}
	}
}

// fakeProbe is one life's probe, in the hands of the test.
type fakeProbe struct {
	index   int
	life    Life
	ready   func(bool)
	replace func(string)
	ended   chan struct{}
}

func (w *world) probe(ctx context.Context, _ command.Spec, index int, life Life, ready func(bool), replace func(string)) {
	p := &fakeProbe{index, life, ready, replace, make(chan struct{})}
	w.mu.Lock()
	w.probes = append(w.probes, p)
	w.mu.Unlock()
	<-ctx.Done()
	close(p.ended)
}

// life is the one with that number, from 0 on, in the order of their birth.
func (w *world) life(t *testing.T, n int) *fakeLife {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n >= len(w.lives) {
		t.Fatalf("life %d has not begun: there are %d", n, len(w.lives))
	}
	return w.lives[n]
}

func (w *world) count() int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lives)
}

// probeOf is the probe of a life.
func (w *world) probeOf(t *testing.T, l *fakeLife) *fakeProbe {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.probes {
		if p.life == l {
			return p
		}
	}
	t.Fatal("the life is not probed")
	return nil
}

// fakeSockets remember what was done to them.
type fakeSockets struct {
	mu   sync.Mutex
	done []string
	fail error
}

func (s *fakeSockets) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, "open")
	return s.fail
}

func (s *fakeSockets) Shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done, "shut")
}

func (s *fakeSockets) history() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Compact(slices.Clone(s.done))
}

// lines collects the log.
type lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{} // closed with the next line, then replaced
}

func newLines() *lines { return &lines{more: make(chan struct{})} }

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r.Level.String()+" "+r.Message)
	close(l.more)
	l.more = make(chan struct{})
	return nil
}

func (l *lines) said() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// await waits until n lines have that in them.
func (l *lines) await(part string, n int, patience time.Duration) bool {
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		more := l.more
		found := 0
		for _, line := range l.all {
			if strings.Contains(line, part) {
				found++
			}
		}
		l.mu.Unlock()
		if found >= n {
			return true
		}
		select {
		case <-more:
		case <-deadline:
			return false
		}
	}
}

type transition struct{ from, to State }

// story is a supervisor in a world of its own. Its time is synctest's.
type story struct {
	*world
	*Supervisor
	t       *testing.T
	group   *group
	sockets *fakeSockets
	log     *lines
	over    chan Outcome

	mu   sync.Mutex
	at   map[*Copy]State
	seen []transition
}

// webSpec is a server as the modes describe it.
func webSpec() command.Spec {
	return command.Spec{
		Name: "web", Argv: []string{"app"}, Copies: 1,
		Stop:    command.Stages{{Signal: syscall.SIGTERM, Wait: 5 * time.Second}, {Signal: syscall.SIGQUIT, Wait: 3 * time.Second}, {Signal: syscall.SIGKILL}},
		Grace:   8 * time.Second,
		Backoff: command.Backoff{First: 500 * time.Millisecond, Cap: 30 * time.Second},
		GiveUp:  command.GiveUp{Deaths: 5, Window: time.Minute},
		Ready:   command.Readiness{After: 2 * time.Second},
	}
}

func taskSpec() command.Spec {
	spec := webSpec()
	spec.Name, spec.Once, spec.Restart, spec.Ready = "task", true, command.Never, command.Readiness{}
	return spec
}

// newStory makes a world and a supervisor in it; nothing runs yet.
func newStory(t *testing.T) *story {
	s := &story{world: &world{}, t: t, sockets: &fakeSockets{}, log: newLines(), at: map[*Copy]State{}, over: make(chan Outcome, 1)}
	s.Supervisor = New(Config{Launcher: s.world, Sockets: s.sockets, Probe: s.probe, Log: slog.New(s.log)})
	return s
}

// begin makes the group and lets the story see every transition, in full backoff.
func (s *story) begin(spec command.Spec) {
	s.group = s.Supervisor.begin(spec)
	inner := s.group.parts.report
	s.group.parts.jitter = func() float64 { return 0 }
	s.group.parts.report = func(c *Copy, to State, exit Exit, v verdict) {
		s.mu.Lock()
		s.seen = append(s.seen, transition{s.at[c], to})
		s.at[c] = to
		s.mu.Unlock()
		inner(c, to, exit, v)
	}
	for _, place := range s.group.slots {
		place.current.report, place.current.jitter = s.group.parts.report, s.group.parts.jitter
	}
}

// start begins and runs.
func (s *story) start(spec command.Spec) {
	s.begin(spec)
	s.run()
}

func (s *story) run() { go func() { s.over <- s.group.run() }() }

// outcome is the group's; it must end by itself within an hour.
func (s *story) outcome() Outcome {
	s.t.Helper()
	select {
	case o := <-s.over:
		return o
	case <-time.After(time.Hour):
		s.t.Fatal("the group does not end")
		return Outcome{}
	}
}

// finish ends what still runs, and holds every transition against the table.
func (s *story) finish() {
	s.t.Helper()
	for _, l := range s.lives {
		l.immortal = false
	}
	s.born = func(l *fakeLife) { l.immortal = false }
	for range 3 {
		s.Stop()
	}
	synctest.Wait()
	select {
	case <-s.over:
	default:
	}
	for _, moved := range s.transitions() {
		if moved.from != moved.to && !slices.Contains(transitions[moved.from], moved.to) {
			s.t.Errorf("%s to %s is not in the table", moved.from, moved.to)
		}
		if moved.from == moved.to && !moved.from.alive() {
			s.t.Errorf("%s was reported twice", moved.from)
		}
	}
	for i, l := range s.lives {
		if !l.closed {
			s.t.Errorf("life %d was not closed", i)
		}
	}
}

func (s *story) transitions() []transition {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// wait lets time pass.
func (s *story) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (s *story) state(index int) State {
	synctest.Wait()
	return s.Status().Copies[index].State
}

func (s *story) expect(index int, want State) {
	s.t.Helper()
	if got := s.state(index); got != want {
		s.t.Fatalf("copy %d is %s, not %s", index, got, want)
	}
}

func tell(t *testing.T, name string, play func(*story)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStory(t)
			defer s.finish()
			play(s)
		})
	})
}
