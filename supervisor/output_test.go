package supervisor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// screen is a destination that is read.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// written is what becomes of what a copy writes on its stdout and stderr.
func written(t *testing.T, format OutputFormat, stdout, stderr string) (out, errs string, tail []string) {
	t.Helper()
	var a, b screen
	s, err := NewOutput(format, &a, &b, slog.New(newLines())).open("web.0")
	if err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	for i, text := range []string{stdout, stderr} {
		writing.Go(func() {
			for len(text) > 0 {
				n, err := unix.Write(s.files[i], []byte(text))
				if err != nil {
					t.Error(err)
					return
				}
				text = text[n:]
			}
		})
	}
	writing.Wait()
	s.started() // the copy, too, has closed its end
	tail = s.close()
	return a.String(), b.String(), tail
}

func TestOutputPrefix(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	umlauts := strings.Repeat("ü", maxLine/2) // its last half would be cut off
	for _, test := range []struct{ name, written, want string }{
		{"nothing", "", ""},
		{"a line", "hello\n", "web.0 | hello\n"},
		{"an empty line", "\n", "web.0 | \n"},
		{"two", "a\nb\n", "web.0 | a\nweb.0 | b\n"},
		{"no end", "a\nb", "web.0 | a\nweb.0 | b\n"},
		{"CRLF", "a\r\nb\r\n", "web.0 | a\nweb.0 | b\n"},
		{"a progress bar", "1%\r2%\n", "web.0 | 1%\r2%\n"},
		{"colours, NUL, no UTF-8", "\x1b[31mred\x00\xff\n", "web.0 | \x1b[31mred\x00\xff\n"},
		{"just not too long", long[1:] + "\n", "web.0 | " + long[1:] + "\n"},
		{"too long", long + "y\n", "web.0 | " + long + "\nweb.0 | y\n"},
		{"too long in the middle of a letter", "x" + umlauts + "\n", "web.0 | x" + umlauts[2:] + "\nweb.0 | ü\n"},
		{"a letter of many bytes that never ends", strings.Repeat("\x80", maxLine) + "\n", "web.0 | " + strings.Repeat("\x80", maxLine) + "\nweb.0 | \n"},
	} {
		out, errs, _ := written(t, Prefix, test.written, "")
		if out != test.want || errs != "" {
			t.Errorf("%s: %.200q, %q", test.name, out, errs)
		}
	}
	if out, errs, _ := written(t, Prefix, "to stdout\n", "to stderr\n"); out != "web.0 | to stdout\n" || errs != "web.0 | to stderr\n" {
		t.Errorf("%q, %q", out, errs)
	}
}

func TestOutputJSON(t *testing.T) {
	out, errs, _ := written(t, JSON, "a <b> \"c\"\n\xff\x00\n", "oh\n")
	type line struct{ Time, Copy, Stream, Message string }
	read := func(text string) (all []line) {
		for one := range strings.Lines(text) {
			var l line
			d := json.NewDecoder(strings.NewReader(one))
			d.DisallowUnknownFields()
			if err := d.Decode(&l); err != nil {
				t.Errorf("%q: %v", one, err)
			}
			if when, err := time.Parse(time.RFC3339, l.Time); err != nil || time.Since(when) > time.Hour || !strings.HasSuffix(l.Time, "Z") {
				t.Errorf("time %q: %v", l.Time, err)
			}
			l.Time = ""
			all = append(all, l)
		}
		return all
	}
	want := []line{{"", "web.0", "stdout", `a <b> "c"`}, {"", "web.0", "stdout", "\ufffd\x00"}}
	if diff := cmp.Diff(want, read(out)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]line{{"", "web.0", "stderr", "oh"}}, read(errs)); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(out, `\u003c`) {
		t.Errorf("escaped for HTML: %s", out)
	}
}

func TestTheLastLinesAreKept(t *testing.T) {
	var all strings.Builder
	for i := range 50 {
		fmt.Fprintf(&all, "line %d\n", i)
	}
	fmt.Fprintln(&all, strings.Repeat("ü", maxTailLine))
	_, _, tail := written(t, Prefix, all.String(), "")
	if len(tail) != tailLines || tail[0] != "line 31" || tail[18] != "line 49" {
		t.Errorf("%q", tail)
	}
	if last := tail[len(tail)-1]; len(last) > maxTailLine || !utf8.ValidString(last) {
		t.Errorf("%d bytes: %q", len(last), last)
	}
	if _, _, tail := written(t, JSON, "one\n", ""); len(tail) != 1 || tail[0] != "one" {
		t.Errorf("%q", tail)
	}
}

// Whatever the order in which the two pipes are read, a busy stdout does not push
// out the error that explains the end, and the other way round.
func TestTheLastLinesOfBothPipes(t *testing.T) {
	busy := strings.Repeat("busy\n", 50)
	for _, test := range []struct {
		stdout, stderr string
		others         int // that are not busy
	}{
		{busy, "the reason\n", 1},
		{busy, strings.Repeat("the reason\n", 50), tailLines / 2},
		{"the reason\n", busy, 1},
		{"", strings.Repeat("the reason\n", 50), tailLines},
	} {
		_, _, tail := written(t, Prefix, test.stdout, test.stderr)
		others := slices.DeleteFunc(slices.Clone(tail), func(line string) bool { return line == "busy" })
		if len(tail) != tailLines || len(others) != test.others {
			t.Errorf("%q", tail)
		}
	}
}

// Nobody reads our stdout: the copy blocks, our memory does not grow. Then
// everything arrives.
func TestACopyThatWritesTooFastBlocks(t *testing.T) {
	read, write := io.Pipe()
	s, err := NewOutput(Prefix, write, io.Discard, slog.New(newLines())).open("web")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(s.files[0], true); err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 99) + "\n")
	const enough = 4 << 20
	taken := 0
	full := func() bool { // for longer than the reader needs to take what it can
		poll := []unix.PollFd{{Fd: int32(s.files[0]), Events: unix.POLLOUT}}
		for {
			n, err := unix.Poll(poll, 300)
			if err != unix.EINTR {
				return n == 0
			}
		}
	}
	for taken < enough {
		n, err := unix.Write(s.files[0], line)
		if err == unix.EAGAIN {
			if full() {
				break
			}
			continue
		}
		if err != nil || n != len(line) {
			t.Fatal(n, err)
		}
		taken += n
	}
	if taken >= enough {
		t.Fatalf("%d bytes were taken, and nobody has read one", taken)
	}
	arrived := make(chan int)
	go func() {
		n, _ := io.Copy(io.Discard, read)
		arrived <- int(n)
	}()
	s.started()
	s.close()
	write.Close()
	if n, want := <-arrived, taken/len(line)*(len("web | ")+len(line)); n != want {
		t.Errorf("%d bytes arrive, not %d", n, want)
	}
}

// The reader of our stdout has gone (docker logs | head): the copies go on, what
// they write is lost, and that is said once.
func TestOurStdoutIsClosed(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	log := newLines()
	output := NewOutput(Prefix, write, io.Discard, slog.New(log))
	for range 3 {
		s, err := output.open("web")
		if err != nil {
			t.Fatal(err)
		}
		block := bytes.Repeat([]byte("line\n"), 100_000)
		for len(block) > 0 {
			n, err := unix.Write(s.files[0], block)
			if err != nil {
				t.Fatal(err)
			}
			block = block[n:]
		}
		s.started()
		if tail := s.close(); len(tail) != tailLines {
			t.Errorf("%q", tail)
		}
	}
	if said := log.said(); len(said) != 1 || !strings.Contains(said[0], "cannot write to our stdout") {
		t.Errorf("%q", said)
	}
}

// Neither a pipe that somebody holds open nor a stdout that nobody reads holds a
// copy's end.
func TestTheEndIsNotWaitedForForever(t *testing.T) {
	t.Run("a held pipe", func(t *testing.T) {
		var out screen
		s, err := NewOutput(Prefix, &out, io.Discard, slog.New(newLines())).open("web")
		if err != nil {
			t.Fatal(err)
		}
		held, err := unix.Dup(s.files[0]) // a daemon's
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(held, []byte("before\nunfinished")); err != nil {
			t.Fatal(err)
		}
		s.started()
		if tail := s.close(); len(tail) == 0 || tail[0] != "before" {
			t.Errorf("%q", tail)
		}
		<-s.done
		if got := out.String(); got != "web | before\nweb | unfinished\n" {
			t.Errorf("%q", got)
		}
		if _, err := unix.Write(held, []byte("x")); !errors.Is(err, unix.EPIPE) {
			t.Errorf("the pipe is read on: %v", err)
		}
		_ = unix.Close(held)
	})
	t.Run("a stdout that nobody reads", func(t *testing.T) {
		read, write := io.Pipe()
		output := NewOutput(Prefix, write, io.Discard, slog.New(newLines()))
		var streams []*stream
		for range 2 { // one blocks in the write, the other waits for it
			s, err := output.open("web")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(s.files[0], []byte("line\n")); err != nil {
				t.Fatal(err)
			}
			s.started()
			streams = append(streams, s)
		}
		for _, s := range streams {
			s.close()
		}
		read.Close()
		for _, s := range streams {
			<-s.done
		}
	})
}

func TestOutputLeavesNoDescriptors(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	written(t, Prefix, "warm\n", "up\n")
	before := count()
	for range 50 {
		written(t, JSON, "a\n", "b\n")
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// The copy's own ends block, as every program expects of its stdout.
func TestTheCopysEndsBlock(t *testing.T) {
	s, err := NewOutput(Prefix, io.Discard, io.Discard, slog.New(newLines())).open("web")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range s.files {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("flags %x, %v", flags, err)
		}
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Error("it leaks into other copies")
		}
	}
	s.started()
	s.close()
}

// Whatever is written arrives, in order, cut at line ends and at the limit only.
func FuzzCutLine(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n"), uint8(3))
	f.Add([]byte("üüüü"), uint8(5))
	f.Add([]byte("\x80\x80\x80\x80\xf0\x9f"), uint8(4))
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		limit := max(int(size), utf8.UTFMax)
		buf := make([]byte, limit)
		var got []byte
		held, read := 0, 0
		for last := false; ; {
			n := copy(buf[held:], text[read:])
			last = n == 0
			held, read = held+n, read+n
			rest := buf[:held]
			for {
				line, after, found := cutLine(rest, len(rest) == limit, last)
				if !found {
					break
				}
				if len(line) > limit || len(after) >= len(rest) {
					t.Fatalf("%q of %q leaves %q", line, rest, after)
				}
				got = append(append(got, line...), '\n')
				rest = after
			}
			if len(rest) == limit {
				t.Fatal("no room to read on: this spins")
			}
			held = copy(buf, rest)
			if last {
				break
			}
		}
		if held != 0 {
			t.Errorf("%q is kept", buf[:held])
		}
		strip := func(b []byte) []byte {
			return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\n"), nil), []byte("\r"), nil)
		}
		if !bytes.Equal(strip(got), strip(text)) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
