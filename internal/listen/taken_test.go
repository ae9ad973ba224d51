package listen

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Who waits in the queue is nobody's yet; who was accepted is found by the
// socket's inode, whatever the family of the socket.
func TestAConnectionIsNobodysUntilItIsAccepted(t *testing.T) {
	for listen, dial := range map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", ":0": "127.0.0.1"} {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		client, err := net.Dial("tcp", net.JoinHostPort(dial, port))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if inode, found := Taken(client); !found || inode != 0 {
			t.Errorf("%s: in the queue it is %d, %v", listen, inode, found)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		inode, found := Taken(client)
		if want := inodeOf(t, server.(*net.TCPConn)); !found || inode != want {
			t.Errorf("%s: accepted it is %d, %v; wanted %d", listen, inode, found, want)
		}
	}
}

func inodeOf(t *testing.T, c *net.TCPConn) uint64 {
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

// Nothing is claimed about a connection that the kernel does not show here.
func TestAUnixConnectionIsNotFound(t *testing.T) {
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()
	if inode, found := Taken(one); found || inode != 0 {
		t.Errorf("%d, %v", inode, found)
	}
}
