package supervisor

import (
	"sync"
	"syscall"
)

// memoryKills shares out the cgroup's count of processes that were killed for
// memory among the copies that end: the kernel counts them and does not say who
// they were. A nil one knows of none.
type memoryKills struct {
	read func() uint64

	mu    sync.Mutex
	known uint64 // as many were accounted for
}

func newMemoryKills(read func() uint64) *memoryKills {
	if read == nil {
		return nil
	}
	return &memoryKills{read: read}
}

// began is called before a start: what was counted until then is not this life's.
func (m *memoryKills) began() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = m.read()
}

// ended reports whether the kernel's kill ended the main process, or one of
// others of the container. Copies that were killed at once get one of the count
// each.
func (m *memoryKills) ended(exit Exit) (main, other bool) {
	if m == nil {
		return false, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.read()
	switch {
	case now <= m.known:
		return false, false
	case exit.Signal == syscall.SIGKILL && exit.Reason == BySignal:
		m.known++
		return true, false
	}
	m.known = now
	return false, true
}
