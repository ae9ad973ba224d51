package guide

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Network is one with a loopback interface and nothing else: each port of it is
// free, whatever listens on the machine, and no guide gets by with the help of a
// server that its reader may not reach.
type Network struct{ space *os.File }

// NewNetwork makes one, which the end of the test closes.
func NewNetwork(t *testing.T) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: a network of its own needs root; run this test as root (sudo make test)")
	}
	n := &Network{}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("loopback: %w", err)
		}
		space, err := os.Open("/proc/thread-self/ns/net")
		n.space = space
		return err
	})
	if err != nil {
		t.Fatalf("cannot make a network: %v", err)
	}
	t.Cleanup(func() { n.space.Close() })
	return n
}

// onThread calls f on a thread that ends with it, so that what f changes of the
// thread changes nobody else's.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread goes with the goroutine
		done <- f()
	}()
	return <-done
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

// within calls f on a thread that is in the network: sockets and processes that
// f makes are in it, too.
func (n *Network) within(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.space.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return f()
	})
}

// Ask asks a page in the network once; without one, on the machine. 0 is no
// answer.
func (n *Network) Ask(url string) (status int, body string) {
	transport := &http.Transport{DisableKeepAlives: true}
	if n != nil {
		transport.DialContext = func(ctx context.Context, network, address string) (c net.Conn, err error) {
			err = n.within(func() error {
				c, err = new(net.Dialer).DialContext(ctx, network, address)
				return err
			})
			return c, err
		}
	}
	client := http.Client{Timeout: 20 * time.Second, Transport: transport}
	answer, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}
