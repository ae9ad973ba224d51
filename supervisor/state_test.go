package supervisor

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/reap"
)

var (
	errBusy    = &reap.NotStarted{Program: "app", Problem: "the kernel refuses another process", Code: 126, Temporary: true}
	errMissing = &reap.NotStarted{Program: "app", Problem: "not found in PATH", Code: 127}
)

func always(err error) func(int) error { return func(int) error { return err } }

// checked is a spec whose readiness the test decides.
func checked() command.Spec {
	spec := webSpec()
	spec.Ready = command.Readiness{Check: true}
	return spec
}

// atOnce is a spec that is ready when it runs.
func atOnce() command.Spec {
	spec := webSpec()
	spec.Ready = command.Readiness{}
	return spec
}

// rows has one story for each row of the transition table.
var rows = []struct {
	from, to State
	story    string
	play     func(*story)
}{
	{Waiting, Starting, "a start", func(s *story) { s.start(webSpec()) }},
	{Waiting, Stopped, "a stop before the start", func(s *story) {
		s.begin(webSpec())
		s.Stop()
		s.run()
		if o := s.outcome(); o.Code != CodeStoppedEarly || s.count() != 0 {
			s.t.Errorf("%+v, %d started", o, s.count())
		}
	}},
	{Starting, Running, "a start", func(s *story) { s.start(webSpec()); s.expect(0, Running) }},
	{Starting, Backoff, "the kernel has no room for a process", func(s *story) {
		s.refuse = always(errBusy)
		s.start(webSpec())
		s.expect(0, Backoff)
	}},
	{Starting, Failed, "there is no such program", func(s *story) {
		s.refuse = always(errMissing)
		s.start(webSpec())
		if o := s.outcome(); o.Code != 127 || s.tries != 1 {
			s.t.Errorf("%+v after %d tries", o, s.tries)
		}
	}},
	{Starting, Stopped, "a stop while the kernel refuses", func(s *story) {
		s.refuse = func(int) error { s.Stop(); return errBusy }
		s.start(webSpec())
		if o := s.outcome(); o.Code != CodeStoppedEarly {
			s.t.Errorf("%+v", o)
		}
	}},
	{Running, Ready, "up for long enough", func(s *story) {
		s.start(webSpec())
		s.wait(1999 * time.Millisecond)
		s.expect(0, Running)
		s.wait(time.Millisecond)
		s.expect(0, Ready)
	}},
	{Running, Stopping, "a stop before it is ready", func(s *story) {
		s.start(webSpec())
		s.expect(0, Running)
		s.Stop()
		s.expect(0, Stopping)
	}},
	{Running, Backoff, "it dies before it is ready", func(s *story) {
		s.start(webSpec())
		s.life(s.t, 0).end(exited(1))
		s.expect(0, Backoff)
	}},
	{Running, Stopped, "it finishes before it is ready", func(s *story) {
		spec := webSpec()
		spec.Restart = command.OnFailure
		s.start(spec)
		s.life(s.t, 0).end(exited(0))
		if o := s.outcome(); o.Code != 0 || o.Stopped {
			s.t.Errorf("%+v", o)
		}
	}},
	{Running, Failed, "a code that says: never", func(s *story) {
		spec := webSpec()
		spec.Fatal = []int{3, 4}
		s.start(spec)
		s.life(s.t, 0).end(exited(3))
		if o := s.outcome(); o.Code != 3 || s.count() != 1 {
			s.t.Errorf("%+v", o)
		}
	}},
	{Ready, Running, "its check fails", func(s *story) {
		s.start(checked())
		p := s.probeOf(s.t, s.life(s.t, 0))
		p.ready(true)
		s.expect(0, Ready)
		p.ready(false)
		s.expect(0, Running)
	}},
	{Ready, Stopping, "a stop", func(s *story) {
		s.start(atOnce())
		s.expect(0, Ready)
		s.Stop()
		s.expect(0, Stopping)
	}},
	{Ready, Backoff, "it dies while it serves", func(s *story) {
		s.start(atOnce())
		s.life(s.t, 0).end(killedBy(syscall.SIGSEGV))
		s.expect(0, Backoff)
	}},
	{Ready, Stopped, "it finishes", func(s *story) {
		spec := atOnce()
		spec.Restart = command.OnFailure
		s.start(spec)
		s.life(s.t, 0).end(exited(0))
		if o := s.outcome(); o.Code != 0 {
			s.t.Errorf("%+v", o)
		}
	}},
	{Ready, Failed, "it dies and is not to be restarted", func(s *story) {
		s.start(taskSpec())
		s.life(s.t, 0).end(exited(9))
		if o := s.outcome(); o.Code != 9 {
			s.t.Errorf("%+v", o)
		}
	}},
	{Stopping, Backoff, "it dies, and the rest of its group is ended first", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		rest := s.beside(l)
		l.end(exited(1))
		s.expect(0, Stopping)
		l.endOther(rest, killedBy(syscall.SIGTERM))
		s.expect(0, Backoff)
		if exit := s.Status().Copies[0].LastExit; exit.Code != 1 || exit.Reason != ByExit {
			s.t.Errorf("the main process ended with 1 by itself, not %+v", exit)
		}
	}},
	{Stopping, Stopped, "it ends as asked", func(s *story) {
		s.born = obedient
		s.start(atOnce())
		s.life(s.t, 0)
		s.Stop()
		if o := s.outcome(); o.Code != 0 || !o.Stopped || o.Killed {
			s.t.Errorf("%+v", o)
		}
	}},
	{Stopping, Failed, "its last death leaves processes behind", func(s *story) {
		spec := taskSpec()
		s.start(spec)
		l := s.life(s.t, 0)
		s.beside(l)
		l.end(exited(9))
		s.expect(0, Stopping)
		if o := s.outcome(); o.Code != 9 {
			s.t.Errorf("%+v", o)
		}
	}},
	{Backoff, Starting, "the wait is over", func(s *story) {
		s.start(webSpec())
		s.life(s.t, 0).end(exited(1))
		s.wait(499 * time.Millisecond)
		s.expect(0, Backoff)
		s.wait(time.Millisecond)
		s.expect(0, Running)
	}},
	{Backoff, Stopped, "a stop during the wait", func(s *story) {
		s.start(webSpec())
		s.life(s.t, 0).end(exited(1))
		s.expect(0, Backoff)
		s.Stop()
		s.expect(0, Stopped)
		if o := s.outcome(); o.Code != 0 || s.count() != 1 {
			s.t.Errorf("%+v, %d lives", o, s.count())
		}
	}},
}

func TestEveryRowOfTheTable(t *testing.T) {
	for _, row := range rows {
		tell(t, row.from.String()+" to "+row.to.String()+": "+row.story, func(s *story) {
			row.play(s)
			if !slices.Contains(s.transitions(), transition{row.from, row.to}) {
				s.t.Errorf("the story does not go from %s to %s: %v", row.from, row.to, s.transitions())
			}
		})
	}
	for from, all := range transitions {
		for _, to := range all {
			if !slices.ContainsFunc(rows, func(r struct {
				from, to State
				story    string
				play     func(*story)
			}) bool {
				return r.from == from && r.to == to
			}) {
				t.Errorf("no story goes from %s to %s", from, to)
			}
		}
	}
}

func TestStatesHaveNames(t *testing.T) {
	want := []string{"waiting", "starting", "running", "ready", "stopping", "backoff", "stopped", "failed"}
	for i, s := range States() {
		if s.String() != want[i] {
			t.Errorf("state %d is %q", i, s)
		}
		if _, there := transitions[s]; !there {
			t.Errorf("%s is not in the table", s)
		}
	}
	if got := State(99).String(); got != "state 99" {
		t.Errorf("%q", got)
	}
}

// What is no *reap.NotStarted (a socket that does not listen) is worth a retry.
func TestUnknownRefusalIsRetried(t *testing.T) {
	tell(t, "", func(s *story) {
		s.refuse = func(n int) error {
			if n == 0 {
				return errors.New("cannot listen")
			}
			return nil
		}
		s.start(webSpec())
		s.expect(0, Backoff)
		s.wait(500 * time.Millisecond)
		s.expect(0, Running)
	})
}
