package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Client asks one supervisor by its control socket. It makes a connection for
// each question.
type Client struct {
	path  string
	owner int // the uid that the supervisor must have
	pid   int
}

// Path is the socket that it asks.
func (c *Client) Path() string { return c.path }

// Purpose says how Find chooses among several supervisors.
type Purpose int

const (
	// ToProbe takes the one that was there first: a health check must not fail
	// because somebody runs a second one beside it.
	ToProbe Purpose = iota
	// ToCommand wants the user to choose.
	ToCommand
)

// Find finds the running supervisor: at path, or where that is empty in the
// folders (SearchFolders). Root finds those of all users, its own first. Among
// several, the one that is PID 1 is meant: it is the container's.
func Find(ctx context.Context, path string, folders []string, purpose Purpose) (*Client, error) {
	if path != "" {
		return findAt(ctx, path)
	}
	found := search(ctx, folders)
	switch {
	case len(found) == 0:
		return nil, errors.New(notFound(folders))
	case len(found) == 1:
		return found[0], nil
	}
	if i := slices.IndexFunc(found, func(c *Client) bool { return c.pid == 1 }); i >= 0 {
		return found[i], nil
	}
	if purpose == ToProbe {
		return found[0], nil
	}
	names := make([]string, len(found))
	for i, c := range found {
		names[i] = fmt.Sprintf("%s (pid %d)", c.path, c.pid)
	}
	return nil, fmt.Errorf("cannot choose among %d running supervisors: name one with --control: %s", len(found), strings.Join(names, ", "))
}

func findAt(ctx context.Context, path string) (*Client, error) {
	c := &Client{path: path, owner: -1}
	var s unix.Stat_t
	err := unix.Stat(path, &s)
	if err == nil && s.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = errors.New("it is not a socket")
	}
	if err == nil {
		c.owner = int(s.Uid)
		err = c.look(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot ask the supervisor at %s: %w", path, explain(err))
	}
	return c, nil
}

// look connects and hangs up, to see who is there.
func (c *Client) look(ctx context.Context) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// search lists the live ones, the first one's socket before the others of the
// same folder.
func search(ctx context.Context, folders []string) []*Client {
	own := os.Geteuid()
	var mine, others []*Client
	seen := map[string]bool{}
	for _, place := range folders {
		if seen[place] {
			continue
		}
		seen[place] = true
		mine = append(mine, live(ctx, place, own)...)
		if own != 0 {
			continue
		}
		entries, err := os.ReadDir(place)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if uid, ok := ownerOf(entry.Name()); ok && uid != own {
				others = append(others, live(ctx, place, uid)...)
			}
		}
	}
	if len(mine) > 0 {
		return mine
	}
	return others
}

func live(ctx context.Context, place string, uid int) (found []*Client) {
	folder := folderOf(place, uid)
	if trust(folder, uid) != nil {
		return nil
	}
	entries, err := os.ReadDir(folder) // sorted: entrypoint-7.sock, entrypoint.sock
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		if entry.Type() != os.ModeSocket || !strings.HasSuffix(entry.Name(), suffix) {
			continue
		}
		c := &Client{path: filepath.Join(folder, entry.Name()), owner: uid}
		if err := c.look(ctx); err != nil && !errors.Is(err, unix.EAGAIN) {
			continue // left behind by a dead one
		}
		if entry.Name() == primary {
			found = append([]*Client{c}, found...)
		} else {
			found = append(found, c)
		}
	}
	return found
}

// notFound says where it was looked for, and whose would be there.
func notFound(folders []string) string {
	own := os.Geteuid()
	for _, place := range folders {
		entries, err := os.ReadDir(place)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if uid, ok := ownerOf(entry.Name()); ok && uid != own && own != 0 {
				return fmt.Sprintf("cannot find a running supervisor of uid %d; there is %s: ask as that user or as root", own, filepath.Join(place, entry.Name()))
			}
		}
	}
	return fmt.Sprintf("cannot find a running supervisor: no control socket in %s; if it was started with --control, name the same path", strings.Join(folders, ", "))
}

// dial connects and makes sure that the other end is who the file says: the
// same user, or root.
func (c *Client) dial(ctx context.Context) (*net.UnixConn, error) {
	if len(c.path) > maxPath {
		return nil, fmt.Errorf("its path is longer than %d bytes", maxPath)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.path)
	if err != nil {
		return nil, cause(err)
	}
	socket := conn.(*net.UnixConn)
	who, err := peerOf(socket)
	if err == nil && who.uid != 0 && (who.uid != c.owner || c.owner != os.Geteuid() && os.Geteuid() != 0) {
		err = fmt.Errorf("a process of uid %d listens there, which is neither the socket's owner nor root", who.uid)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	c.pid = who.pid
	return socket, nil
}

// explain words the errors that users meet.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return errors.New("the supervisor that made the socket is gone")
	case errors.Is(err, unix.ENOENT):
		return errors.New("there is no such socket")
	case errors.Is(err, unix.EAGAIN):
		return errors.New("its queue is full: it is stopped, or many ask at once")
	case errors.Is(err, unix.EACCES):
		return errors.New("permission denied; ask as the supervisor's user or as root")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return errors.New("it does not answer in time")
	}
	return err
}

// request asks and hands the answer to read, whose Body ends with the
// connection.
func (c *Client) request(ctx context.Context, method, path string, read func(*http.Response) error) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return fmt.Errorf("cannot ask the supervisor at %s: %w", c.path, explain(err))
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// HTTP/1.0: one question, and the answer ends with the connection. A client
	// of net/http would cost a health check more than the question does.
	_, err = io.WriteString(conn, method+" "+path+" HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
	var response *http.Response
	if err == nil {
		response, err = http.ReadResponse(bufio.NewReader(conn), nil)
	}
	if err == nil {
		err = read(response)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errors.New("it has gone before it answered")
	}
	if err != nil {
		return fmt.Errorf("cannot ask the supervisor at %s: %w", c.path, explain(err))
	}
	return nil
}

// maxAnswer bounds what is read of an answer: 10,000 copies fit.
const maxAnswer = 4 << 20

// Ask asks an endpoint, Livez, Readyz or Startupz. The error says why there is
// no answer; a supervisor that does not answer is not well.
func (c *Client) Ask(ctx context.Context, endpoint string) (Answer, error) {
	var a Answer
	err := c.request(ctx, http.MethodGet, endpoint, func(r *http.Response) error {
		if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusServiceUnavailable {
			return refusal(r)
		}
		a.OK = r.StatusCode == http.StatusOK
		return json.NewDecoder(io.LimitReader(r.Body, maxAnswer)).Decode(&a)
	})
	return a, err
}

// Status asks what runs.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.request(ctx, http.MethodGet, statusz, func(r *http.Response) error {
		if r.StatusCode != http.StatusOK {
			return refusal(r)
		}
		return json.NewDecoder(io.LimitReader(r.Body, maxAnswer)).Decode(&s)
	})
	return s, err
}

// Restart asks for a rolling restart and hands its lines to progress until it is
// over. It goes on without us when ctx ends.
func (c *Client) Restart(ctx context.Context, progress func(line string)) error {
	var failed error
	err := c.request(ctx, http.MethodPost, restartz, func(r *http.Response) error {
		if r.StatusCode != http.StatusOK {
			failed = fmt.Errorf("cannot restart: %w", refusal(r))
			return nil
		}
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			line := lines.Text()
			if line == restartDone {
				return nil
			}
			if why, ok := strings.CutPrefix(line, restartFailed); ok {
				failed = fmt.Errorf("cannot restart: %s", printable(why))
				return nil
			}
			progress(printable(line))
		}
		if err := lines.Err(); err != nil {
			return err
		}
		return io.ErrUnexpectedEOF
	})
	return errors.Join(err, failed)
}

// refusal is the one line that comes with a code that is no answer.
func refusal(r *http.Response) error {
	line, _ := bufio.NewReader(io.LimitReader(r.Body, maxHeader)).ReadString('\n')
	if line = printable(strings.TrimSpace(line)); line == "" {
		line = "it answers " + strconv.Itoa(r.StatusCode)
	}
	return errors.New(line)
}
