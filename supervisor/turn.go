package supervisor

import "sync"

// turn lets one copy of a group be replaced at a time, and the next when that
// one serves again: a dependency that is away fails every copy's check at once,
// and must not cost all of them.
type turn struct {
	mu     sync.Mutex
	holder *Copy
	free   chan struct{} // closed when the holder has passed it on
}

// take gives the turn to a copy, until it passes it on. Where another has it,
// later is closed when it is worth asking again.
func (t *turn) take(c *Copy) (granted bool, later <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == nil {
		t.holder, t.free = c, make(chan struct{})
	}
	return t.holder == c, t.free
}

// pass gives the turn back, if the copy has it.
func (t *turn) pass(c *Copy) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == c {
		t.holder = nil
		close(t.free)
	}
}
