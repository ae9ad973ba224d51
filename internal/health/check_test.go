package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/codeontap/entrypoint/internal/command"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a real server on the listener for the length of the test.
func serve(t *testing.T, l net.Listener, handler http.HandlerFunc) {
	t.Helper()
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	s.Start()
	t.Cleanup(s.Close)
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func tcpAddress(t *testing.T, l net.Listener, host string) command.Address {
	t.Helper()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return command.Address{Host: host, Port: n}
}

func TestHTTPAnswers(t *testing.T) {
	l := listen(t, "unix", filepath.Join(t.TempDir(), "copy.sock"))
	a := command.Address{Path: l.Addr().String()}
	serve(t, l, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "localhost" || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		code := http.StatusBadRequest // as Django answers to an unknown host
		if s, ok := strings.CutPrefix(r.URL.Path, "/status/"); ok {
			code, _ = strconv.Atoi(s)
		}
		w.Header().Set("Location", "/status/500")
		w.WriteHeader(code)
		fmt.Fprintln(w, "body")
	})
	for _, look := range []struct{ path, want string }{
		{"/status/200", ""},
		{"/status/204", ""},
		{"/status/301", ""}, // not followed to its 500
		{"/status/399", ""},
		{"/status/400", "the answer is 400"},
		{"/status/503", "the answer is 503"},
		{"/status/200?token=s3cret", ""},
		{"", ""}, // any answer
	} {
		err := HTTP(a, look.path, nil)(t.Context())
		if got := text(err); got != look.want {
			t.Errorf("path %q: %q, want %q", look.path, got, look.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestHTTPReachesWildcardsByLoopback(t *testing.T) {
	l := listen(t, "tcp4", "127.0.0.1:0")
	serve(t, l, func(http.ResponseWriter, *http.Request) {})
	for _, host := range []string{"", "0.0.0.0", "127.0.0.1"} {
		if err := HTTP(tcpAddress(t, l, host), "/", nil)(t.Context()); err != nil {
			t.Errorf("bound to %q: %v", host, err)
		}
	}
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Log("no IPv6 here: ", err)
		return
	}
	serve(t, six, func(http.ResponseWriter, *http.Request) {})
	for _, host := range []string{"", "::", "::1"} {
		if err := HTTP(tcpAddress(t, six, host), "/", nil)(t.Context()); err != nil {
			t.Errorf("bound to %q: %v", host, err)
		}
	}
}

func TestHTTPKeepsNoConnection(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	closed := make(chan struct{}, 10)
	s := &httptest.Server{Listener: l, Config: &http.Server{
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- struct{}{}
			}
		},
	}}
	s.Start()
	defer s.Close()
	check := HTTP(tcpAddress(t, l, "127.0.0.1"), "", nil)
	for range 2 {
		if err := check(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-closed // by the check itself: the server keeps connections open
	}
}

// What an application may do to a client that asks.
func TestHTTPOddServers(t *testing.T) {
	for _, server := range []struct {
		name, answer string
		well         bool
	}{
		{"no HTTP", "hello\r\n\r\n", false},
		{"nothing", "", false},
		{"an endless header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHeader), false},
		{"an endless body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true},
	} {
		t.Run(server.name, func(t *testing.T) {
			l := listen(t, "tcp", "127.0.0.1:0")
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 1))
				_, _ = io.WriteString(conn, server.answer)
			}()
			err := HTTP(tcpAddress(t, l, "127.0.0.1"), "", nil)(t.Context())
			if (err == nil) != server.well {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestErrorsHoldNoURL(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	a := tcpAddress(t, l, "127.0.0.1")
	l.Close()
	err := HTTP(a, "/?token=s3cret", nil)(t.Context())
	if text(err) != "connection refused" {
		t.Errorf("%v", err)
	}
	control := &http.Client{}
	if _, err := control.Get("http://" + a.String() + "/?token=s3cret"); !strings.Contains(err.Error(), "s3cret") {
		t.Errorf("net/http's own error does not hold the query any more: %v", err)
	}
}

func TestTCP(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	target := l.Addr().String()
	if err := TCP(target)(t.Context()); err != nil {
		t.Error(err)
	}
	l.Close()
	if err := TCP(target)(t.Context()); text(err) != "connection refused" {
		t.Errorf("closed: %v", err)
	}
}

func TestFileAge(t *testing.T) {
	file := filepath.Join(t.TempDir(), "beat")
	check := File(file, 30*time.Second)
	if err := check(t.Context()); text(err) != file+" does not exist" {
		t.Errorf("before the first beat: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context()); err != nil {
		t.Errorf("just touched: %v", err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context()); !strings.HasSuffix(text(err), "was touched 1h0m0s ago, the limit is 30s") {
		t.Errorf("an hour old: %v", err)
	}
}

func TestNew(t *testing.T) {
	if New(command.Health{}, Subject{}) != nil {
		t.Error("none is a check")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "beat"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		"file:beat<30s":      "",
		"exec:true 'a b'":    "",
		"exec:false":         "exit code 1",
		"http:/":             "connection refused",
		"tcp:127.0.0.1:1":    "connection refused",
		"file:/nowhere/b<1s": "/nowhere/b does not exist",
	} {
		h, err := command.ParseHealth(spec)
		if err != nil {
			t.Fatal(err)
		}
		check := New(h, Subject{
			Address: command.Address{Host: "127.0.0.1", Port: 1},
			Dir:     dir,
			Argv:    strings.Fields(h.Target),
			Run: func(_ context.Context, argv []string) error {
				if argv[0] == "false" {
					return errors.New("exit code 1")
				}
				return nil
			},
		})
		if got := text(check(t.Context())); got != want {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
}

// Of an address that several share, an answer counts only when the one who is
// asked has taken the connection; the request is not sent to another, and not
// before somebody has.
func TestHTTPOfOneAmongSeveral(t *testing.T) {
	asked := make(chan struct{}, 8)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	defer server.Close()
	a, err := command.ParseAddress(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	ours := func(net.Conn) (bool, bool) {
		looks++
		return true, looks == 3 // twice still in the queue
	}
	if err := HTTP(a, "", ours)(t.Context()); err != nil || looks != 3 || len(asked) != 1 {
		t.Errorf("taken at the third look: %v after %d looks, asked %d times", err, looks, len(asked))
	}
	another := func(net.Conn) (bool, bool) { return false, true }
	if err := HTTP(a, "", another)(t.Context()); err == nil || err.Error() != "another copy has answered" || len(asked) != 1 {
		t.Errorf("taken by another: %v, asked %d times", err, len(asked))
	}
	never := func(net.Conn) (bool, bool) { return false, false }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := HTTP(a, "", never)(ctx); err == nil || len(asked) != 1 {
		t.Errorf("taken by nobody: %v, asked %d times", err, len(asked))
	}
}

// A look that is over leaves nothing behind, also where nobody has accepted its
// connection: one that hangs for an hour would gather thousands.
func TestHTTPLeavesNothingBehindWhereNobodyAccepts(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	address := command.Address{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	looked := make(chan struct{}, 1)
	check := HTTP(address, "", func(net.Conn) (ours, settled bool) {
		select {
		case looked <- struct{}{}:
		default:
		}
		return false, false
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- check(ctx) }()
	<-looked
	cancel()
	if err := <-ended; err == nil {
		t.Error("a look that was given up is well")
	}
	conn, err := l.Accept() // what waited in the queue
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection of the look is still there: %v", err)
	}
}
