package admin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Control is the control socket, listening. Closing it removes its file, if that
// is still ours.
type Control struct {
	net.Listener
	path   string
	id     identity
	folder string // locked while a name in it is taken or given back
	remove sync.Once
}

// identity is a file's, whatever its name.
type identity struct {
	device uint64
	inode  uint64
}

// Path is where it is, for the log and for --control.
func (c *Control) Path() string { return c.path }

// backlog: those who ask are few and served at once, but a full queue refuses
// (EAGAIN) instead of letting them wait as TCP does.
const backlog = 512

// maxPath is what fits sockaddr_un with its final NUL (unix(7)).
const maxPath = 107

// OpenControl makes the control socket: at path, or where that is empty in the
// first of the folders that it can use. A socket file whose supervisor is dead is
// replaced; that of a live one is left alone, and the name gets our pid. The
// application does not need the socket: on an error warn, and start it all the
// same.
func OpenControl(path string, folders []string) (*Control, error) {
	if path != "" {
		c, err := openAt(path)
		if err != nil {
			return nil, fmt.Errorf("cannot open the control socket %s: %w", path, err)
		}
		return c, nil
	}
	var reasons []string
	for _, place := range folders {
		c, err := openIn(place)
		if err == nil {
			return c, nil
		}
		reasons = append(reasons, place+": "+err.Error())
	}
	return nil, fmt.Errorf("cannot open a control socket (%s): without it health, status and restart do not work; name a path with --control", strings.Join(reasons, "; "))
}

func openAt(path string) (*Control, error) {
	if !filepath.IsAbs(path) {
		return nil, errors.New("wanted: an absolute path")
	}
	release, err := lock(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer release()
	c, err := claim(path)
	if errors.Is(err, errLive) {
		return nil, errors.New("another supervisor listens there; choose another path")
	}
	return c, err
}

func openIn(place string) (*Control, error) {
	folder, err := prepare(place, os.Geteuid())
	if err != nil {
		return nil, err
	}
	release, err := lock(folder)
	if err != nil {
		return nil, err
	}
	defer release()
	ours := strings.TrimSuffix(primary, suffix) + "-" + strconv.Itoa(os.Getpid())
	names := []string{primary, ours + suffix}
	for n := 2; n < 10; n++ { // a container that shares the folder has the same pids
		names = append(names, ours+"-"+strconv.Itoa(n)+suffix)
	}
	for _, name := range names {
		c, err := claim(filepath.Join(folder, name))
		if !errors.Is(err, errLive) {
			return c, err
		}
	}
	return nil, errLive
}

var errLive = errors.New("every name is taken by a live supervisor")

// claim binds the path and listens, after it has removed what a dead supervisor
// left there.
func claim(path string) (*Control, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("its path is longer than %d bytes", maxPath)
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close() // net.FileListener has its own
	// Before bind: the file is never open to others, not even for a moment.
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, errLive // it came between our look and now
		}
		return nil, err
	}
	c := &Control{path: path, folder: filepath.Dir(path)}
	if c.id, err = identify(path); err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err == nil {
		c.Listener, err = net.FileListener(file)
	}
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	return c, nil
}

// clearStale removes the socket file of a dead supervisor. One that answers, or
// that may just be too busy to, is live.
func clearStale(path string) error {
	var s unix.Stat_t
	if err := unix.Lstat(path, &s); err != nil {
		return nil // nothing there, or bind will say what is wrong
	}
	if s.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("%s is not a socket; remove it", path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); !errors.Is(err, unix.ECONNREFUSED) {
		return errLive
	}
	return os.Remove(path)
}

// lockWithin is far longer than anybody holds the lock, unless he was stopped.
const lockWithin = time.Second

// lock keeps two supervisors from both finding a socket stale, of which the
// slower would then remove the quicker one's new one. The kernel gives the lock
// back if we die. A file system without locks is no reason to go without a
// socket.
func lock(folder string) (release func(), err error) {
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	release = func() { _ = unix.Close(fd) }
	deadline := time.Now().Add(lockWithin)
	for {
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			return release, nil
		}
		if time.Now().After(deadline) {
			release()
			return nil, fmt.Errorf("%s is locked by another supervisor that does not move on", folder)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func identify(path string) (identity, error) {
	var s unix.Stat_t
	if err := unix.Lstat(path, &s); err != nil {
		return identity{}, err
	}
	return identity{s.Dev, s.Ino}, nil
}

// Close stops listening and removes the file. Another supervisor's, should it
// have taken the name, stays.
func (c *Control) Close() error {
	err := c.Listener.Close()
	c.remove.Do(func() {
		release, lockErr := lock(c.folder)
		if lockErr != nil {
			return // a file that is left is stale, and stale ones are replaced
		}
		defer release()
		if id, err := identify(c.path); err == nil && id == c.id {
			_ = os.Remove(c.path)
		}
	})
	return err
}
