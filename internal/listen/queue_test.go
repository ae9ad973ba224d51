package listen

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/command"
)

func queueOf(t *testing.T, fd, wantLength int) (limit int) {
	t.Helper()
	length, limit, err := Queue(fd)
	if err != nil {
		t.Fatal(err)
	}
	if length != wantLength {
		t.Errorf("%d wait, want %d", length, wantLength)
	}
	return limit
}

// The sockets are those that copies share; here nobody accepts.
func TestQueue(t *testing.T) {
	for _, story := range []struct {
		network string
		address command.Address
	}{
		{"tcp", command.Address{Host: "127.0.0.1"}},
		{"tcp", command.Address{}}, // both families
		{"unix", command.Address{Path: filepath.Join(t.TempDir(), "s")}},
	} {
		t.Run(story.address.String(), func(t *testing.T) {
			sockets, err := BindAll([]command.Address{story.address})
			if err != nil {
				t.Fatal(err)
			}
			defer sockets.Close()
			socket := sockets.Sockets()[0]
			if limit := queueOf(t, socket.FD(), 0); limit != 0 {
				t.Errorf("before it listens its queue takes %d", limit)
			}
			if err := sockets.Open(); err != nil {
				t.Fatal(err)
			}
			target := socket.Address.String()
			if story.network == "unix" {
				target = socket.Address.Path
			}
			for range 5 {
				conn, err := net.Dial(story.network, target)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			if limit := queueOf(t, socket.FD(), 5); limit < 5 {
				t.Errorf("the limit is %d", limit)
			}
			fd, _, err := unix.Accept(socket.FD())
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			queueOf(t, socket.FD(), 4)
			queueOf(t, fd, 0) // a connection has no queue
			if story.network == "tcp" {
				sockets.Shut() // no copy lives
				queueOf(t, socket.FD(), 0)
			}
		})
	}
}

func TestTheQueueOfWhatIsNoSocket(t *testing.T) {
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, _, err := Queue(int(file.Fd())); !errors.Is(err, unix.ENOTSOCK) {
		t.Errorf("%v", err)
	}
	if _, _, err := Queue(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("%v", err)
	}
}
