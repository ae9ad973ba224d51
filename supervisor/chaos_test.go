package supervisor

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// Whatever happens in whatever order: every transition is in the table, three
// requests end it, every life is closed and nobody is left waiting. Each byte is
// one event.
func FuzzAnything(f *testing.F) {
	f.Add([]byte{0x00, 0x51, 0x52, 0x40, 0x51, 0x53, 0x30})
	f.Add([]byte{0x50, 0x60, 0x61, 0x62, 0x00, 0x50, 0x53, 0x00, 0x40, 0x13})
	f.Add([]byte{0x50, 0x51, 0x40, 0x52, 0x14, 0x30, 0x30, 0x04, 0x74, 0x84})
	f.Add([]byte{0x90, 0x10, 0x00, 0x90, 0x01, 0x52, 0x53, 0x54, 0x40, 0x20, 0x30, 0x01, 0x40})
	f.Fuzz(func(t *testing.T, events []byte) {
		if len(events) > 200 {
			t.Skip("longer is not other")
		}
		synctest.Test(t, func(t *testing.T) {
			s := newStory(t)
			defer s.finish()
			spec := shared(1 + len(events)%3)
			if len(events) > 0 && events[0]&1 == 1 {
				spec.Bind = nil
			}
			if len(events) > 1 && events[1]&1 == 1 {
				spec.Restart, spec.Drain = command.OnFailure, 3*time.Second
			}
			s.begin(spec)
			s.run()
			restarts := s.happen(spec, events)
			for range 3 {
				s.Stop()
			}
			o := s.outcome()
			if o.Code == 0 && o.Killed {
				t.Errorf("%+v", o)
			}
			for _, done := range restarts {
				s.result(done)
			}
			s.wait(time.Minute)
			for i, l := range s.lives {
				if !isClosed(l.empty) {
					t.Errorf("life %d is left", i)
				}
			}
			for i, p := range s.probes {
				if !isClosed(p.ended) {
					t.Errorf("probe %d is left", i)
				}
			}
		})
	})
}

// happen lets the events happen, and returns the restarts that were begun.
func (s *story) happen(spec command.Spec, events []byte) (restarts []<-chan error) {
	for _, event := range events {
		what, n := event>>4, int(event&15)
		var l *fakeLife
		s.world.mu.Lock()
		if len(s.lives) > 0 {
			l = s.lives[len(s.lives)-1-n%len(s.lives)] // the young ones first
		}
		s.world.mu.Unlock()
		living := l != nil && !isClosed(l.empty)
		switch {
		case what == 0:
			s.wait(time.Duration(n*n) * 100 * time.Millisecond)
		case what == 1 && living && !l.ended():
			l.end(exited(n % 5))
		case what == 2 && living && !l.ended():
			l.end(killedBy(syscall.SIGKILL))
		case what == 3:
			s.Stop()
		case what == 4:
			restarts = append(restarts, s.roll(spec))
		case what == 5 || what == 6:
			s.world.mu.Lock()
			probes := s.probes
			s.world.mu.Unlock()
			if len(probes) > 0 {
				p := probes[len(probes)-1-n%len(probes)]
				p.ready(what == 5)
				if what == 6 {
					p.replace("its check fails")
				}
			}
		case what == 7 && living && !l.ended():
			s.beside(l)
		case what == 8:
			s.Signal(syscall.SIGUSR1)
		case what == 9:
			s.world.mu.Lock()
			s.refuse = map[bool]func(int) error{true: always(errBusy), false: nil}[n%2 == 0]
			s.world.mu.Unlock()
		case what == 10 && living && n%2 == 0:
			obedient(l)
		default:
			synctest.Wait()
		}
	}
	return restarts
}

func (l *fakeLife) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.main.over()
}
