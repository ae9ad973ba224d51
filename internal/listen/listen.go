// Package listen holds the sockets that the copies share. They are made by plain
// system calls: a net.Listen socket, and the file that its File method returns,
// stays in the Go runtime's epoll set, and every connection then wakes us as
// well as a copy (15 % of CPU per request, measured).
//
// A socket is bound at boot, so that an address in use is a boot error. It
// listens with the first copy, and refuses while no copy lives: otherwise
// clients would hang in a queue that nobody serves.
package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/command"
)

// backlog is cut to net.core.somaxconn by the kernel (listen(2)).
const backlog = 4096

// Socket is one bound address.
type Socket struct {
	Address command.Address // with the port that the kernel chose, where 0 was asked for
	fd      int
	inode   uint64 // of a unix socket's file: only our own is removed
}

// FD is the descriptor; it is close-on-exec here and handed on by number.
func (s *Socket) FD() int { return s.fd }

// Bind makes the socket and binds it, without listening yet. The error says
// what to change, and who holds the address if it can be seen.
func Bind(a command.Address) (*Socket, error) {
	s, err := bind(a)
	if err != nil {
		return nil, fmt.Errorf("cannot bind %s: %s", a, explain(a, err))
	}
	return s, nil
}

func bind(a command.Address) (*Socket, error) {
	if a.IsUnix() {
		return bindUnix(a)
	}
	family, sockaddr := inet(a)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && a.Host == "" {
		return bind(command.Address{Host: "0.0.0.0", Port: a.Port}) // a kernel without IPv6
	}
	if err != nil {
		return nil, err
	}
	// SO_REUSEADDR: a restart must not wait for connections in TIME_WAIT.
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil && family == unix.AF_INET6 {
		only := 1
		if a.Host == "" {
			only = 0 // both families, as ":8000" promises
		}
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
	}
	if err == nil {
		err = unix.Bind(fd, sockaddr)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if a.Port != 0 {
		return &Socket{Address: a, fd: fd}, nil
	}
	// A port that the kernel chose is lost at shutdown(2): it keeps only one
	// that was asked for. So it is asked for now.
	defer unix.Close(fd)
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		a.Port = b.Port
	case *unix.SockaddrInet6:
		a.Port = b.Port
	}
	return bind(a)
}

func inet(a command.Address) (family int, sockaddr unix.Sockaddr) {
	if a.Host == "" {
		return unix.AF_INET6, &unix.SockaddrInet6{Port: a.Port}
	}
	ip, _ := netip.ParseAddr(a.Host) // an Address holds nothing else
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: ip.As4()}
	}
	sa := &unix.SockaddrInet6{Port: a.Port, Addr: ip.As16()}
	if n, err := strconv.ParseUint(ip.Zone(), 10, 32); err == nil {
		sa.ZoneId = uint32(n)
	}
	return unix.AF_INET6, sa
}

// errNotSocket: the path is taken by something that we must not remove.
var errNotSocket = errors.New("the path exists and is not a socket")

func bindUnix(a command.Address) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Socket, error) {
		_ = unix.Close(fd)
		return nil, err
	}
	sockaddr := &unix.SockaddrUnix{Name: a.Path}
	if info, err := os.Lstat(a.Path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return fail(errNotSocket)
		}
		// The file of a dead server refuses; that of a live one answers.
		if err := unix.Connect(fd, sockaddr); err == nil {
			return fail(unix.EADDRINUSE)
		}
		_ = os.Remove(a.Path)
	}
	if err := unix.Bind(fd, sockaddr); err != nil {
		return fail(err)
	}
	s := &Socket{Address: a, fd: fd}
	var stat unix.Stat_t
	if unix.Lstat(a.Path, &stat) == nil {
		s.inode = stat.Ino
	}
	return s, nil
}

// BindNameless makes a unix socket without a file, under a name that the kernel
// chooses (unix(7), abstract and autobind): for where no folder can be written.
// Whoever shares our network namespace can connect to it.
func BindNameless() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{})
	}
	var bound unix.Sockaddr
	if err == nil {
		bound, err = unix.Getsockname(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("cannot bind a unix socket: %w", err)
	}
	return &Socket{Address: command.Address{Path: bound.(*unix.SockaddrUnix).Name}, fd: fd}, nil
}

// Listen lets clients connect.
func (s *Socket) Listen() error {
	if err := unix.Listen(s.fd, backlog); err != nil {
		return fmt.Errorf("cannot listen on %s: %w", s.Address, err)
	}
	return nil
}

// Release closes our descriptor and leaves the socket to who has inherited it.
func (s *Socket) Release() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

// Close gives the address back. Call it when no copy is to be started any more.
func (s *Socket) Close() {
	s.Release()
	var stat unix.Stat_t
	if s.inode != 0 && unix.Lstat(s.Address.Path, &stat) == nil && stat.Ino == s.inode {
		_ = os.Remove(s.Address.Path)
	}
}

func explain(a command.Address, err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if who := holder(a); who != "" {
			return "the address is in use by " + who
		}
		return "the address is in use by another process"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "this machine has no such address; 0.0.0.0 stands for all of them"
	case errors.Is(err, unix.EACCES) && !a.IsUnix():
		return "ports below 1024 are for root here; choose a higher one"
	case errors.Is(err, unix.EACCES):
		return "no permission to create a socket in " + filepath.Dir(a.Path)
	case errors.Is(err, unix.ENOENT):
		return "there is no folder " + filepath.Dir(a.Path)
	}
	return err.Error()
}

// holder finds the process that listens on the address, if /proc shows it.
func holder(a command.Address) string {
	if a.IsUnix() {
		return ""
	}
	inodes := listening("/proc/net/tcp", a.Port)
	inodes = append(inodes, listening("/proc/net/tcp6", a.Port)...)
	processes, err := procfs.AllProcs()
	if err != nil || len(inodes) == 0 {
		return ""
	}
	for _, p := range processes {
		targets, err := p.FileDescriptorTargets()
		if err != nil {
			continue // another user's
		}
		if slices.ContainsFunc(targets, func(target string) bool { return slices.Contains(inodes, target) }) {
			name, _ := p.Comm()
			return strings.TrimSpace(fmt.Sprintf("pid %d %s", p.PID, name))
		}
	}
	return ""
}

// listening returns the sockets that listen on the port as /proc/PID/fd names
// them. The columns are those of proc(5): local address, state (0A is
// TCP_LISTEN), inode.
func listening(table string, port int) []string {
	text, err := os.ReadFile(table)
	if err != nil {
		return nil
	}
	var inodes []string
	for line := range strings.Lines(string(text)) {
		columns := strings.Fields(line)
		if len(columns) > 9 && columns[3] == "0A" && strings.HasSuffix(columns[1], fmt.Sprintf(":%04X", port)) {
			inodes = append(inodes, "socket:["+columns[9]+"]")
		}
	}
	return inodes
}

// Set is all sockets of a program, opened and shut together. Its methods may be
// called from any goroutine.
type Set struct {
	sockets []*Socket
	mu      sync.Mutex
	open    bool
}

// BindAll binds every address or none.
func BindAll(addresses []command.Address) (*Set, error) {
	s := &Set{}
	var problems []error
	for _, a := range addresses {
		socket, err := Bind(a)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		s.sockets = append(s.sockets, socket)
	}
	if len(problems) > 0 {
		s.Close()
		return nil, errors.Join(problems...)
	}
	return s, nil
}

// Sockets are the bound ones, in the order of their addresses.
func (s *Set) Sockets() []*Socket { return s.sockets }

// Open lets clients connect: a copy is about to live.
func (s *Set) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		return nil
	}
	for _, socket := range s.sockets {
		if err := socket.Listen(); err != nil {
			return err
		}
	}
	s.open = true
	return nil
}

// Shut lets the kernel refuse clients until Open: no copy lives. Those in the
// queue are reset, at once instead of after their own patience. A unix socket
// cannot be opened again after shutdown(2), so clients of one wait in its queue.
func (s *Set) Shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return
	}
	for _, socket := range s.sockets {
		if !socket.Address.IsUnix() {
			_ = unix.Shutdown(socket.fd, unix.SHUT_RD)
		}
	}
	s.open = false
}

// Close closes all of them.
func (s *Set) Close() {
	for _, socket := range s.sockets {
		socket.Close()
	}
}
