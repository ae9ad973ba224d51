package reap

import (
	"strconv"

	"github.com/prometheus/procfs"
)

// Holds reports whether a process of the group has the socket of this inode
// open. seen is false where that cannot be told: a process that hides its
// descriptors from us (proc(5): ptrace access mode).
func (g *Group) Holds(inode uint64) (holds, seen bool) {
	socket := "socket:[" + strconv.FormatUint(inode, 10) + "]"
	members := g.Members()
	seen = len(members) > 0
	for _, m := range members {
		p, err := procfs.NewProc(m.PID)
		if err != nil {
			continue // it ended meanwhile
		}
		targets, err := p.FileDescriptorTargets()
		if err != nil {
			seen = false
			continue
		}
		for _, target := range targets {
			if target == socket {
				return true, true
			}
		}
	}
	return false, seen
}
