package admin

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peer is who holds the other end of a unix socket, as the kernel knows it
// (SO_PEERCRED, unix(7)): of a listening socket, who made it listen.
type peer struct{ uid, pid int }

func peerOf(conn net.Conn) (peer, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return peer{}, errors.New("not a unix socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var credentials *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		credentials, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return peer{}, err
	}
	if failed != nil {
		return peer{}, failed
	}
	return peer{int(credentials.Uid), int(credentials.Pid)}, nil
}

// mayAsk reports whether it is our own user or root.
func (p peer) mayAsk() bool { return p.uid == os.Geteuid() || p.uid == 0 }
