package listen

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Who waits in the queue is nobody's yet; who was accepted is found by the
// socket's inode, whatever the family of the socket.
func TestAConnectionIsNobodysUntilItIsAccepted(t *testing.T) {
	for _, c := range []struct{ network, listen, dial string }{
		{"tcp", "127.0.0.1:0", "127.0.0.1"},
		{"tcp", "[::1]:0", "::1"},
		{"tcp", ":0", "127.0.0.1"},
		{"unix", filepath.Join(t.TempDir(), "s"), ""},
	} {
		l, err := net.Listen(c.network, c.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		address := c.listen
		if c.network == "tcp" {
			_, port, _ := net.SplitHostPort(l.Addr().String())
			address = net.JoinHostPort(c.dial, port)
		}
		client, err := net.Dial(c.network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if inode, found := Taken(client); !found || inode != 0 {
			t.Errorf("%s: in the queue it is %d, %v", c.listen, inode, found)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		inode, found := Taken(client)
		if want := inodeOfFile(t, server.(interface{ File() (*os.File, error) })); !found || inode != want {
			t.Errorf("%s: accepted it is %d, %v; wanted %d", c.listen, inode, found, want)
		}
	}
}

func inodeOfFile(t *testing.T, c interface{ File() (*os.File, error) }) uint64 {
	t.Helper()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

// Nothing is claimed about a connection that the kernel does not show.
func TestAPipeIsNotFound(t *testing.T) {
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()
	if inode, found := Taken(one); found || inode != 0 {
		t.Errorf("%d, %v", inode, found)
	}
}
