package supervisor

import (
	"slices"
	"testing"
	"time"
)

// A program that does not take our socket dies of an address in use, in its own
// words, which we do not see: ours name the holder once, and only where that can
// be the cause.
func TestWhoHoldsTheAddressIsSaidOnce(t *testing.T) {
	const held = "we hold :8000"
	said := func(s *story) int {
		return len(slices.DeleteFunc(s.log.said(), func(line string) bool { return line != "WARN "+held }))
	}
	tell(t, "of copies that never were ready", func(s *story) {
		spec := shared(2)
		spec.Held = held
		s.start(spec)
		s.wait(0)
		s.life(s.t, 0).end(exited(1))
		s.life(s.t, 1).end(exited(1))
		s.wait(time.Second)
		s.life(s.t, 2).end(exited(1))
		s.wait(0)
		if n := said(s); n != 1 {
			s.t.Errorf("said %d times: %q", n, s.log.said())
		}
	})
	tell(t, "not of one that has served", func(s *story) {
		spec := shared(1)
		spec.Held = held
		s.serving(spec)
		s.life(s.t, 0).end(exited(1))
		s.wait(0)
		if n := said(s); n != 0 {
			s.t.Errorf("said %d times: %q", n, s.log.said())
		}
	})
}
