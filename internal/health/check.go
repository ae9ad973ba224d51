// Package health asks whether something is well: one look is a Check, a Prober
// looks in a rhythm and remembers, WaitAll looks until everything is there.
package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// Check is one look. nil is well; an error says in a few words what is not, and
// holds no secret. It returns soon after ctx has ended.
type Check func(ctx context.Context) error

// Runner runs a command to its end and returns nil for exit code 0. When ctx
// ends it owes the caller that the command's whole process group is killed.
type Runner func(ctx context.Context, argv []string) error

// Subject is what a check needs beside its description: where the program that
// is asked listens, and by what means.
type Subject struct {
	Address command.Address // http: the copy's private socket, or the shared one
	// Ours tells, of an address that several share, whether the one who is asked has
	// accepted the connection; settled is false while nobody has. nil: whoever answers
	// is right.
	Ours func(net.Conn) (ours, settled bool)
	Dir  string   // file: what a relative path is relative to
	Argv []string // exec: the words of the command
	Run  Runner   // exec
}

// New makes the check that h describes; nil for HealthNone. An http check
// without a path takes any answer for a sign of life: Django says 400 to a host
// that it does not know, and 301 to plain http.
func New(h command.Health, s Subject) Check {
	switch h.Kind {
	case command.HealthHTTP:
		return HTTP(s.Address, h.Target, s.Ours)
	case command.HealthTCP:
		return TCP(h.Target)
	case command.HealthExec:
		return Exec(s.Run, s.Argv)
	case command.HealthFile:
		path := h.Target
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.Dir, path)
		}
		return File(path, h.MaxAge)
	}
	return nil
}

// maxHeader bounds what an answer may make us keep.
const maxHeader = 64 << 10

// HTTP gets a path, with a query if there is one, from a socket of our own
// program: 200 to 399 is well. An empty path is / with any answer. Nothing is
// kept open between two looks: a connection that idles occupies a synchronous
// worker of the application. ours may be nil; see Subject.
func HTTP(a command.Address, path string, ours func(net.Conn) (ours, settled bool)) Check {
	wellStatus := func(code int) bool { return code >= 200 && code < 400 }
	if path == "" {
		path, wellStatus = "/", func(int) bool { return true }
	}
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: func(detached context.Context, _, _ string) (net.Conn, error) {
				ctx := detached.Value(look{}).(context.Context)
				conn, err := dialAddress(ctx, a)
				if err != nil || ours == nil {
					return conn, err
				}
				if err := accepted(ctx, conn, ours); err != nil {
					conn.Close()
					return nil, err
				}
				return conn, nil
			},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(context.WithValue(ctx, look{}, ctx), http.MethodGet, "http://localhost"+path, nil)
		if err != nil {
			return errors.New("the path cannot be asked for")
		}
		request.Header.Set("User-Agent", "entrypoint-health")
		response, err := client.Do(request)
		if err != nil {
			return plain(err)
		}
		response.Body.Close()
		if !wellStatus(response.StatusCode) {
			return fmt.Errorf("the answer is %d", response.StatusCode)
		}
		return nil
	}
}

// look is the key of the look's own context. The transport dials with one that has
// its values and not its end, for the sake of requests to come; we have none, and a
// program that never accepts would gather connections.
type look struct{}

// acceptedEvery is how often it is looked who has accepted a connection: it may
// wait in the queue for as long as every process is busy.
const acceptedEvery = 20 * time.Millisecond

// accepted waits until somebody has accepted the connection. The request is not
// sent before: many servers close the connection with the answer, and then
// nobody can be seen at its other end.
func accepted(ctx context.Context, conn net.Conn, ours func(net.Conn) (ours, settled bool)) error {
	again := time.NewTicker(acceptedEvery)
	defer again.Stop()
	for {
		switch mine, settled := ours(conn); {
		case settled && mine:
			return nil
		case settled:
			return errors.New("another copy has answered")
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// dialAddress connects to where a program is bound: a wildcard address is
// reached by loopback.
func dialAddress(ctx context.Context, a command.Address) (net.Conn, error) {
	var d net.Dialer
	if a.IsUnix() {
		return d.DialContext(ctx, "unix", a.Path)
	}
	port := strconv.Itoa(a.Port)
	ip := net.ParseIP(a.Host)
	switch {
	case a.Host != "" && !ip.IsUnspecified():
		return d.DialContext(ctx, "tcp", net.JoinHostPort(a.Host, port))
	case ip != nil && ip.To4() == nil: // [::] alone is IPv6 only
		return d.DialContext(ctx, "tcp", net.JoinHostPort("::1", port))
	}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil && a.Host == "" && ctx.Err() == nil {
		if v6, err := d.DialContext(ctx, "tcp", net.JoinHostPort("::1", port)); err == nil {
			return v6, nil
		}
	}
	return conn, err
}

// TCP connects to host:port. Of our own shared socket it says nothing: the
// kernel accepts while every copy is stopped.
func TCP(target string) Check {
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", target)
		if err != nil {
			return plain(err)
		}
		return conn.Close()
	}
}

// File looks at the time of a file's last change: a heartbeat.
func File(path string, maxAge time.Duration) Check {
	return func(context.Context) error {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s does not exist", path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, plain(err))
		}
		if age := time.Since(info.ModTime()); age > maxAge {
			return fmt.Errorf("%s was touched %s ago, the limit is %s", path, age.Round(time.Second), maxAge)
		}
		return nil
	}
}

// Exec runs a command: 0 is well.
func Exec(run Runner, argv []string) Check {
	return func(ctx context.Context) error { return run(ctx, argv) }
}

// plain reduces an error of net or net/http to its cause. What is wrapped around
// it repeats the address and the URL, and a URL's query may be a secret.
func plain(err error) error {
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &dns):
		return errors.New("the name " + strconv.Quote(dns.Name) + " is not known: " + dns.Err)
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
