package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
)

func copies(n int, spec command.Spec) command.Spec {
	spec.Copies = n
	return spec
}

// countSaid is how often the log has a line with that in it.
func (s *story) countSaid(part string) int {
	return strings.Count(strings.Join(s.log.said(), "\n"), part)
}

func TestACrashedCopyComesBackAndTheOthersServe(t *testing.T) {
	tell(t, "", func(s *story) {
		s.start(copies(3, atOnce()))
		s.life(s.t, 2)
		for _, l := range s.lives {
			if l.index == 1 {
				l.end(killedBy(syscall.SIGSEGV))
			}
		}
		s.expect(0, Ready)
		s.expect(1, Backoff)
		if status := s.Status(); status.Ready() != 2 || status.Desired != 3 || !status.Started || status.Copies[1].PID != 0 {
			s.t.Errorf("%+v", status)
		}
		s.wait(500 * time.Millisecond)
		s.expect(1, Ready)
		status := s.Status().Copies[1]
		if status.PID != 104 || status.Restarts != 1 || status.LastExit.Code != 139 || status.LastExit.Reason != BySignal {
			s.t.Errorf("%+v, %+v", status, status.LastExit)
		}
		want := Counts{
			Starts: 4, Exits: map[ExitKey]uint64{{139, "SEGV", BySignal}: 1}, Restarts: map[Reason]uint64{BySignal: 1},
		}
		if diff := cmp.Diff(want, s.Counts()); diff != "" {
			s.t.Error(diff)
		}
	})
}

// The fifth death within a minute is a copy's last; the group ends when no copy
// is left, with the last one's code.
func TestGivingUp(t *testing.T) {
	tell(t, "one copy", func(s *story) {
		s.born = func(l *fakeLife) { l.main.end(exited(7)); l.close() }
		s.start(webSpec())
		began := time.Now()
		o := s.outcome()
		if o.Code != 7 || o.Stopped || o.Why != "web failed: exit code 7" {
			s.t.Errorf("%+v", o)
		}
		if took := time.Since(began); took != 7500*time.Millisecond || s.count() != 5 {
			s.t.Errorf("%d lives in %s", s.count(), took)
		}
	})
	tell(t, "0 again and again is not 0", func(s *story) {
		s.born = func(l *fakeLife) { l.main.end(exited(0)); l.close() }
		s.start(webSpec())
		if o := s.outcome(); o.Code != 1 {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "the other copy goes on", func(s *story) {
		s.born = func(l *fakeLife) {
			if l.index == 0 {
				l.main.end(exited(7))
				l.close()
			}
		}
		s.start(copies(2, webSpec()))
		s.wait(time.Hour)
		s.expect(0, Failed)
		s.expect(1, Ready)
		s.Stop()
		if o := s.outcome(); o.Code != 137 { // it hears no TERM
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "the last to fail is the code", func(s *story) {
		spec := copies(2, webSpec())
		spec.Fatal = []int{3, 4}
		s.start(spec)
		s.life(s.t, 1)
		s.lives[1].end(exited(4))
		s.wait(time.Second)
		s.lives[0].end(exited(3))
		if o := s.outcome(); o.Code != 3 {
			s.t.Errorf("%+v", o)
		}
	})
}

// However patient the backoff is: nothing alive for a minute is the end. A try
// that the kernel refuses is no life.
func TestNoCopyAliveForAMinute(t *testing.T) {
	patient := webSpec()
	patient.Backoff = command.Backoff{First: 10 * time.Second, Cap: 10 * time.Second}
	patient.GiveUp.Deaths = 1000
	tell(t, "the kernel refuses", func(s *story) {
		s.refuse = always(errBusy)
		s.start(patient)
		began := time.Now()
		if o := s.outcome(); o.Code != 1 || !strings.Contains(o.Why, "the kernel refuses") {
			s.t.Errorf("%+v", o)
		}
		if took := time.Since(began); took != time.Minute {
			s.t.Errorf("after %s", took)
		}
	})
	tell(t, "a longer backoff", func(s *story) {
		patient := patient
		patient.Backoff.First, patient.Backoff.Cap = time.Hour, time.Hour
		s.start(copies(2, patient))
		s.life(s.t, 1)
		s.lives[0].end(exited(5))
		s.wait(10 * time.Minute)
		s.lives[1].end(exited(6))
		began := time.Now()
		if o := s.outcome(); o.Code != 6 || time.Since(began) != time.Minute {
			s.t.Errorf("%+v after %s", o, time.Since(began))
		}
	})
	tell(t, "a short life begins the minute anew", func(s *story) {
		s.start(patient)
		for i := range 20 {
			s.life(s.t, i).end(exited(5))
			s.wait(10 * time.Second)
		}
		s.expect(0, Running)
	})
	tell(t, "a stop comes first", func(s *story) {
		s.refuse = always(errBusy)
		s.start(patient)
		s.wait(59 * time.Second)
		s.Stop()
		if o := s.outcome(); o.Code != CodeStoppedEarly || !o.Stopped {
			s.t.Errorf("%+v", o)
		}
	})
}

// Clients are let in before the first copy is forked, refused while none lives.
func TestSocketsAreOpenWhileACopyLives(t *testing.T) {
	bound := copies(2, atOnce())
	bound.Bind = []command.Address{{Port: 8000}}
	tell(t, "", func(s *story) {
		s.begin(bound)
		if got := s.sockets.history(); len(got) != 0 {
			s.t.Errorf("before the start: %v", got)
		}
		s.run()
		s.life(s.t, 1)
		s.lives[0].end(exited(1))
		if got := fmt.Sprint(s.sockets.history()); got != "[open]" {
			s.t.Errorf("while one lives: %v", got)
		}
		s.lives[1].end(exited(1))
		if got := fmt.Sprint(s.sockets.history()); got != "[open shut]" {
			s.t.Errorf("while none lives: %v", got)
		}
		s.wait(500 * time.Millisecond)
		if got := fmt.Sprint(s.sockets.history()); got != "[open shut open]" {
			s.t.Errorf("when they are back: %v", got)
		}
	})
	tell(t, "the start fails", func(s *story) {
		s.refuse = func(n int) error {
			if n == 0 {
				return errBusy
			}
			return nil
		}
		s.start(copies(1, bound))
		s.expect(0, Backoff)
		if got := fmt.Sprint(s.sockets.history()); got != "[open shut]" {
			s.t.Errorf("%v", got)
		}
	})
	tell(t, "they cannot be opened", func(s *story) {
		s.sockets.fail = syscall.EADDRINUSE
		s.start(copies(1, bound))
		s.expect(0, Backoff)
		if s.tries != 0 {
			s.t.Error("forked all the same")
		}
	})
	tell(t, "not ours", func(s *story) {
		s.start(atOnce())
		s.life(s.t, 0).end(exited(1))
		if got := s.sockets.history(); len(got) != 0 {
			s.t.Errorf("%v", got)
		}
	})
}

// A script that starts its server in the background and ends: the server is the
// copy, and its end is the copy's.
func TestTheBackgroundServerIsTheCopy(t *testing.T) {
	tell(t, "it is adopted, and ends", func(s *story) {
		s.start(webSpec())
		l := s.life(s.t, 0)
		server := s.beside(l)
		since := s.Status().Copies[0].Since
		s.wait(time.Second)
		l.end(exited(0))
		s.expect(0, Running)
		if c := s.Status().Copies[0]; c.PID != server.pid || c.Since != since || c.Restarts != 0 {
			s.t.Errorf("%+v", c)
		}
		s.wait(time.Second)
		s.expect(0, Ready)
		s.Signal(syscall.SIGHUP)
		s.wait(time.Second)
		l.expect(s.t, "HUP 102 2s")
		l.end(exited(5))
		s.expect(0, Backoff)
		if exit := s.Status().Copies[0].LastExit; exit.Code != 5 {
			s.t.Errorf("%+v", exit)
		}
	})
	tell(t, "a chain of them", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.beside(l)
		third := s.beside(l)
		l.end(exited(0))
		s.expect(0, Ready)
		l.end(exited(0))
		s.expect(0, Ready)
		if c := s.Status().Copies[0]; c.PID != third.pid {
			s.t.Errorf("%+v", c)
		}
		l.end(exited(0))
		s.expect(0, Backoff)
	})
	tell(t, "a stop reaches it", func(s *story) {
		s.born = obedient
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.beside(l)
		l.end(exited(0))
		s.expect(0, Ready)
		s.Stop()
		if o := s.outcome(); o.Code != 0 {
			s.t.Errorf("%+v", o)
		}
		l.expect(s.t, "TERM 102 0s")
	})
	tell(t, "one that failed is not followed", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.beside(l)
		l.end(exited(1))
		s.expect(0, Stopping) // the rest is ended before the next start
		s.wait(9 * time.Second)
		s.expect(0, Ready)
		l.expect(s.t, "TERM 102 0s", "CONT 102 0s", "QUIT 102 5s", "KILL group 8s")
		if o := s.Counts(); o.KilledAfterGrace != 1 {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "a stop while the rest is ended", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.beside(l)
		l.end(exited(1))
		s.expect(0, Stopping)
		s.Stop()
		if o := s.outcome(); !o.Stopped || s.count() != 1 {
			s.t.Errorf("%+v, %d lives", o, s.count())
		}
	})
}

// What a program that runs once says is what the container says.
func TestOnce(t *testing.T) {
	tell(t, "its code", func(s *story) {
		s.start(taskSpec())
		s.expect(0, Ready)
		s.life(s.t, 0).end(exited(42))
		if o := s.outcome(); o.Code != 42 || o.Why != "task: exit code 42" {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "its signal", func(s *story) {
		s.start(taskSpec())
		s.life(s.t, 0).end(killedBy(syscall.SIGUSR1))
		if o := s.outcome(); o.Code != 138 {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "its code after a stop", func(s *story) {
		s.start(taskSpec())
		l := s.life(s.t, 0)
		s.Stop()
		s.expect(0, Stopping)
		l.end(exited(5))
		if o := s.outcome(); o.Code != 5 || !o.Stopped {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "TERM's code after a stop", func(s *story) {
		s.start(taskSpec())
		l := s.life(s.t, 0)
		s.Stop()
		s.expect(0, Stopping)
		l.end(killedBy(syscall.SIGTERM))
		if o := s.outcome(); o.Code != 143 {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "it is not restarted", func(s *story) {
		s.start(taskSpec())
		s.life(s.t, 0)
		if err := s.Restart(taskSpec()); err == nil || err.Error() != "task runs to its end" {
			s.t.Errorf("%v", err)
		}
	})
}

// run plays Run itself, with several programs.
func (s *story) runAll(timeout time.Duration, specs ...command.Spec) {
	go func() { s.over <- s.Supervisor.Run(specs, timeout) }()
}

func TestASequenceStopsAtTheFirstFailure(t *testing.T) {
	first, second, third := taskSpec(), taskSpec(), taskSpec()
	first.Name, second.Name, third.Name = "task 1", "task 2", "task 3"
	tell(t, "all of them", func(s *story) {
		s.runAll(0, first, second, third)
		for i := range 3 {
			s.life(s.t, i).end(exited(0))
		}
		if o := s.outcome(); o.Code != 0 || s.count() != 3 || o.Why != "task 3: exit code 0" {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "the second fails", func(s *story) {
		s.runAll(0, first, second, third)
		s.life(s.t, 0).end(exited(0))
		s.life(s.t, 1).end(exited(9))
		if o := s.outcome(); o.Code != 9 || s.count() != 2 || o.Why != "task 2: exit code 9" {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "a stop in the first, which ends with 0", func(s *story) {
		s.runAll(0, first, second)
		l := s.life(s.t, 0)
		s.Stop()
		l.end(exited(0))
		if o := s.outcome(); o.Code != 0 || !o.Stopped || s.count() != 1 {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "a stop between the two", func(s *story) {
		s.refuse = func(n int) error {
			if n == 1 { // the second is about to be forked
				s.Stop()
				return errBusy
			}
			return nil
		}
		s.runAll(0, first, second, third)
		s.life(s.t, 0).end(exited(0))
		if o := s.outcome(); o.Code == 0 || !o.Stopped || s.count() != 1 {
			s.t.Errorf("what was to run has not: %+v", o)
		}
	})
	tell(t, "a stop before the first", func(s *story) {
		s.Stop()
		s.runAll(0, first)
		if o := s.outcome(); o.Code != CodeStoppedEarly || !o.Stopped || s.count() != 0 {
			s.t.Errorf("%+v", o)
		}
		if !isClosed(s.Stopping()) {
			s.t.Error("Stopping is not told")
		}
	})
	tell(t, "nothing", func(s *story) {
		s.runAll(0)
		if o := s.outcome(); o.Code != 0 {
			s.t.Errorf("%+v", o)
		}
	})
}

func TestTimeoutIsForAllTogether(t *testing.T) {
	task := taskSpec()
	tell(t, "the second has the rest", func(s *story) {
		s.born = func(l *fakeLife) {
			l.on = func(l *fakeLife, sig syscall.Signal) {
				if sig == syscall.SIGTERM {
					l.end(exited(0)) // 0 or not: it was not finished
				}
			}
		}
		s.runAll(10*time.Second, task, task)
		first := s.life(s.t, 0)
		s.wait(7 * time.Second)
		first.end(exited(0))
		second := s.life(s.t, 1)
		s.wait(3 * time.Second)
		o := s.outcome()
		second.expect(s.t, "TERM 102 3s")
		if o.Code != CodeTimeout || o.Why != "task took longer than the timeout of 10s" {
			s.t.Errorf("%+v", o)
		}
	})
	tell(t, "in time", func(s *story) {
		s.runAll(10*time.Second, task)
		s.wait(9 * time.Second)
		s.life(s.t, 0).end(exited(3))
		if o := s.outcome(); o.Code != 3 {
			s.t.Errorf("%+v", o)
		}
		s.wait(time.Hour)
		if s.Status().Stopping {
			s.t.Error("the timer outlives what it was for")
		}
	})
	tell(t, "a stop before it is not a timeout", func(s *story) {
		s.runAll(10*time.Second, task)
		l := s.life(s.t, 0)
		s.wait(8 * time.Second)
		s.Stop()
		s.wait(4 * time.Second)
		l.end(exited(6))
		if o := s.outcome(); o.Code != 6 {
			s.t.Errorf("%+v", o)
		}
	})
}

func TestReadiness(t *testing.T) {
	tell(t, "every copy once", func(s *story) {
		s.start(copies(2, checked()))
		s.life(s.t, 1)
		s.probeOf(s.t, s.lives[0]).ready(true)
		s.wait(time.Second)
		if status := s.Status(); status.Started || status.Ready() != 1 || !status.ReadyAt.IsZero() {
			s.t.Errorf("%+v", status)
		}
		s.probeOf(s.t, s.lives[0]).ready(false)
		s.wait(time.Second)
		s.probeOf(s.t, s.lives[1]).ready(true)
		s.wait(time.Second)
		status := s.Status()
		if !status.Started || status.Ready() != 1 || time.Since(status.ReadyAt) != time.Second {
			s.t.Errorf("%+v", status)
		}
		if s.countSaid(" is ready") != 2 || s.countSaid("not ready any more") != 1 {
			s.t.Errorf("%q", s.log.said())
		}
	})
	tell(t, "the word on one life says nothing of the next", func(s *story) {
		spec := checked()
		spec.Backoff = command.Backoff{}
		s.start(spec)
		l := s.life(s.t, 0)
		p := s.probeOf(s.t, l)
		l.end(exited(1))
		p.ready(true) // too late
		p.replace("too late")
		s.wait(time.Second)
		s.expect(0, Running)
		if !isClosed(p.ended) {
			s.t.Error("the probe outlives the life")
		}
		if s.count() != 2 {
			s.t.Errorf("%d lives", s.count())
		}
	})
}

// A copy whose own check fails is replaced, but one at a time: what all depend on
// may be away.
func TestUnhealthyCopiesAreReplacedInTurn(t *testing.T) {
	tell(t, "one after the other", func(s *story) {
		s.born = obedient
		s.start(copies(3, checked()))
		s.life(s.t, 2)
		for _, l := range s.lives {
			s.probeOf(s.t, l).ready(true)
		}
		s.wait(time.Second)
		for _, l := range s.lives {
			p := s.probeOf(s.t, l)
			p.ready(false)
			p.replace("its check fails")
		}
		s.wait(time.Minute)
		if s.count() != 4 {
			s.t.Fatalf("%d lives: one is to be replaced, not all", s.count())
		}
		fourth := s.life(s.t, 3)
		if exit := s.Status().Copies[fourth.index].LastExit; exit.Reason != Unhealthy {
			s.t.Errorf("%+v", exit)
		}
		s.probeOf(s.t, fourth).ready(true) // what was away is back
		s.wait(time.Minute)
		if s.count() != 5 {
			s.t.Fatalf("%d lives: it is the next one's turn", s.count())
		}
		for _, l := range s.lives { // the third has recovered by itself meanwhile
			if !l.closed {
				s.probeOf(s.t, l).ready(true)
			}
		}
		s.wait(time.Minute)
		if s.count() != 5 || s.Status().Ready() != 3 {
			s.t.Errorf("%d lives, %+v", s.count(), s.Status())
		}
		if n := s.Counts().Restarts[Unhealthy]; n != 2 {
			s.t.Errorf("%d restarts counted", n)
		}
	})
	tell(t, "the only one", func(s *story) {
		s.born = obedient
		s.start(checked())
		for i := range 3 {
			p := s.probeOf(s.t, s.life(s.t, i))
			p.ready(true)
			s.wait(time.Minute)
			p.ready(false)
			p.replace("its check fails")
			s.wait(10 * time.Second)
		}
		if s.count() != 4 {
			s.t.Errorf("%d lives", s.count())
		}
	})
	tell(t, "one that is given up passes its turn on", func(s *story) {
		s.start(copies(2, checked()))
		s.life(s.t, 1)
		for _, l := range s.lives {
			s.probeOf(s.t, l).ready(true)
		}
		s.wait(time.Second)
		first, second := s.lives[0], s.lives[1]
		s.probeOf(s.t, first).replace("its check fails")
		s.wait(time.Second)
		s.probeOf(s.t, second).replace("its check fails")
		s.born = func(l *fakeLife) {
			if l.index == first.index {
				l.main.end(exited(1))
				l.close()
			}
		}
		first.end(exited(0))
		s.wait(5 * time.Minute)
		s.expect(first.index, Failed)
		if len(second.signals()) == 0 {
			s.t.Error("the second is never replaced")
		}
	})
	tell(t, "a stop while one waits for its turn", func(s *story) {
		s.start(copies(2, checked()))
		s.life(s.t, 1)
		for _, l := range s.lives {
			p := s.probeOf(s.t, l)
			p.ready(true)
			s.wait(time.Second)
			p.replace("its check fails")
		}
		s.wait(time.Second)
		s.Stop()
		if o := s.outcome(); o.Code != 137 {
			s.t.Errorf("%+v", o)
		}
	})
}

// beat's 73: a stale pid file is removed once, and the next try comes at once.
func TestStaleFile(t *testing.T) {
	with := func(t *testing.T, name string, play func(*story, string, command.Spec)) {
		dir := t.TempDir()
		tell(t, name, func(s *story) {
			spec := webSpec()
			spec.Dir, spec.Stale, spec.StaleCode = dir, "beat.pid", 73
			file := filepath.Join(dir, "beat.pid")
			if err := os.WriteFile(file, []byte("1\n"), 0o600); err != nil {
				s.t.Fatal(err)
			}
			s.start(spec)
			play(s, file, spec)
		})
	}
	gone := func(file string) bool { _, err := os.Lstat(file); return os.IsNotExist(err) }
	with(t, "removed, tried at once", func(s *story, file string, _ command.Spec) {
		s.life(s.t, 0).end(exited(73))
		s.wait(0)
		if s.expect(0, Running); !gone(file) || s.countSaid("removed a stale file that kept web from starting") != 1 {
			s.t.Errorf("%q", s.log.said())
		}
		s.wait(time.Minute)
		s.expect(0, Ready)
		// An earlier life of its own leaves one again.
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			s.t.Fatal(err)
		}
		s.life(s.t, 1).end(killedBy(syscall.SIGKILL))
		s.wait(time.Second)
		s.life(s.t, 2).end(exited(73))
		s.wait(0)
		if s.expect(0, Running); !gone(file) {
			s.t.Error("left the second time")
		}
	})
	with(t, "once", func(s *story, file string, _ command.Spec) {
		s.life(s.t, 0).end(exited(73))
		s.wait(0)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			s.t.Fatal(err)
		}
		s.life(s.t, 1).end(exited(73))
		s.wait(0)
		if s.expect(0, Backoff); gone(file) {
			s.t.Error("removed twice: who writes it lives")
		}
	})
	with(t, "another code", func(s *story, file string, _ command.Spec) {
		s.life(s.t, 0).end(exited(1))
		s.wait(0)
		if s.expect(0, Backoff); gone(file) {
			s.t.Error("removed")
		}
	})
	with(t, "no such file", func(s *story, file string, _ command.Spec) {
		os.Remove(file)
		s.life(s.t, 0).end(exited(73))
		s.wait(0)
		s.expect(0, Backoff)
	})
	with(t, "it cannot be removed", func(s *story, file string, _ command.Spec) {
		os.Remove(file)
		if err := os.MkdirAll(filepath.Join(file, "x"), 0o700); err != nil {
			s.t.Fatal(err)
		}
		s.life(s.t, 0).end(exited(73))
		s.wait(0)
		if s.expect(0, Backoff); s.countSaid("cannot remove the stale file of web") != 1 {
			s.t.Errorf("%q", s.log.said())
		}
	})
}

// The kernel counts its kills and does not name them.
func TestMemoryKills(t *testing.T) {
	kill := killedBy(syscall.SIGKILL)
	with := func(t *testing.T, name string, play func(s *story, kills *uint64)) {
		tell(t, name, func(s *story) {
			kills := uint64(5) // of before we came
			s.memory = newMemoryKills(func() uint64 { return kills })
			s.start(copies(2, atOnce()))
			s.life(s.t, 1)
			play(s, &kills)
		})
	}
	reason := func(s *story, l *fakeLife) Reason {
		s.wait(0)
		return s.Status().Copies[l.index].LastExit.Reason
	}
	with(t, "the main process", func(s *story, kills *uint64) {
		*kills = 6
		s.lives[0].end(kill)
		if r := reason(s, s.lives[0]); r != ByOOM {
			s.t.Errorf("%s", r)
		}
		if s.countSaid("ended: killed for memory (the container's limit)") != 1 {
			s.t.Errorf("%q", s.log.said())
		}
		s.wait(time.Second) // the second is killed by hand, later
		s.lives[1].end(kill)
		if r := reason(s, s.lives[1]); r != BySignal {
			s.t.Errorf("an old kill is taken for this one: %s", r)
		}
	})
	with(t, "both at once", func(s *story, kills *uint64) {
		*kills = 7
		s.lives[0].end(kill)
		s.lives[1].end(kill)
		if a, b := reason(s, s.lives[0]), reason(s, s.lives[1]); a != ByOOM || b != ByOOM {
			s.t.Errorf("%s, %s", a, b)
		}
	})
	with(t, "somebody else's KILL", func(s *story, kills *uint64) {
		s.lives[0].end(kill)
		if r := reason(s, s.lives[0]); r != BySignal {
			s.t.Errorf("%s", r)
		}
	})
	with(t, "a process of its", func(s *story, kills *uint64) {
		*kills = 6
		s.lives[0].end(exited(1))
		if r := reason(s, s.lives[0]); r != ByExit || s.countSaid("was killed for memory") != 1 {
			s.t.Errorf("%s %q", r, s.log.said())
		}
	})
}

// The last lines of a copy that died are shown with its end.
func TestLastLinesAreShown(t *testing.T) {
	tell(t, "", func(s *story) {
		s.born = func(l *fakeLife) { l.output = []string{"Traceback", "KeyError"} }
		s.start(atOnce())
		s.life(s.t, 0).end(exited(1))
		s.expect(0, Backoff)
		said := s.log.said()
		want := []string{"WARN web ended: exit code 1; it is started again", "WARN web last wrote: Traceback", "WARN web last wrote: KeyError"}
		if diff := cmp.Diff(want, said[len(said)-3:]); diff != "" {
			s.t.Error(diff)
		}
	})
}

func TestNamesOfCopies(t *testing.T) {
	for want, spec := range map[string]command.Spec{"web": webSpec(), "web.3": copies(4, webSpec())} {
		if got := copyName(spec, 3); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
