package listen

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// takenUnix asks sock_diag(7) for the other end of our socket: /proc/net/unix
// does not say who is connected to whom.
func takenUnix(conn *net.UnixConn) (inode uint64, found bool) {
	own, ok := inodeOf(conn)
	if !ok {
		return 0, false
	}
	peer, err := unixDiag(own, showPeer, peerAttribute)
	if err != nil || len(peer) < 4 {
		return 0, false
	}
	return uint64(binary.NativeEndian.Uint32(peer)), true
}

func inodeOf(conn *net.UnixConn) (inode uint64, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	var stat unix.Stat_t
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Fstat(int(fd), &stat) }); err != nil || failed != nil {
		return 0, false
	}
	return stat.Ino, true
}
