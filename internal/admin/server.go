package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// The limits of a connection. Who asks is a prober, a scraper or our own client:
// all of them are quick and brief.
const (
	maxHeader   = 8 << 10
	maxBody     = 1 << 10
	readWithin  = 5 * time.Second
	writeWithin = 5 * time.Second
	idleWithin  = time.Minute // a scraper comes back within it
)

// netHTTPSlop is what net/http adds to MaxHeaderBytes.
const netHTTPSlop = 4 << 10

// Source is what the server asks. The functions may be called from any number
// of goroutines; Status and Metrics answer at once, whatever the application
// does.
type Source struct {
	Status  func() Status
	Metrics func(io.Writer) error // text exposition format
	// Restart restarts every copy, one after the other, and tells what it does
	// in lines. It is not ended by the client's leaving. nil where there is
	// nothing to restart.
	Restart func(ctx context.Context, progress func(line string)) error
}

// Server answers on one listener.
type Server struct {
	http    *http.Server
	listen  net.Listener
	crowd   *crowd
	source  Source
	control bool
}

// New makes the server of an admin address: the endpoints alone. Serve starts
// it.
func New(l net.Listener, source Source, log *slog.Logger) *Server {
	return newServer(l, false, source, log)
}

// NewControl makes that of the control socket, on which the supervisor can also
// be told something, by its own user and by root.
func NewControl(c *Control, source Source, log *slog.Logger) *Server {
	return newServer(c, true, source, log)
}

func newServer(l net.Listener, control bool, source Source, log *slog.Logger) *Server {
	s := &Server{listen: l, control: control, source: source, crowd: &crowd{limit: maxConnections}}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler:           s,
		Protocols:         protocols,
		MaxHeaderBytes:    maxHeader - netHTTPSlop,
		ReadHeaderTimeout: readWithin,
		ReadTimeout:       readWithin,
		WriteTimeout:      writeWithin,
		IdleTimeout:       idleWithin,
		ConnState:         s.crowd.observe,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

type connKey struct{}

// Serve answers until Close, and then returns nil.
func (s *Server) Serve() error {
	err := s.http.Serve(s.listen)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("cannot serve on %s: %w", s.listen.Addr(), err)
}

// Close ends Serve and every connection, at once. A control socket's file is
// removed.
func (s *Server) Close() {
	_ = s.http.Close()
	_ = s.listen.Close() // where Serve was never called
}

// Listen opens the admin address. The error says what to change.
func Listen(a command.Address) (net.Listener, error) {
	if a.IsUnix() {
		return nil, fmt.Errorf("cannot open the admin address %s: wanted: host:port; the control socket answers the same on a unix socket", a)
	}
	l, err := net.Listen("tcp", a.String())
	if err != nil {
		return nil, fmt.Errorf("cannot open the admin address %s: %w", a, cause(err))
	}
	return l, nil
}

// cause is the innermost error: net's repeat the address around it.
func cause(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

func (s *Server) paths() []string {
	paths := []string{Livez, Readyz, Startupz, metricz}
	if s.control {
		paths = append(paths, statusz, restartz)
	}
	return paths
}

// ServeHTTP is the whole of the interface; it is exported for net/http alone.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.control {
		if err := admit(r); err != nil {
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusForbidden, err.Error())
			return
		}
	}
	if r.ContentLength > maxBody {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a body of at most %d bytes is read here", maxBody))
		return
	}
	if r.ContentLength != 0 {
		// Nothing here reads a body. Without this net/http waits for 256 KB of it
		// before it sends the answer.
		w.Header().Set("Connection", "close")
	}
	path := r.URL.Path
	switch {
	case path == Livez || path == Readyz || path == Startupz:
		if reads(w, r) {
			s.health(w, path)
		}
	case path == metricz:
		if reads(w, r) {
			s.metrics(w)
		}
	case path == statusz && s.control:
		if reads(w, r) {
			respond(w, http.StatusOK, s.source.Status())
		}
	case path == restartz && s.control:
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			refuse(w, http.StatusMethodNotAllowed, "wanted: POST")
			return
		}
		s.restart(w, r)
	case path == restartz:
		refuse(w, http.StatusNotFound, "a restart is asked for on the control socket only: entrypoint restart")
	default:
		refuse(w, http.StatusNotFound, "there is: "+strings.Join(s.paths(), " "))
	}
}

// admit lets in our own user and root.
func admit(r *http.Request) error {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	who, err := peerOf(conn)
	if err != nil {
		return errors.New("cannot see who asks")
	}
	if !who.mayAsk() {
		return fmt.Errorf("this supervisor answers to its own user and to root, not to uid %d", who.uid)
	}
	return nil
}

func reads(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	refuse(w, http.StatusMethodNotAllowed, "wanted: GET")
	return false
}

func (s *Server) health(w http.ResponseWriter, path string) {
	a := answer(path, s.source.Status())
	code := http.StatusOK
	if !a.OK {
		code = http.StatusServiceUnavailable
	}
	respond(w, code, a)
}

// metrics are collected before the first byte is written, so that a failure is a
// 500 and not half a page.
func (s *Server) metrics(w http.ResponseWriter) {
	var page bytes.Buffer
	if err := s.source.Metrics(&page); err != nil {
		refuse(w, http.StatusInternalServerError, "cannot collect the metrics")
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(page.Bytes())
}

func respond(w http.ResponseWriter, code int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "cannot write the answer")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n'))
}

func refuse(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, line+"\n")
}

// The last line of a restart's answer; the lines before it are its progress.
const (
	restartDone   = "done"
	restartFailed = "failed: "
)

// restart streams lines until it is over. A refusal that comes before the first
// line is 409.
func (s *Server) restart(w http.ResponseWriter, r *http.Request) {
	if s.source.Restart == nil {
		refuse(w, http.StatusConflict, "there is nothing to restart here")
		return
	}
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	s.crowd.exempt(conn)
	stream := http.NewResponseController(w)
	begun := false
	say := func(line string) {
		if !begun {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			begun = true
		}
		// A client that does not read loses the lines, not the restart.
		_ = stream.SetWriteDeadline(time.Now().Add(writeWithin))
		_, _ = io.WriteString(w, printable(line)+"\n")
		_ = stream.Flush()
	}
	err := s.source.Restart(context.WithoutCancel(r.Context()), say)
	switch {
	case err != nil && !begun:
		refuse(w, http.StatusConflict, printable(err.Error()))
	case err != nil:
		say(restartFailed + err.Error())
	default:
		say(restartDone)
	}
}
