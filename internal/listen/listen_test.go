package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/command"
)

func bindOne(t *testing.T, address string) *Set {
	t.Helper()
	a, err := command.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	set, err := BindAll([]command.Address{a})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

func dial(a command.Address) error {
	network, address := "tcp", a.String()
	if a.IsUnix() {
		network, address = "unix", a.Path
	}
	c, err := net.Dial(network, address)
	if err == nil {
		c.Close()
	}
	return err
}

// Bound is not listening; shut refuses; open again serves.
func TestClientsAreRefusedWhileNobodyServes(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		set := bindOne(t, address)
		a := set.Sockets()[0].Address
		if err := dial(a); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s before Open: %v", a, err)
		}
		for range 3 {
			if err := set.Open(); err != nil {
				t.Fatal(err)
			}
			if err := dial(a); err != nil {
				t.Errorf("%s open: %v", a, err)
			}
			set.Shut()
			if err := dial(a); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s shut: %v", a, err)
			}
		}
	}
}

func TestAllAddressesAreOfBothFamilies(t *testing.T) {
	set := bindOne(t, ":0")
	if err := set.Open(); err != nil {
		t.Fatal(err)
	}
	port := set.Sockets()[0].Address.Port
	for _, host := range []string{"127.0.0.1", "::1"} {
		if err := dial(command.Address{Host: host, Port: port}); err != nil {
			t.Error(err)
		}
	}
}

// The socket stays out of the Go runtime's epoll set and is close-on-exec.
func TestPlainDescriptor(t *testing.T) {
	fd := bindOne(t, "127.0.0.1:0").Sockets()[0].FD()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x, %v", flags, err)
	}
	status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || status&unix.O_NONBLOCK != 0 {
		t.Errorf("a non-blocking socket goes to servers that block in accept: %x, %v", status, err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	set := bindOne(t, "unix:"+path)
	if err := set.Open(); err != nil {
		t.Fatal(err)
	}
	a := set.Sockets()[0].Address
	if err := dial(a); err != nil {
		t.Fatal(err)
	}
	if _, err := Bind(a); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a live socket was taken over: %v", err)
	}
	_ = unix.Close(set.sockets[0].fd) // a crash leaves the file
	set.sockets = nil
	again, err := Bind(a)
	if err != nil {
		t.Fatalf("a dead server's file is in the way: %v", err)
	}
	again.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket file is left: %v", err)
	}
}

// Where no folder can be written a name of the kernel's own choice serves.
func TestNamelessSocket(t *testing.T) {
	one, err := BindNameless()
	if err != nil {
		t.Fatal(err)
	}
	other, err := BindNameless()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := one.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := dial(one.Address); err != nil || one.Address == other.Address {
		t.Errorf("%s: %v", one.Address, err)
	}
	one.Close()
	if err := dial(one.Address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed: %v", err)
	}
}

func TestBindErrorsSayWhatToChange(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		busy.Addr().String():      fmt.Sprintf("in use by pid %d", os.Getpid()),
		"192.0.2.1:8000":          "this machine has no such address",
		"unix:" + file:            "is not a socket",
		"unix:/no/such/folder/so": "there is no folder /no/such/folder",
	} {
		a, err := command.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Bind(a); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "cannot bind") {
			t.Errorf("%s: %v, wanted %q in it", address, err, want)
		}
	}
}
