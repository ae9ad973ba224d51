package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// One copy listens wherever we are bound: both families, several addresses, a
// unix socket; and through a restart.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	needs(t, "gunicorn", "gunicorn")
	socket := filepath.Join(t.TempDir(), "site.sock")
	six := sixAddress(t)
	s := start(t, opts{args: []string{"--workers", "2", "--bind", "{address}", "--bind", six, "--bind", "unix:" + socket}})
	s.becomesReady(2)
	through := func(network, address string) {
		t.Helper()
		client := &http.Client{Timeout: patience, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, address)
			},
		}}
		response, err := client.Get("http://localhost/")
		if err != nil {
			t.Fatalf("%s: %v\n%s", address, err, s)
		}
		response.Body.Close()
	}
	everywhere := func() {
		t.Helper()
		through("tcp", s.address)
		through("tcp", six)
		through("unix", socket)
	}
	everywhere()
	s.restarts()
	everywhere()
	s.stops(0)
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file is left behind: %v", err)
	}
}

func sixAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatalf("cannot test IPv6: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// While no copy lives, clients are refused at once: a queue that nobody serves
// would let them hang. When one lives again they are served.
func TestWithoutACopyClientsAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, opts{args: []string{"--bind", "{address}", "--backoff", "1s..1s", "--", stage.Self, "server"}})
	s.becomesReady(1)
	pid := s.pids()[0]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.says("it is started again")
	refused := false
	for !refused && strings.Count(s.out.String(), "command started") < 2 {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			c.Close()
			continue
		}
		refused = errors.Is(err, syscall.ECONNREFUSED)
	}
	if !refused {
		t.Errorf("nobody was refused\n%s", s)
	}
	s.becomesReady(2)
	s.get("/")
	s.stops(0)
}

// What cannot be bound is told before anything starts, in one line that says
// what to change.
func TestBindErrors(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := "unix:/" + strings.Repeat("x", 120)
	for _, c := range []struct {
		name string
		o    opts
		code int
		want string
	}{
		{"in use", opts{address: busy.Addr().String()}, 69, fmt.Sprintf("in use by pid %d", os.Getpid())},
		{"an address of another machine", opts{address: "192.0.2.1:8000"}, 69, "this machine has no such address"},
		{"a file that is no socket", opts{address: "unix:" + file}, 69, "not a socket"},
		{"no such folder", opts{address: "unix:/no/such/folder/s"}, 69, "there is no folder /no/such/folder"},
		{"a path too long, by flag", opts{address: long}, 64, "--bind"},
		{"a path too long, by variable", opts{address: long, env: []string{"APP_BIND=" + long}}, 78, "APP_BIND"},
		{"a name", opts{address: "example.org:80"}, 64, "wanted: host:port with an IP address"},
		{"a port below 1024", opts{address: "0.0.0.0:80", uid: 65534, dir: "/", ownNetwork: true}, 69, "ports below 1024 are for root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.o.ownNetwork && os.Geteuid() != 0 {
				c.o.uid, c.o.ownNetwork = 0, false // not root already
			}
			c.o.args = []string{"--bind", "{address}", "--", "true"}
			if len(c.o.env) > 0 {
				c.o.args = c.o.args[2:]
			}
			s := start(t, c.o)
			s.exit(c.code)
			if text := s.out.String(); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "entrypoint: error: cannot ") || !strings.Contains(text, c.want) {
				t.Errorf("not one line that says %q:\n%s", c.want, s)
			}
		})
	}
}

// A server that ignores our socket dies of an address in use, in its own words.
// Ours say who holds it, once, and the two ways out.
func TestAServerThatBindsByItself(t *testing.T) {
	t.Parallel()
	s := start(t, opts{args: []string{"--bind", "{address}", "--backoff", "10ms..10ms", "--", stage.Self, "stubborn", "{address}"}})
	s.exit(1)
	text := s.out.String()
	if strings.Count(text, "address already in use") != 5 {
		t.Errorf("the story is not the one that was meant\n%s", s)
	}
	hold := "we hold " + s.address
	if strings.Count(text, hold) != 1 || !strings.Contains(text, "--strategy native") || !strings.Contains(text, "--bind none") {
		t.Errorf("it does not say once %q and the ways out\n%s", hold, s)
	}
	// The way out: nobody holds it.
	s = start(t, opts{args: []string{"--bind", "none", "--", stage.Self, "stubborn", "{address}"}})
	s.becomesReady(1)
	s.get("/")
	s.stops(0)
}

// A script that starts its server in the foreground, without exec: LISTEN_PID
// would be the shell's, and a TERM to the shell would never reach the server.
func TestAScriptWithoutExec(t *testing.T) {
	t.Parallel()
	needs(t, "gunicorn", "gunicorn")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "site"))); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho starting\ngunicorn shop.wsgi\necho ended\n"
	if err := os.WriteFile(filepath.Join(dir, "container-web.sh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t, opts{dir: dir, args: []string{"--strategy", "copies", "--workers", "2", "--bind", "{address}"}})
	s.becomesReady(2)
	s.everyCopyServes(2)
	l := begin(t, "http://"+s.address)
	l.goesOn(some)
	s.restarts()
	l.goesOn(some)
	l.end()
	if n := l.failures(); n > 0 {
		t.Errorf("%d errors: %v\n%s", n, l.errors(), s)
	}
	s.stops(0)
}

// A server that closes descriptor 3 serves nobody: it is not ready, /readyz and
// the health check say so, and it can be stopped.
func TestAServerThatClosesTheSocket(t *testing.T) {
	t.Parallel()
	s := start(t, opts{args: []string{"--bind", "{address}", "--", stage.Self, "deaf"}})
	s.says("descriptor 3 is closed")
	if answer := s.readyz(); answer != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d\n%s", answer, s)
	}
	if out, code := s.ask("health"); code != 1 {
		t.Errorf("health ends with %d: %s", code, out)
	}
	s.stops(0)
}
