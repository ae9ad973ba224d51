package supervisor

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
)

func (l *fakeLife) expect(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, l.signals()); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
}

// TERM, then CONT for those that were stopped, QUIT at its time, KILL to the
// group at the end.
func TestStagesOfAStop(t *testing.T) {
	tell(t, "nothing helps", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.wait(10 * time.Second)
		s.Stop()
		o := s.outcome()
		l.expect(s.t, "TERM 101 10s", "CONT 101 10s", "QUIT 101 15s", "KILL group 18s")
		if o.Code != 137 || !o.Killed || !o.Stopped {
			s.t.Errorf("%+v", o)
		}
		if n := s.Counts().KilledAfterGrace; n != 1 {
			s.t.Errorf("%d counted as killed", n)
		}
		if exit := s.Status().Copies[0].LastExit; exit.Code != 137 || exit.Reason != ByKill || exit.Signal != syscall.SIGKILL {
			s.t.Errorf("%+v", exit)
		}
	})
	tell(t, "TERM is enough", func(s *story) {
		s.born = obedient
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.Stop()
		o := s.outcome()
		l.expect(s.t, "TERM 101 0s")
		if o.Code != 0 || o.Killed {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "QUIT is", func(s *story) {
		s.born = func(l *fakeLife) {
			l.on = func(l *fakeLife, sig syscall.Signal) {
				if sig == syscall.SIGQUIT {
					l.end(exited(0))
				}
			}
		}
		s.start(atOnce())
		s.life(s.t, 0)
		s.Stop()
		if o := s.outcome(); o.Code != 0 || o.Killed {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "a D state does not hold the container", func(s *story) {
		s.born = func(l *fakeLife) { l.immortal = true }
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.Stop()
		began := time.Now()
		if o := s.outcome(); o.Code != 137 || time.Since(began) != 9*time.Second {
			s.t.Errorf("%+v after %s", o, time.Since(began))
		}
		if exit := s.Status().Copies[0].LastExit; exit.Code != 137 || exit.Reason != ByKill {
			s.t.Errorf("what survives KILL has not ended with 0: %+v", exit)
		}
		if said := strings.Join(s.log.said(), "\n"); !strings.Contains(said, "web does not die of KILL: 101 app (S)") {
			s.t.Errorf("not said:\n%s", said)
		}
		l.Kill()
	})
}

// A TERM to celery's whole group would kill its running tasks: only the main
// process is asked, and then whoever is the oldest of those that are left.
func TestTheMainProcessAloneIsAsked(t *testing.T) {
	tell(t, "", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0) // 101
		second, third := s.beside(l), s.beside(l)
		s.Stop()
		s.wait(time.Second)
		l.expect(s.t, "TERM 101 0s", "CONT 101 0s")
		l.end(killedBy(syscall.SIGTERM)) // a shell; its server hears nothing of it
		s.wait(time.Second)
		l.expect(s.t, "TERM 101 0s", "CONT 101 0s", "TERM 102 1s", "CONT 102 1s")
		l.endOther(second, exited(0))
		s.wait(4 * time.Second) // QUIT at its time, to the one that is left
		l.expect(s.t, "TERM 101 0s", "CONT 101 0s", "TERM 102 1s", "CONT 102 1s", "TERM 103 2s", "CONT 103 2s", "QUIT 103 5s")
		l.endOther(third, exited(7))
		if o := s.outcome(); o.Code != 0 || o.Killed {
			s.t.Errorf("%+v", o)
		}
		if exit := s.Status().Copies[0].LastExit; exit.Code != 143 {
			s.t.Errorf("the end of the main process that was asked is the copy's, not %+v", exit)
		}
	})
}

// The leader ends, its sibling ignores TERM: it is killed at the deadline all the
// same.
func TestEscalationFollowsTheGroup(t *testing.T) {
	tell(t, "", func(s *story) {
		s.born = obedient
		s.start(atOnce())
		l := s.life(s.t, 0)
		stubborn := s.beside(l)
		l.on = func(l *fakeLife, sig syscall.Signal) {
			if sig == syscall.SIGTERM && l.PID() == 101 {
				l.end(exited(0))
			}
		}
		s.Stop()
		o := s.outcome()
		if !stubborn.over() || o.Code != 137 || !o.Killed {
			s.t.Errorf("%+v, sibling over: %v", o, stubborn.over())
		}
	})
}

func TestThreeRequests(t *testing.T) {
	draining := atOnce()
	draining.Drain = 5 * time.Second
	draining.Stop = command.Stages{{Signal: syscall.SIGTERM, Wait: 3 * time.Second}, {Signal: syscall.SIGKILL}}
	tell(t, "the drain serves on", func(s *story) {
		s.born = obedient
		s.start(draining)
		l := s.life(s.t, 0)
		s.Stop()
		s.expect(0, Ready)
		if status := s.Status(); !status.Draining || !status.Stopping || status.StopAsked.IsZero() {
			s.t.Errorf("%+v", status)
		}
		s.outcome()
		l.expect(s.t, "TERM 101 5s")
	})
	tell(t, "the second skips the drain", func(s *story) {
		s.start(draining)
		l := s.life(s.t, 0)
		s.Stop()
		s.wait(time.Second)
		s.Stop()
		if s.expect(0, Stopping); s.Status().Draining {
			s.t.Error("still draining")
		}
		s.outcome()
		l.expect(s.t, "TERM 101 1s", "CONT 101 1s", "KILL group 4s")
	})
	tell(t, "the second without a drain changes nothing", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.Stop()
		s.wait(time.Second)
		s.Stop()
		s.outcome()
		l.expect(s.t, "TERM 101 0s", "CONT 101 0s", "QUIT 101 5s", "KILL group 8s")
	})
	tell(t, "the third kills", func(s *story) {
		s.start(draining)
		l := s.life(s.t, 0)
		s.Stop()
		s.Stop()
		s.wait(time.Second)
		s.Stop()
		if o := s.outcome(); o.Code != 137 {
			s.t.Errorf("%+v", o)
		}
		l.expect(s.t, "TERM 101 0s", "CONT 101 0s", "KILL group 1s")
	})
	tell(t, "three at once", func(s *story) {
		s.start(draining)
		l := s.life(s.t, 0)
		s.Stop()
		s.Stop()
		s.Stop()
		if o := s.outcome(); o.Code != 137 || len(l.signals()) == 0 {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "a copy that dies during the drain comes back for the rest of it", func(s *story) {
		s.born = obedient
		s.start(draining)
		s.life(s.t, 0)
		s.Stop()
		s.life(s.t, 0).end(exited(1))
		s.wait(time.Second)
		s.expect(0, Ready)
		if o := s.outcome(); o.Code != 0 {
			s.t.Errorf("%+v", o)
		}
	})
}

// Stages that do not end in KILL are somebody's wish: the group is waited for,
// and the third request still kills.
func TestStagesWithoutKill(t *testing.T) {
	spec := atOnce()
	spec.Stop = command.Stages{{Signal: syscall.SIGTERM, Wait: 5 * time.Second}}
	tell(t, "it takes its time", func(s *story) {
		s.start(spec)
		l := s.life(s.t, 0)
		s.Stop()
		s.wait(30 * time.Minute)
		s.expect(0, Stopping)
		l.end(exited(0))
		if o := s.outcome(); o.Code != 0 || o.Killed {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "the third request", func(s *story) {
		s.start(spec)
		s.life(s.t, 0)
		for range 3 {
			s.Stop()
			s.wait(10 * time.Second)
		}
		if o := s.outcome(); o.Code != 137 {
			s.t.Errorf("%+v", o)
		}
	})
}

// A KILL between two lives is not the stop's doing: that one was clean.
func TestAnOldKillIsNotTheStops(t *testing.T) {
	tell(t, "", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.beside(l)
		s.born = obedient
		l.end(exited(1)) // and the rest of its group is killed
		s.wait(time.Minute)
		if s.Counts().KilledAfterGrace != 1 || s.count() != 2 {
			s.t.Fatalf("%+v", s.Counts())
		}
		s.Stop()
		if o := s.outcome(); o.Code != 0 || o.Killed {
			s.t.Errorf("%+v", o)
		}
	})
}

// A signal that arrives during a stop still reaches the program: celery's second
// INT, a QUIT by hand.
func TestSignalsDuringAStop(t *testing.T) {
	tell(t, "", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.Stop()
		s.wait(time.Second)
		s.Signal(syscall.SIGUSR1)
		s.wait(time.Second)
		l.expect(s.t, "TERM 101 0s", "CONT 101 0s", "USR1 101 1s")
	})
}

func TestSurvivorsAreNamed(t *testing.T) {
	tell(t, "", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		for range 20 {
			s.beside(l)
		}
		s.Stop()
		s.wait(5 * time.Second)
		var named []string
		for _, line := range s.log.said() {
			if strings.Contains(line, "still there") {
				named = append(named, line)
			}
		}
		if len(named) != 2 || !strings.HasSuffix(named[0], "109 app (S) and 13 more") {
			s.t.Errorf("%q", named)
		}
	})
}

// What an end that was asked for is told as: a server's own codes are clean where
// the spec says so.
func TestUncleanCodesAreSaid(t *testing.T) {
	for _, test := range []struct {
		name   string
		status syscall.WaitStatus
		want   string
	}{
		{"0", exited(0), "INFO web stopped: exit code 0"},
		{"TERM", killedBy(syscall.SIGTERM), "INFO web stopped: killed by TERM"},
		{"puma's 143", exited(143), "INFO web stopped: exit code 143"},
		{"uwsgi's 30", exited(30), "INFO web stopped: exit code 30"},
		{"1", exited(1), "WARN web stopped, but not cleanly: exit code 1"},
		{"a fault", killedBy(syscall.SIGSEGV), "WARN web stopped, but not cleanly: killed by SEGV"},
	} {
		tell(t, test.name, func(s *story) {
			spec := atOnce()
			spec.Clean = []int{30}
			s.start(spec)
			l := s.life(s.t, 0)
			s.Stop()
			s.expect(0, Stopping)
			l.end(test.status)
			if o := s.outcome(); o.Code != 0 {
				s.t.Errorf("%+v", o)
			}
			said := s.log.said()
			if last := said[len(said)-1]; last != test.want {
				s.t.Errorf("%q, not %q", last, test.want)
			}
		})
	}
}
