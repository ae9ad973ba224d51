package listen

import (
	"encoding/binary"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/sock_diag.h and linux/unix_diag.h, which x/sys does not have.
const (
	sockDiagByFamily = 20
	showPeer         = 0x4 // UDIAG_SHOW_PEER
	peerAttribute    = 2   // UNIX_DIAG_PEER
	anyCookie        = ^uint32(0)
	unixDiagMessage  = 16 // the fixed part of an answer
)

// unixDiagRequest is struct nlmsghdr and struct unix_diag_req.
type unixDiagRequest struct {
	header   unix.NlMsghdr
	family   uint8
	protocol uint8
	_        uint16
	states   uint32
	inode    uint32
	show     uint32
	cookie   [2]uint32
}

// takenUnix asks sock_diag(7) for the other end of our socket: /proc/net/unix
// does not say who is connected to whom.
func takenUnix(conn *net.UnixConn) (inode uint64, found bool) {
	own, ok := inodeOf(conn)
	if !ok {
		return 0, false
	}
	netlink, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, false
	}
	defer unix.Close(netlink)
	request := unixDiagRequest{
		family: unix.AF_UNIX, states: ^uint32(0), inode: uint32(own), show: showPeer,
		cookie: [2]uint32{anyCookie, anyCookie},
	}
	request.header = unix.NlMsghdr{Len: uint32(unsafe.Sizeof(request)), Type: sockDiagByFamily, Flags: unix.NLM_F_REQUEST}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	if err := unix.Sendto(netlink, bytes, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, false
	}
	answer := make([]byte, 4096)
	// The kernel has answered within sendto; a sandbox that has not never will.
	n, _, err := unix.Recvfrom(netlink, answer, unix.MSG_DONTWAIT)
	if err != nil {
		return 0, false
	}
	return parsePeer(answer[:n])
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

// parsePeer finds the peer's inode in one netlink message (netlink(7)).
func parsePeer(message []byte) (inode uint64, found bool) {
	order := binary.NativeEndian
	if len(message) < unix.NLMSG_HDRLEN {
		return 0, false
	}
	size, kind := order.Uint32(message), order.Uint16(message[4:])
	if kind != sockDiagByFamily || uint64(size) > uint64(len(message)) || size < unix.NLMSG_HDRLEN+unixDiagMessage {
		return 0, false
	}
	for rest := message[unix.NLMSG_HDRLEN+unixDiagMessage : size]; len(rest) >= unix.NLA_HDRLEN; {
		length, kind := int(order.Uint16(rest)), order.Uint16(rest[2:])
		if length < unix.NLA_HDRLEN || length > len(rest) {
			return 0, false
		}
		if kind == peerAttribute && length >= unix.NLA_HDRLEN+4 {
			return uint64(order.Uint32(rest[unix.NLA_HDRLEN:])), true
		}
		rest = rest[min((length+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1), len(rest)):]
	}
	return 0, false
}
