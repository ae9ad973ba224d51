package supervisor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// OutputFormat is what becomes of the lines that copies write.
type OutputFormat int

const (
	// Prefix puts the copy's name in front: "web.0 | line".
	Prefix OutputFormat = iota
	// JSON makes an object of each line, with time, copy, stream and message.
	JSON
)

const (
	// maxLine is where a longer line is cut in two. It leaves room for what is put
	// in front below the 16 KiB at which Docker's log drivers cut.
	maxLine = 16000
	// The last lines of a copy, of both pipes together, are kept for its end, cut
	// like this.
	tailLines   = 20
	maxTailLine = 400
	// flushAt bounds what is written at once.
	flushAt = 64 << 10
	// pipeWait bounds the wait for a pipe that somebody holds open when the copy's
	// group is empty: a daemon in a session of its own (golang/go #23019).
	pipeWait = time.Second
)

// Output reads what the copies write and passes it on line by line. What cannot
// be written is waited for, so that a copy that writes faster than we are read
// blocks instead of filling our memory; a destination that is closed loses its
// lines and nothing else.
type Output struct {
	format         OutputFormat
	stdout, stderr *destination
}

// NewOutput passes lines on to our own stdout and stderr.
func NewOutput(format OutputFormat, stdout, stderr io.Writer, log *slog.Logger) *Output {
	return &Output{
		format: format,
		stdout: newDestination("stdout", stdout, log),
		stderr: newDestination("stderr", stderr, log),
	}
}

// stream is the output of one life. What copies a pipe owns its end of it.
type stream struct {
	output *Output
	name   string
	files  [2]int      // what the copy inherits as its stdout and stderr
	pipes  [2]*os.File // what we read
	quit   chan struct{}
	done   chan struct{} // closed when both pipes were read to their end

	mu    sync.Mutex
	tails [2]tail // of stdout and of stderr
	lines uint64  // so far, of both
}

// open makes the pipes of one life. The caller owes started once the copy was
// forked or could not be, and then close.
func (o *Output) open(name string) (*stream, error) {
	s := &stream{output: o, name: name, quit: make(chan struct{}), done: make(chan struct{})}
	for i := range s.files {
		// Not os.Pipe: it makes the copy's end non-blocking as well, and programs
		// take EAGAIN from their stdout for an error.
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			if i > 0 {
				_ = unix.Close(s.files[0])
				s.pipes[0].Close()
			}
			return nil, fmt.Errorf("cannot make pipes for the output of %s: %w", name, err)
		}
		_ = unix.SetNonblock(ends[0], true) // so that a read of ours can be ended
		s.files[i], s.pipes[i] = ends[1], os.NewFile(uintptr(ends[0]), name)
	}
	var reading sync.WaitGroup
	for i, to := range [...]*destination{o.stdout, o.stderr} {
		reading.Go(func() { s.pass(i, to) })
	}
	go func() {
		reading.Wait()
		close(s.done)
	}()
	return s, nil
}

// started closes our ends of what the copy has inherited.
func (s *stream) started() {
	for _, fd := range s.files {
		_ = unix.Close(fd)
	}
}

// close waits for the rest and returns the last lines.
func (s *stream) close() []string {
	timer := time.NewTimer(pipeWait)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		close(s.quit)
		for _, pipe := range s.pipes {
			_ = pipe.SetReadDeadline(time.Unix(1, 0))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return lastLines(s.tails[0].lines(), s.tails[1].lines())
}

// pass reads one of the pipes to its end.
func (s *stream) pass(which int, to *destination) {
	pipe := s.pipes[which]
	defer pipe.Close()
	buf := make([]byte, maxLine)
	held := 0
	var out []byte
	for {
		n, err := pipe.Read(buf[held:])
		held += n
		rest := buf[:held]
		for {
			line, after, found := cutLine(rest, len(rest) == len(buf), err != nil)
			if !found {
				break
			}
			rest = after
			s.keep(which, line)
			out = s.output.append(out, s.name, to.name, line)
			if len(out) >= flushAt {
				to.write(out, s.quit)
				out = out[:0]
			}
		}
		held = copy(buf, rest)
		if len(out) > 0 {
			to.write(out, s.quit)
			out = out[:0]
		}
		if err != nil {
			return
		}
	}
}

// cutLine takes the first line off. What has no end yet is a line if there is no
// room for more of it, or nothing more to come.
func cutLine(b []byte, full, last bool) (line, rest []byte, found bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	line, rest, whole := bytes.Cut(b, []byte{'\n'})
	switch {
	case whole:
		return bytes.TrimSuffix(line, []byte{'\r'}), rest, true
	case last:
		return line, nil, true
	case full:
		line = wholeRunes(b)
		return line, b[len(line):], true
	}
	return nil, b, false
}

// wholeRunes cuts off a last character that is not complete.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i < len(b); i++ {
		if at := len(b) - i; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				return b[:at]
			}
			break
		}
	}
	return b
}

func (s *stream) keep(which int, line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines++
	s.tails[which].add(s.lines, line)
}

func (o *Output) append(out []byte, name, stream string, line []byte) []byte {
	if o.format == Prefix {
		out = append(out, name...)
		out = append(out, " | "...)
		out = append(out, line...)
		return append(out, '\n')
	}
	b := bytes.NewBuffer(out)
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(struct { // strings alone: nothing to fail
		Time    string `json:"time"`
		Copy    string `json:"copy"`
		Stream  string `json:"stream"`
		Message string `json:"message"`
	}{time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00"), name, stream, string(line)})
	return b.Bytes()
}

// destination is our stdout or stderr, shared by all copies.
type destination struct {
	name string
	w    io.Writer
	log  *slog.Logger
	turn chan struct{} // a lock whose wait can be given up
	gone bool          // closed by who has read it
}

func newDestination(name string, w io.Writer, log *slog.Logger) *destination {
	return &destination{name: name, w: w, log: log, turn: make(chan struct{}, 1)}
}

// write writes whole lines, unless quit comes first while others are at it.
func (d *destination) write(b []byte, quit <-chan struct{}) {
	select {
	case d.turn <- struct{}{}: // free
	default:
		select {
		case d.turn <- struct{}{}:
		case <-quit:
			return
		}
	}
	defer func() { <-d.turn }()
	if d.gone {
		return
	}
	if _, err := d.w.Write(b); err != nil {
		d.gone = true
		d.log.Warn("cannot write to our "+d.name+": what the copies write there is lost from now on", "error", err)
	}
}

// tail keeps the last lines of one pipe in buffers that it uses again.
type tail struct {
	ring [tailLines]kept
	next int
	full bool
}

// kept is a line and its number among those of both pipes.
type kept struct {
	number uint64
	line   []byte
}

func (t *tail) add(number uint64, line []byte) {
	if len(line) > maxTailLine {
		line = wholeRunes(line[:maxTailLine])
	}
	t.ring[t.next] = kept{number, append(t.ring[t.next].line[:0], line...)}
	t.next++
	if t.next == tailLines {
		t.next, t.full = 0, true
	}
}

func (t *tail) lines() []kept {
	if !t.full {
		return t.ring[:t.next]
	}
	return slices.Concat(t.ring[t.next:], t.ring[:t.next])
}

// lastLines are the last of both pipes in the order in which they were read, of
// which half are stderr's, if it has as many: the two pipes are read side by side,
// and a busy stdout must not push out the error that explains the end.
func lastLines(out, err []kept) []string {
	errs := min(len(err), max(tailLines/2, tailLines-len(out)))
	outs := min(len(out), tailLines-errs)
	all := slices.Concat(out[len(out)-outs:], err[len(err)-errs:])
	slices.SortFunc(all, func(a, b kept) int { return cmp.Compare(a.number, b.number) })
	var lines []string
	for _, one := range all {
		lines = append(lines, string(one.line))
	}
	return lines
}
