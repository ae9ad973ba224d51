package main

import (
	"os"
	"sync/atomic"

	"github.com/codeontap/entrypoint/internal/cgroup"
)

// memoryKills is the cgroup's count of processes that the kernel has killed for
// memory. It is looked for after the first fork: finding the cgroup takes a
// millisecond, and before that there is nothing to kill.
type memoryKills struct {
	group atomic.Pointer[cgroup.Group]
	last  atomic.Uint64
}

// find begins to count.
func (m *memoryKills) find() {
	if group, err := cgroup.Find(os.DirFS("/")); err == nil {
		m.group.Store(group)
	}
}

// count is the latest one that could be read: a failed look must not count as
// none.
func (m *memoryKills) count() uint64 {
	if group := m.group.Load(); group != nil {
		if n, err := group.OOMKills(); err == nil {
			m.last.Store(n)
		}
	}
	return m.last.Load()
}
