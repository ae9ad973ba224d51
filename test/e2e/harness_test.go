package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// patience bounds every wait. It decides no result unless something hangs.
const patience = 60 * time.Second

// place is where the binary runs.
type place string

const (
	asInit     place = "PID 1"
	besideInit place = "not PID 1"
)

// everywhere tells the story in both places.
func everywhere(t *testing.T, story func(t *testing.T, p place)) {
	t.Helper()
	for _, p := range []place{asInit, besideInit} {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			story(t, p)
		})
	}
}

// in tells one of several stories in the places where it holds.
func in(t *testing.T, name string, places []place, story func(t *testing.T, p place)) {
	t.Helper()
	for _, p := range places {
		t.Run(name+" as "+string(p), func(t *testing.T) {
			t.Parallel()
			story(t, p)
		})
	}
}

// opts are the beginning of a story.
type opts struct {
	args []string
	env  []string // added to a small environment; see environment
	bare bool     // env is the whole environment
	dir  string
	path string // another program than the binary: an outer shell

	tty   bool // a terminal of 80 columns and 24 rows, instead of pipes
	stdin bool // a pipe that say writes to, instead of /dev/null

	ignore, block []syscall.Signal // inherited by the binary
	closed        []int            // descriptors that it does not have at all
	broken        []int            // pipes that nobody reads
}

// running is a binary that was started, in a namespace that ends with the test.
type running struct {
	t     *testing.T
	place place
	home  string // a folder of its own: HOME, and XDG_RUNTIME_DIR

	stdout, stderr *output
	stdin          *os.File // the write end, or the terminal
	marks          []*os.File
	expected       int // how much of stdout expect has passed

	init int // the namespace's first process, as the machine numbers it
	pid  int // the binary's, likewise

	before time.Duration // what the stage had used when the binary was executed

	done chan struct{}
	code int
}

// environment is what the binary gets beside the story's own: little, so that
// nothing of the developer's reaches it, and its sockets in a folder of its own.
func environment(home string) []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home, "XDG_RUNTIME_DIR=" + home, "LANG=C.UTF-8", "TERM=dumb"}
}

// merged is base with the story's own entries in the place of those of the same
// name.
func merged(base, own []string) []string {
	all := slices.DeleteFunc(base, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.ContainsFunc(own, func(o string) bool { return strings.HasPrefix(o, name+"=") })
	})
	return append(all, own...)
}

// start starts the binary. It returns when it has been executed.
func start(t *testing.T, p place, o opts) *running {
	t.Helper()
	needNamespaces(t)
	// Not t.TempDir: its path is too long for a unix socket.
	home, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	if o.path == "" {
		o.path = binary
	}
	if !o.bare {
		o.env = merged(environment(home), o.env)
	}
	s := stage{
		Own: true, Proc: true, Keeper: p == besideInit,
		Path: o.path, Argv: bytesOf(append([]string{filepath.Base(o.path)}, o.args...)), Env: bytesOf(o.env), Dir: o.dir,
		Ignore: o.ignore, Block: o.block, Close: o.closed,
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, place: p, home: home, stdout: newOutput(), stderr: newOutput(), done: make(chan struct{})}
	ready, status := r.launch(o, string(text))
	if problem, err := io.ReadAll(ready); err != nil || len(problem) > 0 {
		t.Fatalf("cannot start: %s %v", problem, err)
	}
	ready.Close()
	r.pid = r.init
	if p == besideInit {
		r.pid = r.childOfKeeper()
		go r.awaitKeepersWord(status)
	}
	r.before, _ = r.usage()
	return r
}

// launch starts the stage and returns its two pipes.
func (r *running) launch(o opts, stage string) (ready, status *os.File) {
	t := r.t
	t.Helper()
	pipe := func() (*os.File, *os.File) {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close(); out.Close() })
		return in, out
	}
	cmd := &exec.Cmd{
		Path: self, Args: []string{"stage", "stage", stage}, Env: []string{"GORACE=atexit_sleep_ms=0"},
		SysProcAttr: namespaces(),
	}
	if o.tty {
		master, slave := terminal(t)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr.Setctty = true
		r.stdin, r.marks = master, []*os.File{slave}
		close(r.stderr.done)
		go r.stdout.collect(master)
	} else {
		if o.stdin {
			in, out := pipe()
			cmd.Stdin, r.stdin = in, out
		}
		files := map[int]*os.File{}
		for fd, out := range map[int]*output{1: r.stdout, 2: r.stderr} {
			read, write := pipe()
			files[fd] = write
			for _, broken := range o.broken {
				if broken == fd {
					read.Close()
				}
			}
			r.marks = append(r.marks, write)
			go out.collect(read)
		}
		cmd.Stdout, cmd.Stderr = files[1], files[2]
	}
	ready, readyEnd := pipe()
	status, statusEnd := pipe()
	cmd.ExtraFiles = []*os.File{readyEnd, statusEnd}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start a pid namespace: %v", err)
	}
	readyEnd.Close()
	statusEnd.Close()
	if f, ok := cmd.Stdin.(*os.File); ok && !o.tty {
		f.Close()
	}
	r.init = cmd.Process.Pid
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		_ = cmd.Wait()
		if r.place == asInit {
			r.ended(cmd.ProcessState.Sys().(syscall.WaitStatus))
		}
	}()
	t.Cleanup(func() {
		// The kernel ends the rest of the namespace with its first process.
		_ = cmd.Process.Kill()
		<-reaped
		r.noTrace()
	})
	return ready, status
}

// terminal makes one of 80 columns and 24 rows.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	blocking, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer blocking.Close()
	// Only a file of the poller can be closed while it is read from.
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "terminal")
	t.Cleanup(func() { master.Close(); slave.Close() })
	resize(t, slave, 24, 80)
	return master, slave
}

func resize(t *testing.T, slave *os.File, rows, columns uint16) {
	t.Helper()
	if err := pty.Setsize(slave, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		t.Fatal(err)
	}
}

func (r *running) ended(w syscall.WaitStatus) {
	r.code = w.ExitStatus()
	if w.Signaled() {
		r.code = -int(w.Signal()) // the binary's own death, which is never wanted
	}
	close(r.done)
}

func (r *running) awaitKeepersWord(status *os.File) {
	var w uint32
	if _, err := fmt.Fscan(status, &w); err == nil {
		r.ended(syscall.WaitStatus(w))
	}
}

// exit waits for the end and returns the code: minus n if the binary itself was
// killed by a signal.
func (r *running) exit() int {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("no end within %s\n%s", patience, r)
	}
	for _, f := range r.marks {
		_, _ = io.WriteString(f, endMark)
	}
	<-r.stdout.done
	<-r.stderr.done
	return r.code
}

// wantExit waits for the end and compares the code.
func (r *running) wantExit(want int) {
	r.t.Helper()
	if got := r.exit(); got != want {
		r.t.Errorf("exit code %d, not %d\n%s", got, want, r)
	}
}

// signal sends to the binary, from outside the namespace.
func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	// 0 and -1 are not processes to kill(2), but a crowd.
	if r.pid <= 1 {
		r.t.Fatalf("cannot send %v: the binary has ended before it was seen\n%s", s, r)
	}
	if err := syscall.Kill(r.pid, s); err != nil {
		r.t.Fatalf("cannot send %v: %v\n%s", s, err, r)
	}
}

// waitFor waits until stdout or stderr contains the text.
func (r *running) waitFor(text string) {
	r.t.Helper()
	r.waitForN(text, 1)
}

// waitForN waits until stdout and stderr contain the text n times.
func (r *running) waitForN(text string, n int) {
	r.t.Helper()
	r.until(func(stdout, stderr string) bool {
		return strings.Count(stdout, text)+strings.Count(stderr, text) >= n
	}, fmt.Sprintf("%q %d times", text, n))
}

func (r *running) until(seen func(stdout, stderr string) bool, what string) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		stdout, more := r.stdout.now()
		stderr, moreErr := r.stderr.now()
		if seen(stdout, stderr) {
			return
		}
		select {
		case <-more:
		case <-moreErr:
		case <-r.done:
			r.exit() // all of the output is there now
			if !seen(r.stdout.String(), r.stderr.String()) {
				r.t.Fatalf("ended with %d, and never said %s\n%s", r.code, what, r)
			}
			return
		case <-deadline:
			r.t.Fatalf("waited %s for %s\n%s", patience, what, r)
		}
	}
}

// expect waits until the text stands on stdout behind what was expected before;
// it returns what stands between.
func (r *running) expect(text string) (between string) {
	r.t.Helper()
	r.until(func(stdout, _ string) bool {
		i := strings.Index(stdout[r.expected:], text)
		if i < 0 {
			return false
		}
		between = stdout[r.expected : r.expected+i]
		r.expected += i + len(text)
		return true
	}, fmt.Sprintf("%q behind %q", text, tail(r.stdout.String()[:r.expected])))
	return between
}

func tail(s string) string { return s[max(0, len(s)-60):] }

// say writes to the application's stdin, or types on its terminal.
func (r *running) say(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.stdin, text); err != nil {
		r.t.Fatalf("cannot write %q: %v\n%s", text, err, r)
	}
}

// hangUp closes the application's stdin.
func (r *running) hangUp() { r.stdin.Close() }

// String is everything that is known of it, for a failure's message.
func (r *running) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  as %s\n", r.place)
	for _, out := range []struct {
		name string
		o    *output
	}{{"stdout", r.stdout}, {"stderr", r.stderr}} {
		for line := range strings.Lines(out.o.String()) {
			fmt.Fprintf(&b, "  %s: %s\n", out.name, strings.TrimSuffix(line, "\n"))
		}
	}
	for _, p := range r.processes() {
		fmt.Fprintf(&b, "  alive: %s\n", p)
	}
	return b.String()
}

// traces are what a Go program says when it dies of its own fault.
var traces = []string{"goroutine ", "panic: ", "fatal error: ", "runtime error"}

// noTrace fails a test of which any output holds a Go trace.
func (r *running) noTrace() {
	r.t.Helper()
	for _, text := range []string{r.stdout.String(), r.stderr.String()} {
		for _, trace := range traces {
			if strings.Contains(text, trace) {
				r.t.Errorf("the output holds a Go trace:\n%s", text)
				return
			}
		}
	}
}

// namespaces are the pid and mount namespaces that a story runs in. Who is not
// root gets a user namespace as well, in which he is.
func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Setsid: true}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// noNamespaces says why none can be made here.
var noNamespaces = sync.OnceValue(func() error {
	text, err := json.Marshal(stage{Own: true, Proc: true, Path: "/bin/true", Argv: bytesOf([]string{"true"})})
	if err != nil {
		return err
	}
	c := &exec.Cmd{Path: self, Args: []string{"stage", "stage", string(text)}, SysProcAttr: namespaces()}
	ready, end, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	c.ExtraFiles = []*os.File{end, end}
	err = c.Start()
	end.Close()
	if err != nil {
		return err
	}
	problem, _ := io.ReadAll(ready)
	if err := c.Wait(); err != nil {
		return fmt.Errorf("%s (%w)", problem, err)
	}
	return nil
})

// needNamespaces skips where no pid namespace can be made, and says what is
// missing.
func needNamespaces(t *testing.T) {
	t.Helper()
	if err := noNamespaces(); err != nil {
		t.Skipf("NOT TESTED: a pid namespace needs root, or a kernel that gives everybody user namespaces: %v", err)
	}
}

// oneLine checks that an error is one line of ours that says all of want, and
// that there is no other.
func (r *running) oneLine(want ...string) {
	r.t.Helper()
	text := r.stderr.String()
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "entrypoint: error: ") {
		r.t.Errorf("not one line of ours:\n%s", text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			r.t.Errorf("it does not say %q:\n%s", w, text)
		}
	}
}

// fifo is how children and the test tell each other of things where there is no
// output: a child that writes to its path, or reads from it, waits for nobody.
type fifo struct {
	t    *testing.T
	path string
	file *os.File
}

func newFifo(t *testing.T) *fifo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // both ways: neither end waits for the other
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &fifo{t, path, f}
}

// heard waits for a line.
func (f *fifo) heard() string {
	f.t.Helper()
	if err := f.file.SetReadDeadline(time.Now().Add(patience)); err != nil {
		f.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := f.file.Read(buf)
	if err != nil {
		f.t.Fatalf("nothing comes through %s: %v", f.path, err)
	}
	return string(buf[:n])
}

// tell writes a line.
func (f *fifo) tell(line string) {
	f.t.Helper()
	if _, err := f.file.WriteString(line + "\n"); err != nil {
		f.t.Fatal(err)
	}
}

// write makes a file with a mode.
func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// read is a file's text; "" if there is none.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	return string(b)
}

// sortedLines orders a text's lines.
func sortedLines(text string) string {
	lines := slices.Sorted(strings.Lines(text))
	return strings.Join(lines, "")
}
