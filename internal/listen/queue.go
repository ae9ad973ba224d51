package listen

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Queue reads how many connections wait on the listening socket fd to be accepted,
// and how many may. A socket that does not listen has no queue: 0 and 0. It asks
// the kernel about this one socket, however many there are.
func Queue(fd int) (length, limit int, err error) {
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

// unixQueue asks sock_diag(7): unix sockets have no TCP_INFO.
func unixQueue(fd int) (length, limit int, err error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, 0, err
	}
	queue, err := unixDiag(stat.Ino, showQueue, queueAttribute)
	switch {
	case err != nil:
		return 0, 0, err
	case len(queue) < 8:
		return 0, 0, errDiag
	}
	return int(binary.NativeEndian.Uint32(queue)), int(binary.NativeEndian.Uint32(queue[4:])), nil
}
