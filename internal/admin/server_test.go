package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

var quiet = slog.New(slog.DiscardHandler)

// source answers with three() and metrics of one line.
func source() Source {
	return Source{
		Status:  three,
		Metrics: func(w io.Writer) error { _, err := io.WriteString(w, "entrypoint_copies_desired 3\n"); return err },
	}
}

// start serves for the length of the test.
func start(t *testing.T, s *Server) {
	t.Helper()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.Close()
		serving.Wait()
	})
}

func startTCP(t *testing.T, src Source) (address string) {
	t.Helper()
	l, err := Listen(command.Address{Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	start(t, New(l, src, quiet))
	return l.Addr().String()
}

func startControl(t *testing.T, src Source) *Control {
	t.Helper()
	c, err := OpenControl("", []string{t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	start(t, NewControl(c, src, quiet))
	return c
}

// raw sends text and reads all that comes back.
func raw(t *testing.T, network, address, text string) string {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // a hanging server fails the test
	_, _ = io.WriteString(conn, text)
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

func TestEndpoints(t *testing.T) {
	tcp := startTCP(t, source())
	control := startControl(t, source())
	for _, ask := range []struct {
		request         string
		onTCP, onSocket string // what the answer holds
	}{
		{"GET /livez", "200 OK", "200 OK"},
		{"HEAD /livez", "200 OK", "200 OK"},
		{"GET /readyz", `"reasons":[]}`, `"copies":{"desired":3,"ready":2}`},
		{"GET /readyz?verbose", "200 OK", "200 OK"},
		{"GET /startupz", "200 OK", "200 OK"},
		{"GET /metrics", "\nentrypoint_copies_desired 3\n", "text/plain; version=0.0.4"},
		{"GET /status", "404 Not Found", `"mode":"WEB"`},
		{"POST /restart", "on the control socket only", "409 Conflict"},
		{"GET /restart", "404 Not Found", "Allow: POST"},
		{"POST /readyz", "405 Method Not Allowed", "Allow: GET, HEAD"},
		{"DELETE /metrics", "wanted: GET", "wanted: GET"},
		{"GET /", "there is: /livez /readyz /startupz /metrics\n", "/metrics /status /restart\n"},
		{"GET /../livez", "404 Not Found", "404 Not Found"},
	} {
		text := ask.request + " HTTP/1.0\r\n\r\n"
		if got := raw(t, "tcp", tcp, text); !strings.Contains(got, ask.onTCP) {
			t.Errorf("%s on tcp: no %q in\n%s", ask.request, ask.onTCP, got)
		}
		if got := raw(t, "unix", control.Path(), text); !strings.Contains(got, ask.onSocket) {
			t.Errorf("%s on the socket: no %q in\n%s", ask.request, ask.onSocket, got)
		}
	}
}

func TestUnready(t *testing.T) {
	src := source()
	src.Status = func() Status { return Status{State: "decrypting", Desired: 2} }
	address := startTCP(t, src)
	got := raw(t, "tcp", address, "GET /readyz HTTP/1.0\r\n\r\n")
	for _, part := range []string{"503 Service Unavailable", "application/json", `"state":"decrypting","copies":{"desired":2,"ready":0},"checks":[],"reasons":["it is decrypting","no copy is ready"]}`} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in\n%s", part, got)
		}
	}
	if got := raw(t, "tcp", address, "GET /livez HTTP/1.0\r\n\r\n"); !strings.Contains(got, "200 OK") {
		t.Errorf("not alive while it decrypts:\n%s", got)
	}
}

func TestMetricsThatFail(t *testing.T) {
	src := source()
	src.Metrics = func(w io.Writer) error { _, _ = io.WriteString(w, "half a page"); return errors.New("no") }
	if got := raw(t, "tcp", startTCP(t, src), "GET /metrics HTTP/1.0\r\n\r\n"); !strings.Contains(got, "500 Internal") || strings.Contains(got, "half") {
		t.Errorf("%s", got)
	}
}

// What no client of good will sends.
func TestMalformed(t *testing.T) {
	address := startTCP(t, source())
	for name, send := range map[string]struct{ text, want string }{
		"noise":           {"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "400 Bad Request"},
		"no version":      {"GET /livez\r\n\r\n", "400 Bad Request"},
		"two lengths":     {"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400 Bad Request"},
		"no host":         {"GET /livez HTTP/1.1\r\n\r\n", "400 Bad Request"},
		"a large header":  {"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 9<<10) + "\r\n\r\n", "431 "},
		"a large path":    {"GET /" + strings.Repeat("x", 9<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", "431 "},
		"a large body":    {"POST /restart HTTP/1.0\r\nContent-Length: 2000\r\n\r\n", "413 "},
		"an endless body": {"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 300), "200 OK"},
		"http2":           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 "},
	} {
		t.Run(name, func(t *testing.T) {
			if got := raw(t, "tcp", address, send.text); !strings.Contains(got, send.want) {
				t.Errorf("no %q in\n%.300s", send.want, got)
			}
		})
	}
	if got := raw(t, "tcp", address, "GET /livez HTTP/1.0\r\n\r\n"); !strings.Contains(got, "200 OK") {
		t.Errorf("afterwards: %s", got)
	}
}

// connect opens connections and keeps them open.
func connect(t *testing.T, network, address string, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[i] = conn
	}
	return conns
}

func TestIdleConnectionsDoNotStarveTheProbe(t *testing.T) {
	address := startTCP(t, source())
	control := startControl(t, source())
	connect(t, "tcp", address, 1000)
	connect(t, "unix", control.Path(), 500)
	// As many as are served at all, with a request that never ends.
	for _, conn := range connect(t, "tcp", address, maxConnections) {
		_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nX: ")
	}
	// Those that ask and never read.
	for _, conn := range connect(t, "tcp", address, 10) {
		_, _ = io.WriteString(conn, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200))
	}
	for range 3 {
		if got := raw(t, "tcp", address, "GET /readyz HTTP/1.0\r\n\r\n"); !strings.Contains(got, "200 OK") {
			t.Errorf("admin address: %q", got)
		}
		if got := raw(t, "unix", control.Path(), "GET /readyz HTTP/1.0\r\n\r\n"); !strings.Contains(got, "200 OK") {
			t.Errorf("control socket: %q", got)
		}
	}
}

// Who has to go, story by story.
func TestCrowdKeepsItsLimit(t *testing.T) {
	c := &crowd{limit: 3}
	guests := make([]*fakeConn, 6)
	for i := range guests {
		guests[i] = &fakeConn{}
	}
	c.observe(guests[0], http.StateNew)
	c.exempt(guests[0]) // a restart
	c.observe(guests[0], http.StateActive)
	c.observe(guests[1], http.StateNew)
	c.observe(guests[1], http.StateActive)
	c.observe(guests[2], http.StateNew)
	c.observe(guests[2], http.StateActive)
	c.observe(guests[2], http.StateIdle)
	c.observe(guests[3], http.StateNew) // the idle one goes
	c.observe(guests[3], http.StateActive)
	c.observe(guests[4], http.StateNew) // all are busy: the oldest goes, but for the restart
	c.observe(guests[4], http.StateClosed)
	c.observe(guests[5], http.StateNew)
	for i, want := range []bool{false, true, true, false, false, false} {
		if guests[i].closed != want {
			t.Errorf("connection %d closed: %v", i, guests[i].closed)
		}
	}
	if len(c.conns) != 3 {
		t.Errorf("%d are counted", len(c.conns))
	}
	c = &crowd{limit: 1}
	for _, g := range guests[:2] {
		g.closed = false
		c.observe(g, http.StateNew)
		c.exempt(g)
	}
	if guests[0].closed || guests[1].closed == guests[0].closed {
		t.Error("where none may go, the newcomer has to")
	}
}

type fakeConn struct {
	net.Conn
	closed bool
}

func (f *fakeConn) Close() error { f.closed = true; return nil }

func TestRestartIsStreamed(t *testing.T) {
	src := source()
	proceed := make(chan struct{})
	src.Restart = func(_ context.Context, progress func(string)) error {
		progress("web.0 is replaced")
		<-proceed
		progress("web.1 is replaced")
		return nil
	}
	control := startControl(t, src)
	client, err := Find(t.Context(), control.Path(), nil, ToCommand)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	err = client.Restart(t.Context(), func(line string) {
		lines = append(lines, line)
		if len(lines) == 1 {
			close(proceed) // the first line came before the end
		}
	})
	if err != nil || fmt.Sprint(lines) != "[web.0 is replaced web.1 is replaced]" {
		t.Errorf("%v, %q", err, lines)
	}
}

func TestRestartFails(t *testing.T) {
	src := source()
	var before atomic.Bool
	src.Restart = func(_ context.Context, progress func(string)) error {
		if before.Load() {
			return errors.New("a restart is running already")
		}
		progress("web.0 does not become ready")
		return errors.New("the old copies stay")
	}
	control := startControl(t, src)
	client, err := Find(t.Context(), control.Path(), nil, ToCommand)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Restart(t.Context(), func(string) {}); err == nil || err.Error() != "cannot restart: the old copies stay" {
		t.Errorf("on the way: %v", err)
	}
	before.Store(true)
	if err := client.Restart(t.Context(), func(string) {}); err == nil || err.Error() != "cannot restart: a restart is running already" {
		t.Errorf("at once: %v", err)
	}
}

func TestRestartGoesOnWithoutItsClient(t *testing.T) {
	src := source()
	begun, gone, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	src.Restart = func(ctx context.Context, progress func(string)) error {
		close(begun)
		<-gone
		for range 100 { // into a connection that is closed
			progress(strings.Repeat("x", 1000))
		}
		ended <- ctx.Err()
		return nil
	}
	control := startControl(t, src)
	client, err := Find(t.Context(), control.Path(), nil, ToCommand)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if err := client.Restart(ctx, func(string) {}); err == nil {
		t.Error("the client did not leave")
	}
	close(gone)
	if err := <-ended; err != nil {
		t.Errorf("the restart was ended by its client: %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	address := startTCP(t, source())
	a, err := command.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(a); err == nil || err.Error() != "cannot open the admin address "+address+": address already in use" {
		t.Errorf("%v", err)
	}
	if _, err := Listen(command.Address{Path: "/x"}); err == nil {
		t.Error("a path was taken")
	}
}

func TestServeEndsWithClose(t *testing.T) {
	l, err := Listen(command.Address{Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	s := New(l, source(), quiet)
	s.Close() // before Serve: an interrupt may come first
	if err := s.Serve(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}

func TestKeepAliveServesAScraper(t *testing.T) {
	conn := connect(t, "tcp", startTCP(t, source()), 1)[0]
	read := bufio.NewReader(conn)
	for range 3 {
		_, _ = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
		r, err := http.ReadResponse(read, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s", r.Status)
		}
	}
}

func BenchmarkReadyz(b *testing.B) {
	s := three()
	for i := range 200 {
		s.Copies = append(s.Copies, Copy{Index: i, PID: i, State: "ready"})
	}
	src := source()
	src.Status = func() Status { return s }
	l, err := Listen(command.Address{Host: "127.0.0.1"})
	if err != nil {
		b.Fatal(err)
	}
	server := New(l, src, quiet)
	go server.Serve()
	defer server.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	read := bufio.NewReader(conn)
	for b.Loop() {
		_, _ = io.WriteString(conn, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
		r, err := http.ReadResponse(read, nil)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}
}
