package listen

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/sock_diag.h and linux/unix_diag.h, which x/sys does not have.
const (
	sockDiagByFamily = 20
	anyCookie        = ^uint32(0)
	unixDiagMessage  = 16 // the fixed part of an answer; attributes follow

	showPeer       = 0x4  // UDIAG_SHOW_PEER
	peerAttribute  = 2    // UNIX_DIAG_PEER
	showQueue      = 0x10 // UDIAG_SHOW_RQLEN
	queueAttribute = 4    // UNIX_DIAG_RQLEN
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

// unixDiag asks sock_diag(7) for one attribute of the unix socket with that inode,
// whatever it is connected to. nil is an answer without it.
func unixDiag(inode uint64, show uint32, attribute uint16) (value []byte, err error) {
	netlink, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(netlink)
	request := unixDiagRequest{
		family: unix.AF_UNIX, states: ^uint32(0), inode: uint32(inode), show: show,
		cookie: [2]uint32{anyCookie, anyCookie},
	}
	request.header = unix.NlMsghdr{Len: uint32(unsafe.Sizeof(request)), Type: sockDiagByFamily, Flags: unix.NLM_F_REQUEST}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	if err := unix.Sendto(netlink, bytes, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer := make([]byte, 4096)
	// The kernel has answered within sendto; a sandbox that has not never will.
	n, _, err := unix.Recvfrom(netlink, answer, unix.MSG_DONTWAIT)
	if err != nil {
		return nil, err
	}
	return parseUnixDiag(answer[:n], attribute)
}

var errDiag = errors.New("sock_diag's answer is not understood")

// parseUnixDiag finds an attribute in one netlink message (netlink(7)).
func parseUnixDiag(message []byte, attribute uint16) (value []byte, err error) {
	order := binary.NativeEndian
	if len(message) < unix.NLMSG_HDRLEN {
		return nil, errDiag
	}
	size, kind := order.Uint32(message), order.Uint16(message[4:])
	if size < unix.NLMSG_HDRLEN || uint64(size) > uint64(len(message)) {
		return nil, errDiag
	}
	body := message[unix.NLMSG_HDRLEN:size]
	if kind == unix.NLMSG_ERROR {
		if len(body) < 4 {
			return nil, errDiag
		}
		return nil, unix.Errno(-int32(order.Uint32(body)))
	}
	if kind != sockDiagByFamily || len(body) < unixDiagMessage {
		return nil, errDiag
	}
	for rest := body[unixDiagMessage:]; len(rest) >= unix.NLA_HDRLEN; {
		size, kind := int(order.Uint16(rest)), order.Uint16(rest[2:])
		if size < unix.NLA_HDRLEN || size > len(rest) {
			return nil, errDiag
		}
		if kind == attribute {
			return rest[unix.NLA_HDRLEN:size], nil
		}
		rest = rest[min((size+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1), len(rest)):]
	}
	return nil, nil
}
