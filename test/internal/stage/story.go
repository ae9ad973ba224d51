package stage

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Place is where the binary runs.
type Place int

// The places.
const (
	AsInit     Place = iota // PID 1 of a pid namespace of its own: needs root
	BesideInit              // in such a namespace, but as the child of another init
	OnMachine               // an ordinary process, without Before
)

func (p Place) String() string { return [...]string{"PID 1", "not PID 1", "an ordinary process"}[p] }

// Story is how it begins.
type Story struct {
	Place   Place
	AnyUser bool // a namespace in which who is no root looks like root will do

	Words   []string // the binary's command line
	Program string   // instead of the binary: an outer shell, or a control
	// Wrap is a program, with its words, that executes the binary.
	Wrap []string
	Env  []string // added to a small environment, or in the place of its entries
	Bare bool     // Env is all of it, as it is
	Dir  string   // / by default
	Home string   // another story's, so that it shares the control socket
	User uint32   // not root
	// Before is lines of sh that the process runs before it becomes the binary:
	// mounts, limits, cgroups ("echo 0 > .../tasks"), redirections by exec.
	Before string

	Stdin io.Reader // nothing by default
	Talk  bool      // stdin is a pipe that Say writes to
	TTY   bool      // a terminal of 80 columns and 24 rows, instead of pipes
	// Files take the output instead of the buffers.
	Stdout, Stderr *os.File
}

// Running is a binary that was started. The end of the test ends it.
type Running struct {
	Story
	// Home is HOME and XDG_RUNTIME_DIR, Socket the control socket in it, as seen
	// from outside.
	Home, Socket string
	PID          int // of the binary, as the machine numbers it; 0 if it has ended at once

	Stdout, Stderr *Output  // of a terminal all is Stdout
	TTY            *os.File // the terminal's end that the binary has

	Done chan struct{} // closed at the end, when all output is there; then Code is set
	Code int           // minus n if the binary itself was killed by signal n

	t       *testing.T
	process *os.Process   // the namespace's first
	space   string        // the pid namespace
	ran     time.Duration // on a processor, before the binary was executed
	stdin   *os.File      // the write end, or the terminal
	files   []*os.File
	heard   int // how much of stdout Expect has passed
	endOnce sync.Once
}

// ownProc mounts the namespace's own table of processes.
const ownProc = "mount -t proc proc /proc || exit 99\n"

// Start starts the binary and returns when it was executed.
func Start(t *testing.T, s Story) *Running {
	t.Helper()
	if s.Place != OnMachine {
		if !s.AnyUser {
			NeedRoot(t)
		}
		NeedNamespaces(t)
	}
	r := &Running{Story: s, Home: s.Home, Stdout: newOutput(), Stderr: newOutput(), Done: make(chan struct{}), t: t}
	if r.Home == "" {
		r.Home = Folder(t)
	}
	uid := os.Geteuid()
	if s.User != 0 {
		uid = int(s.User)
		if err := os.Chown(r.Home, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	r.Socket = filepath.Join(r.Home, fmt.Sprintf("entrypoint-%d", uid), "entrypoint.sock")
	cmd := r.command()
	r.connect(cmd)
	var status, statusEnd *os.File
	if s.Place == BesideInit {
		status, statusEnd = r.pipe()
		cmd.ExtraFiles = []*os.File{statusEnd}
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", s.Place, err)
	}
	statusEnd.Close()
	if f, ok := cmd.Stdin.(*os.File); ok && !s.TTY {
		f.Close()
	}
	r.process, r.PID = cmd.Process, cmd.Process.Pid
	if s.Place != OnMachine {
		// Before the wait for its end: the process keeps its entry until then.
		r.space, _ = os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", r.PID))
	}
	go r.await(cmd, status)
	t.Cleanup(r.End)
	if s.Place != OnMachine {
		r.awaitExec()
	}
	return r
}

// command is the command line that becomes the binary.
func (r *Running) command() *exec.Cmd {
	program := r.Program
	if program == "" {
		program = Binary
	}
	words := append([]string{program}, r.Words...)
	if r.Bare { // a shell would not hand on what is malformed
		words = slices.Concat([]string{Self, "raw", strconv.Itoa(len(r.Env))}, r.Env, words)
	}
	words = slices.Concat(r.Wrap, words)
	if r.Place != OnMachine {
		words = append([]string{"/bin/sh", "-c", ownProc + r.Before + "\nexec \"$@\"", "sh"}, words...)
	}
	if r.Place == BesideInit {
		words = append([]string{Self, "keeper"}, words...)
	}
	cmd := exec.Command(words[0], words[1:]...)
	if cmd.Dir = r.Dir; cmd.Dir == "" {
		cmd.Dir = "/"
	}
	// Little, so that nothing of the developer's reaches it.
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + r.Home, "XDG_RUNTIME_DIR=" + r.Home, "LANG=C.UTF-8", "TERM=dumb",
		"GORACE=atexit_sleep_ms=0", // for roles: the race detector waits a second at their end
	}
	if !r.Bare {
		cmd.Env = append(cmd.Env, r.Env...)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if r.Place != OnMachine {
		cmd.SysProcAttr = namespaces()
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, r.Story.TTY
	if r.User != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: r.User, Gid: r.User}
	}
	cmd.WaitDelay = 5 * time.Second // for who holds stdin
	return cmd
}

// connect gives it its standard streams.
func (r *Running) connect(cmd *exec.Cmd) {
	r.t.Helper()
	var screen *os.File
	cmd.Stdin = r.Stdin
	switch {
	case r.Story.TTY:
		r.stdin, r.TTY = terminal(r.t)
		r.files = append(r.files, r.stdin, r.TTY)
		cmd.Stdin, screen = r.TTY, r.TTY
		r.Stdout.terminal = true
		r.Stdout.collect(r.stdin, r.TTY)
	case r.Talk:
		var end *os.File
		end, r.stdin = r.pipe()
		cmd.Stdin = end
	}
	for _, one := range []struct {
		to       *io.Writer
		file     *os.File
		captured *Output
	}{{&cmd.Stdout, r.Story.Stdout, r.Stdout}, {&cmd.Stderr, r.Story.Stderr, r.Stderr}} {
		switch {
		case one.file != nil:
			*one.to = one.file
		case screen != nil:
			*one.to = screen
		default:
			read, write := r.pipe()
			one.captured.collect(read, write)
			*one.to = write
		}
	}
}

func (r *Running) pipe() (read, write *os.File) {
	r.t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	r.files = append(r.files, read, write)
	return read, write
}

// Deaf is a pipe that nobody reads, for a story's Stdout or Stderr.
func Deaf(t *testing.T) *os.File {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	t.Cleanup(func() { write.Close() })
	return write
}

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
	if err == nil {
		err = pty.Setsize(slave, &pty.Winsize{Rows: 24, Cols: 80})
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "terminal"), slave
}

// awaitExec waits until the shell has become the binary.
func (r *Running) awaitExec() {
	r.t.Helper()
	program, _ := filepath.EvalSymlinks(r.Program)
	if r.Program == "" {
		program = Binary
	}
	r.Until("the binary is executed", func() bool {
		ended := r.ended()
		pids := []int{r.process.Pid}
		if r.Place == BesideInit {
			r.PID, pids = 0, children(r.process.Pid)
		}
		for _, pid := range pids {
			link, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			if filepath.Base(link) == filepath.Base(program) {
				r.PID = pid
				return true
			}
		}
		return ended
	})
	r.ran = r.onProcessor()
}

// await waits for the end of the binary, which the keeper tells if there is one,
// and for the rest of the output.
func (r *Running) await(cmd *exec.Cmd, status *os.File) {
	defer close(r.Done)
	reaped := make(chan syscall.WaitStatus, 1)
	go func() {
		_ = cmd.Wait()
		reaped <- cmd.ProcessState.Sys().(syscall.WaitStatus)
	}()
	var w syscall.WaitStatus
	if status == nil {
		w = <-reaped
	} else if _, err := fmt.Fscan(status, (*uint32)(&w)); err != nil {
		w = <-reaped // the test has ended before it
	}
	r.Code = w.ExitStatus()
	if w.Signaled() {
		r.Code = -int(w.Signal())
	}
	r.Stdout.finish()
	r.Stderr.finish()
}

// End ends it, if it has not ended by itself. The end of the test does it at the
// latest.
func (r *Running) End() {
	r.endOnce.Do(func() {
		if r.Place == OnMachine { // nobody else ends what it has started in groups of their own
			_ = r.process.Signal(syscall.SIGTERM)
			select {
			case <-r.Done:
			case <-time.After(15 * time.Second):
			}
			_ = syscall.Kill(-r.process.Pid, syscall.SIGKILL)
		} else {
			_ = r.process.Kill()
		}
		<-r.Done
		r.NoTrace()
		for _, f := range r.files {
			f.Close()
		}
		if r.Story.Home == "" {
			os.RemoveAll(r.Home)
		}
	})
}

// keeper is the other init of BesideInit: it starts the binary, tells how that
// ended, and goes on reaping until the test kills the namespace, so that what the
// binary has left behind can be looked at.
func keeper(words []string) int {
	const told = 3 // the descriptor
	unix.CloseOnExec(told)
	// Ctrl-C and Ctrl-Z on a terminal are not meant for it; handlers, unlike
	// ignored signals, are not inherited.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGHUP)
	child, err := syscall.ForkExec(words[0], words, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	// The output must be able to end, and the terminal's end to be seen.
	null, nullErr := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil || nullErr != nil {
		fmt.Fprintln(os.Stderr, "keeper:", err, nullErr)
		return 1
	}
	for fd := range told {
		_ = unix.Dup3(null, fd, 0)
	}
	status := os.NewFile(told, "status")
	for {
		var w syscall.WaitStatus
		switch pid, err := syscall.Wait4(-1, &w, 0, nil); {
		case err == syscall.ECHILD:
			select {} // until the test ends the namespace
		case err == nil && pid == child:
			fmt.Fprintln(status, uint32(w))
			status.Close()
		}
	}
}

// raw executes a command line with an environment as it is: the words are the
// number of its entries, they, and the command line.
func raw(words []string) int {
	n, err := strconv.Atoi(words[0])
	if err == nil {
		err = syscall.Exec(words[n+1], words[n+1:], words[1:n+1])
	}
	fmt.Fprintln(os.Stderr, "raw:", err)
	return 1
}
