package supervisor

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// shared is a server whose socket we hold: the new copy may run beside the old.
func shared(n int) command.Spec {
	spec := copies(n, checked())
	spec.Bind = []command.Address{{Port: 8000}}
	return spec
}

// release is the same in the next version.
func release(spec command.Spec) command.Spec {
	spec.Argv = []string{"app", "v2"}
	return spec
}

// roll restarts, and tells the result when it is there.
func (s *story) roll(spec command.Spec) <-chan error {
	result := make(chan error, 1)
	go func() { result <- s.Restart(release(spec)) }()
	return result
}

func (s *story) result(c <-chan error) string {
	s.t.Helper()
	select {
	case err := <-c:
		return text(err)
	case <-time.After(time.Hour):
		s.t.Fatal("the restart does not end")
		return ""
	}
}

func text(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}

func (s *story) ready(l *fakeLife) {
	s.t.Helper()
	s.probeOf(s.t, l).ready(true)
	s.wait(0)
}

// of are the lives of one place.
func (s *story) of(index int) []*fakeLife {
	var all []*fakeLife
	for _, l := range s.lives {
		if l.index == index {
			all = append(all, l)
		}
	}
	return all
}

// serving is a story in which all copies are ready.
func (s *story) serving(spec command.Spec) {
	s.t.Helper()
	s.born = obedient
	s.start(spec)
	s.life(s.t, spec.Copies-1)
	for _, l := range s.lives {
		s.ready(l)
	}
}

func TestRollingRestart(t *testing.T) {
	tell(t, "the new one is ready before the old one goes", func(s *story) {
		s.serving(shared(2))
		done := s.roll(shared(2))
		for i := range 2 {
			fresh := s.life(s.t, 2+i)
			if s.Status().Ready() != 2 || fresh.argv != "[app v2]" || fresh.index != i {
				s.t.Fatalf("copy %d: %d ready, new: %s as %d", i, s.Status().Ready(), fresh.argv, fresh.index)
			}
			s.wait(10 * time.Second) // it takes its time; nobody goes
			if s.Status().Ready() != 2 {
				s.t.Error("an old one has gone before the new one was ready")
			}
			s.ready(fresh)
			if s.Status().Ready() != 2 {
				s.t.Error("fewer serve than before")
			}
		}
		if got := s.result(done); got != "done" {
			s.t.Error(got)
		}
		for i, c := range s.Status().Copies {
			if c.State != Ready || c.PID != 103+i || c.Restarts != 1 {
				s.t.Errorf("%+v", c)
			}
		}
		for _, old := range s.lives[:2] {
			if got := fmt.Sprint(old.signals()); !strings.HasPrefix(got, "[TERM ") {
				s.t.Error(got)
			}
		}
		if n := s.Counts().Restarts["requested"]; n != 2 {
			s.t.Errorf("%d counted", n)
		}
		if got := fmt.Sprint(s.sockets.history()); got != "[open]" {
			s.t.Errorf("sockets: %s", got)
		}
		// The new copies are regular ones from now on: a crash brings them back.
		s.lives[2].end(exited(1))
		s.wait(time.Second)
		if l := s.life(s.t, 4); l.argv != "[app v2]" {
			s.t.Errorf("%s", l.argv)
		}
	})
	tell(t, "a program that binds by itself is stopped first", func(s *story) {
		spec := copies(2, checked())
		s.serving(spec)
		done := s.roll(spec)
		fresh := s.life(s.t, 2)
		if s.Status().Ready() != 1 || !s.of(fresh.index)[0].closed {
			s.t.Error("the old one lives beside the new one")
		}
		s.ready(fresh)
		s.ready(s.life(s.t, 3))
		if got := s.result(done); got != "done" || s.Status().Ready() != 2 {
			s.t.Error(got)
		}
	})
	tell(t, "an old one takes its time to go", func(s *story) {
		s.serving(shared(1))
		old := s.lives[0]
		old.on = nil // a download
		done := s.roll(shared(1))
		s.ready(s.life(s.t, 1))
		s.wait(3 * time.Second)
		if s.Status().Ready() != 1 {
			s.t.Error("not ready")
		}
		old.end(exited(0))
		if got := s.result(done); got != "done" {
			s.t.Error(got)
		}
	})
	tell(t, "a copy that was given up comes back", func(s *story) {
		spec := shared(2)
		spec.Fatal = []int{3}
		s.born = obedient
		s.start(spec)
		s.life(s.t, 1)
		s.ready(s.lives[1])
		s.lives[0].end(exited(3))
		failed, other := s.lives[0].index, s.lives[1].index
		s.expect(failed, Failed)
		done := s.roll(spec)
		s.ready(s.life(s.t, 2))
		s.ready(s.life(s.t, 3))
		if got := s.result(done); got != "done" {
			s.t.Error(got)
		}
		s.expect(failed, Ready)
		s.expect(other, Ready)
		s.Stop()
		if o := s.outcome(); o.Code != 0 {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "twice", func(s *story) {
		s.serving(shared(1))
		for i := range 2 {
			done := s.roll(shared(1))
			s.ready(s.life(s.t, 1+i))
			if got := s.result(done); got != "done" {
				s.t.Error(got)
			}
		}
		if c := s.Status().Copies[0]; c.PID != 103 || c.Restarts != 2 {
			s.t.Errorf("%+v", c)
		}
	})
}

// A place that never served counts as started when the copy that does is its own.
func TestARestartMayBeTheFirstThatServes(t *testing.T) {
	tell(t, "", func(s *story) {
		s.born = obedient
		s.start(shared(1))
		s.life(s.t, 0)
		done := s.roll(shared(1))
		s.wait(time.Second)
		if s.Status().Started {
			s.t.Error("started before anything was ready")
		}
		s.ready(s.life(s.t, 1))
		if got := s.result(done); got != "done" || !s.Status().Started {
			s.t.Errorf("%s: %+v", got, s.Status())
		}
	})
}

// A release that does not work ends the roll; the old copies go on serving.
func TestARollThatFails(t *testing.T) {
	still := func(s *story, done <-chan error, want string) {
		s.t.Helper()
		if got := s.result(done); got != want {
			s.t.Errorf("%q, not %q", got, want)
		}
		if status := s.Status(); status.Ready() != 2 || status.Copies[0].PID != 101 && status.Copies[0].PID != 102 {
			s.t.Errorf("the old copies do not serve: %+v", status)
		}
		s.wait(time.Hour)
		if s.Status().Ready() != 2 || s.count() != 3 {
			s.t.Errorf("an hour later: %d ready, %d lives", s.Status().Ready(), s.count())
		}
		s.Stop()
		if o := s.outcome(); o.Code != 0 {
			s.t.Errorf("%+v", o)
		}
	}
	tell(t, "it crashes at import", func(s *story) {
		s.serving(shared(2))
		done := s.roll(shared(2))
		s.life(s.t, 2).end(exited(3))
		still(s, done, "new copy 0 failed: exit code 3")
	})
	tell(t, "it hangs at import", func(s *story) {
		spec := shared(2)
		spec.Health.StartPeriod = 10 * time.Second
		s.serving(spec)
		done := s.roll(spec)
		s.life(s.t, 2)
		began := time.Now()
		still(s, done, "new copy 0 was not ready within 1m10s")
		if got := s.lives[2].signals(); len(got) == 0 || got[0] != "TERM 103 1m10s" || time.Since(began) < time.Hour {
			s.t.Errorf("%v", got)
		}
	})
	tell(t, "there is no such program", func(s *story) {
		s.serving(shared(2))
		s.refuse = always(errMissing)
		done := s.roll(shared(2))
		if got := s.result(done); got != "new copy 0 failed: cannot run app: not found in PATH" {
			s.t.Error(got)
		}
		s.refuse = nil
		if s.Status().Ready() != 2 {
			s.t.Error("the old ones do not serve")
		}
	})
	tell(t, "it dies in the moment of its acceptance", func(s *story) {
		s.serving(shared(2))
		done := s.roll(shared(2))
		l := s.life(s.t, 2)
		p := s.probeOf(s.t, l)
		p.ready(true)
		l.end(exited(1)) // which is first is the scheduler's choice
		for range 600 {  // a probe that finds everybody well
			s.wait(time.Second)
			for _, p := range s.probes {
				p.ready(true)
			}
		}
		got := s.result(done)
		if status := s.Status(); status.Ready() != 2 {
			s.t.Errorf("%q: a place is left empty: %+v", got, status)
		}
	})
	tell(t, "it has died just before its acceptance", func(s *story) {
		s.serving(shared(1))
		next := newCopy(release(shared(1)), 0, s.group.parts)
		next.trial.Store(rejected) // by its own goroutine, which has not reported yet
		place := s.group.slots[0]
		place.next = next
		if s.group.promote(place) || place.current == next {
			s.t.Error("accepted: nobody would start it again")
		}
		place.next = nil
	})
	tell(t, "one that binds by itself goes on trying", func(s *story) {
		spec := copies(2, checked())
		s.serving(spec)
		done := s.roll(spec)
		s.life(s.t, 2).end(exited(1))
		if got := s.result(done); got != "new copy 0 failed: exit code 1" {
			s.t.Error(got)
		}
		s.wait(time.Second)
		if s.Status().Ready() != 1 || s.life(s.t, 3).argv != "[app v2]" {
			s.t.Errorf("%+v", s.Status())
		}
	})
}

func TestARestartDuringSomethingElse(t *testing.T) {
	tell(t, "a restart", func(s *story) {
		s.serving(shared(1))
		done := s.roll(shared(1))
		fresh := s.life(s.t, 1)
		if got := text(s.Restart(shared(1))); got != "a restart is under way" {
			s.t.Error(got)
		}
		s.ready(fresh)
		if got := s.result(done); got != "done" {
			s.t.Error(got)
		}
	})
	tell(t, "nothing", func(s *story) {
		if got := text(s.Restart(shared(1))); got != "nothing runs yet" {
			s.t.Error(got)
		}
	})
	tell(t, "a stop", func(s *story) {
		s.serving(shared(1))
		s.lives[0].on = nil
		s.Stop()
		if got := text(s.Restart(shared(1))); got != "stopping" {
			s.t.Error(got)
		}
		if s.count() != 1 {
			s.t.Error("started all the same")
		}
	})
	tell(t, "the end", func(s *story) {
		spec := shared(1)
		spec.Restart = command.OnFailure
		s.serving(spec)
		s.lives[0].end(exited(0))
		s.outcome()
		if got := text(s.Restart(spec)); got != "web has ended" || s.count() != 1 {
			s.t.Errorf("%s, %d lives", got, s.count())
		}
	})
}

// A stop takes all that come and go.
func TestAStopDuringARestart(t *testing.T) {
	for _, n := range []int{1, 2} {
		tell(t, fmt.Sprintf("of %d, the new one not ready", n), func(s *story) {
			s.serving(shared(n))
			done := s.roll(shared(n))
			s.life(s.t, n)
			s.Stop()
			if got := s.result(done); got != "stopping" {
				s.t.Error(got)
			}
			if o := s.outcome(); o.Code != 0 || !o.Stopped || o.Killed {
				s.t.Errorf("%+v", o)
			}
		})
		tell(t, fmt.Sprintf("of %d, the old one on its way out", n), func(s *story) {
			s.serving(shared(n))
			for _, l := range s.lives {
				l.on = nil
			}
			old := s.of(0)[0]
			done := s.roll(shared(n))
			s.ready(s.life(s.t, n))
			s.Stop()
			s.wait(time.Second) // the new one has ended by now
			if isClosed(old.empty) || len(s.over) > 0 {
				s.t.Fatal("the old one is not waited for")
			}
			for range 2 {
				s.Stop()
			}
			s.wait(0)
			if got := fmt.Sprint(old.signals()); !strings.Contains(got, "KILL group 1s") {
				s.t.Errorf("the third request does not reach the old one at once: %s", got)
			}
			o := s.outcome()
			if !isClosed(old.empty) || o.Code != 137 {
				s.t.Errorf("the third request does not reach the old one: %+v", o)
			}
			s.result(done)
		})
	}
	tell(t, "a program that binds by itself, between the old one and the new one", func(s *story) {
		spec := copies(1, checked())
		s.serving(spec)
		s.lives[0].on = nil
		done := s.roll(spec)
		s.wait(time.Second)
		s.Stop()
		s.lives[0].end(exited(0))
		if got := s.result(done); got != "stopping" {
			s.t.Error(got)
		}
		if o := s.outcome(); o.Code != 0 || s.count() != 1 {
			s.t.Errorf("%+v, %d lives", o, s.count())
		}
	})
	tell(t, "a drain", func(s *story) {
		spec := shared(1)
		spec.Drain = 5 * time.Second
		s.serving(spec)
		done := s.roll(spec)
		s.life(s.t, 1)
		s.Stop()
		if got := s.result(done); got != "stopping" {
			s.t.Error(got)
		}
		s.expect(0, Ready) // the old one, until the drain is over
		if got := s.lives[0].signals(); len(got) != 0 {
			s.t.Errorf("%v", got)
		}
		if o := s.outcome(); o.Code != 0 {
			s.t.Errorf("%+v", o)
		}
	})
}

// A crash of the old copy during the roll is the roll's business only in so far
// as the new one takes its place.
func TestAnOldCopyDiesDuringARestart(t *testing.T) {
	tell(t, "", func(s *story) {
		s.serving(shared(1))
		done := s.roll(shared(1))
		fresh := s.life(s.t, 1)
		s.lives[0].end(killedBy(syscall.SIGKILL))
		s.wait(100 * time.Millisecond)
		s.expect(0, Backoff)
		s.ready(fresh)
		if got := s.result(done); got != "done" {
			s.t.Error(got)
		}
		s.wait(time.Minute)
		if status := s.Status(); status.Ready() != 1 || status.Copies[0].PID != 102 || s.count() != 2 {
			s.t.Errorf("%+v, %d lives", status, s.count())
		}
	})
}
