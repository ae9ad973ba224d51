package supervisor

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
)

// forward sends through Forward, as main does.
func (s *story) forward(rewrite command.SignalMap, signals ...syscall.Signal) (restarts int) {
	s.t.Helper()
	arrives, stop, ended := make(chan os.Signal), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		s.Forward(arrives, rewrite, func() { restarts++ }, stop)
	}()
	for _, sig := range signals {
		arrives <- sig
		s.wait(0)
	}
	close(stop)
	<-ended
	return restarts
}

func TestSignalsReachEveryMainProcess(t *testing.T) {
	tell(t, "", func(s *story) {
		spec := copies(2, atOnce())
		spec.Unsent = []syscall.Signal{syscall.SIGUSR2}
		s.start(spec)
		s.beside(s.life(s.t, 1))
		rewrite, err := command.ParseSignalMap("USR1:0,HUP:restart,TTIN:WINCH")
		if err != nil {
			s.t.Fatal(err)
		}
		restarts := s.forward(rewrite, syscall.SIGTTOU, syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGUSR2, 37)
		for _, l := range s.lives {
			pid := strconv.Itoa(l.PID())
			l.expect(s.t, "TTOU "+pid+" 0s", "WINCH "+pid+" 0s", "RTMIN+3 "+pid+" 0s")
		}
		if restarts != 1 {
			s.t.Errorf("%d restarts", restarts)
		}
		want := map[SignalKey]uint64{
			{"TTOU", "forwarded"}: 1, {"USR1", "dropped"}: 1, {"HUP", "restart"}: 1, {"TTIN", "rewritten"}: 1,
			{"WINCH", "forwarded"}: 1, {"USR2", "withheld"}: 1, {"RTMIN+3", "forwarded"}: 1,
		}
		if diff := cmp.Diff(want, s.Counts().Signals); diff != "" {
			s.t.Error(diff)
		}
		if s.countSaid("signal not passed on") != 1 {
			s.t.Errorf("%q", s.log.said())
		}
	})
}

func TestTermIntAndQuitAskForTheStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		tell(t, sig.String(), func(s *story) {
			s.born = obedient
			s.start(atOnce())
			l := s.life(s.t, 0)
			s.forward(nil, sig)
			if o := s.outcome(); o.Code != 0 || !o.Stopped {
				s.t.Errorf("%+v", o)
			}
			l.expect(s.t, "TERM 101 0s") // whatever was asked with, the stages are the spec's
			if n := s.Counts().Signals[SignalKey{command.SignalName(sig), "stop"}]; n != 1 {
				s.t.Errorf("%v", s.Counts().Signals)
			}
		})
	}
	tell(t, "what stops may be rewritten", func(s *story) {
		s.start(atOnce())
		l := s.life(s.t, 0)
		s.forward(command.SignalMap{syscall.SIGINT: {To: syscall.SIGUSR1}, syscall.SIGHUP: {To: syscall.SIGTERM}}, syscall.SIGINT)
		l.expect(s.t, "USR1 101 0s")
		s.expect(0, Ready)
		s.forward(command.SignalMap{syscall.SIGHUP: {To: syscall.SIGTERM}}, syscall.SIGHUP)
		s.expect(0, Stopping)
	})
}

func TestASignalFindsWhoIsThere(t *testing.T) {
	tell(t, "nobody yet", func(s *story) {
		s.Signal(syscall.SIGUSR1)
		if n := s.Counts().Signals[SignalKey{"USR1", "nobody"}]; n != 1 {
			s.t.Errorf("%v", s.Counts().Signals)
		}
	})
	tell(t, "one that waits to come back does not get it later", func(s *story) {
		s.start(atOnce())
		s.life(s.t, 0).end(exited(1))
		s.expect(0, Backoff)
		for range 100 { // more than the queue holds: nobody blocks
			s.Signal(syscall.SIGUSR1)
		}
		s.wait(time.Second)
		s.life(s.t, 1).expect(s.t)
	})
	tell(t, "one that comes back at once does not either", func(s *story) {
		s.begin(atOnce())
		c := s.group.slots[0].current
		for range 100 { // a wait that is over may win against a signal
			c.signals <- syscall.SIGUSR1
			if !c.pause(0) || len(c.signals) != 0 {
				s.t.Fatal("a signal is kept for the next life")
			}
		}
	})
}
