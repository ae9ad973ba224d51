package metrics

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ListenQueue reads how many connections wait on the listening socket fd to be
// accepted, and how many may. A socket that does not listen has no queue: 0 and
// 0. It asks the kernel about this one socket, however many there are.
func ListenQueue(fd int) (length, limit int, err error) {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read the listen queue: %w", err)
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read the listen queue: %w", err)
	}
	if listening == 0 {
		return 0, 0, nil
	}
	switch family {
	case unix.AF_INET, unix.AF_INET6:
		length, limit, err = tcpQueue(fd)
	case unix.AF_UNIX:
		length, limit, err = unixQueue(fd)
	default:
		err = fmt.Errorf("a socket of family %d", family)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read the listen queue: %w", err)
	}
	return length, limit, nil
}

// tcpQueue: of a listening socket the kernel reports the queue in fields that
// mean something else elsewhere (tcp_get_info in net/ipv4/tcp.c; ss(8) reads
// them so).
func tcpQueue(fd int) (length, limit int, err error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, 0, err
	}
	return int(info.Unacked), int(info.Sacked), nil
}

// From linux/sock_diag.h and linux/unix_diag.h, which x/sys does not have.
const (
	sockDiagByFamily = 20
	showQueue        = 0x10 // UDIAG_SHOW_RQLEN
	queueAttribute   = 4    // UNIX_DIAG_RQLEN
	anyCookie        = ^uint32(0)
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

// unixDiagMessage is the fixed part of the answer; attributes follow.
const unixDiagMessage = 16

// unixQueue asks sock_diag(7): unix sockets have no TCP_INFO.
func unixQueue(fd int) (length, limit int, err error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, 0, err
	}
	netlink, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(netlink)
	request := unixDiagRequest{
		family: unix.AF_UNIX, states: ^uint32(0), inode: uint32(stat.Ino), show: showQueue,
		cookie: [2]uint32{anyCookie, anyCookie},
	}
	request.header = unix.NlMsghdr{Len: uint32(unsafe.Sizeof(request)), Type: sockDiagByFamily, Flags: unix.NLM_F_REQUEST}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	if err := unix.Sendto(netlink, bytes, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, 0, err
	}
	answer := make([]byte, 4096)
	// The kernel has answered within sendto; a sandbox that has not never will.
	n, _, err := unix.Recvfrom(netlink, answer, unix.MSG_DONTWAIT)
	if err != nil {
		return 0, 0, err
	}
	return parseUnixDiag(answer[:n])
}

var errDiag = errors.New("sock_diag's answer is not understood")

// parseUnixDiag finds the queue's attribute in one netlink message (netlink(7)).
func parseUnixDiag(message []byte) (length, limit int, err error) {
	order := binary.NativeEndian
	if len(message) < unix.NLMSG_HDRLEN {
		return 0, 0, errDiag
	}
	size, kind := order.Uint32(message), order.Uint16(message[4:])
	if size < unix.NLMSG_HDRLEN || uint64(size) > uint64(len(message)) {
		return 0, 0, errDiag
	}
	body := message[unix.NLMSG_HDRLEN:size]
	if kind == unix.NLMSG_ERROR {
		if len(body) < 4 {
			return 0, 0, errDiag
		}
		return 0, 0, unix.Errno(-int32(order.Uint32(body)))
	}
	if kind != sockDiagByFamily || len(body) < unixDiagMessage {
		return 0, 0, errDiag
	}
	for rest := body[unixDiagMessage:]; len(rest) >= unix.NLA_HDRLEN; {
		size, kind := int(order.Uint16(rest)), order.Uint16(rest[2:])
		if size < unix.NLA_HDRLEN || size > len(rest) {
			return 0, 0, errDiag
		}
		if kind == queueAttribute && size >= unix.NLA_HDRLEN+8 {
			return int(order.Uint32(rest[4:])), int(order.Uint32(rest[8:])), nil
		}
		rest = rest[min((size+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1), len(rest)):]
	}
	return 0, 0, errDiag
}
