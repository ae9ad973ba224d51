package ns

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Story is how a container begins.
type Story struct {
	Binary string
	Words  []string // the binary's command line
	Env    []string // added to a small environment of the harness'
	Dir    string   // working directory; / by default
	// Before is lines of sh that PID 1 runs before it becomes the binary: mounts,
	// limits, cgroups ("echo 0 > .../tasks"), redirections by exec. $HOME is the
	// container's own folder.
	Before string
	// Wrap is a program, with its words, that executes the binary.
	Wrap []string
	// Files takes the binary's output instead of the container's buffers.
	Stdout, Stderr *os.File
}

// Container is a binary that was started. The end of the test ends it, and with
// it everything in the namespace.
type Container struct {
	Story
	t    *testing.T
	Home string // HOME and XDG_RUNTIME_DIR
	// Socket is the control socket, as seen from outside.
	Socket string
	PID    int // of PID 1, as the machine numbers it

	Stdout, Stderr *Output

	Done chan struct{} // closed at the end; then Code is set
	Code int           // minus n if PID 1 itself was killed by signal n

	process *os.Process
	space   string // the pid namespace
	ran     time.Duration
	endOnce sync.Once
}

// prologue mounts the namespace's own table of processes. The mounts are private
// already, because that is what Go does with Unshareflags.
const prologue = `mount -t proc proc /proc || exit 99
`

// Start starts the binary and returns when it was executed.
func Start(t *testing.T, s Story) *Container {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: a pid namespace needs root; run this test as root (sudo make test)")
	}
	// Not t.TempDir: its path is too long for a unix socket.
	home, err := os.MkdirTemp("", "ns")
	if err != nil {
		t.Fatal(err)
	}
	folder := fmt.Sprintf("entrypoint-%d", os.Geteuid())
	c := &Container{Story: s, t: t, Home: home, Socket: filepath.Join(home, folder, "entrypoint.sock"), Stdout: &Output{}, Stderr: &Output{}, Done: make(chan struct{})}
	words := append([]string{"-c", prologue + s.Before + "\nexec \"$@\"", "sh"}, s.Wrap...)
	words = append(append(words, s.Binary), s.Words...)
	cmd := exec.Command("/bin/sh", words...)
	cmd.Dir = s.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + home, "XDG_RUNTIME_DIR=" + home, "LANG=C.UTF-8",
	}, s.Env...)
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	if s.Stdout != nil {
		cmd.Stdout = s.Stdout
	}
	if s.Stderr != nil {
		cmd.Stderr = s.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Setsid: true}
	if err := cmd.Start(); err != nil {
		os.RemoveAll(home)
		t.Fatalf("cannot start a pid namespace: %v", err)
	}
	c.process, c.PID = cmd.Process, cmd.Process.Pid
	// Before the wait for its end: the process keeps its entry until then.
	c.space, _ = os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.PID))
	go func() {
		_ = cmd.Wait()
		w := cmd.ProcessState.Sys().(syscall.WaitStatus)
		c.Code = w.ExitStatus()
		if w.Signaled() {
			c.Code = -int(w.Signal())
		}
		close(c.Done)
	}()
	t.Cleanup(c.End)
	c.Until("the binary is executed", func() bool {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.PID))
		return filepath.Base(link) == filepath.Base(s.Binary) || c.ended()
	})
	c.ran = c.onProcessor()
	return c
}

// End ends it, if it has not ended by itself, and removes its folder. The end of
// the test does it at the latest.
func (c *Container) End() {
	c.endOnce.Do(func() {
		_ = c.process.Kill()
		<-c.Done
		c.NoTrace()
		os.RemoveAll(c.Home)
	})
}

func (c *Container) ended() bool {
	select {
	case <-c.Done:
		return true
	default:
		return false
	}
}

// Until polls for what no process announces: the condition decides, the deadline
// only ends the wait. So does the end of the container.
func (c *Container) Until(what string, condition func() bool) {
	c.t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(Patience)
	done := c.Done
	for !condition() {
		select {
		case <-again.C:
		case <-done:
			if !condition() {
				c.t.Fatalf("ended with %d before %s\n%s", c.Code, what, c)
			}
			return
		case <-deadline:
			c.t.Fatalf("waited %s until %s\n%s", Patience, what, c)
		}
	}
}

// Says waits until stdout and stderr hold the text n times.
func (c *Container) Says(text string, n int) {
	c.t.Helper()
	c.Until(fmt.Sprintf("it says %q %d times", text, n), func() bool { return c.Count(text) >= n })
}

// Count is how often the output holds the text so far.
func (c *Container) Count(text string) int {
	return strings.Count(c.Stdout.String(), text) + strings.Count(c.Stderr.String(), text)
}

// Exit waits for the end and returns the code.
func (c *Container) Exit() int {
	c.t.Helper()
	select {
	case <-c.Done:
	case <-time.After(Patience):
		c.t.Fatalf("no end within %s\n%s", Patience, c)
	}
	return c.Code
}

// WantExit waits for the end and compares the code.
func (c *Container) WantExit(want ...int) {
	c.t.Helper()
	if code := c.Exit(); !slices.Contains(want, code) {
		c.t.Errorf("exit code %d, not %v\n%s", code, want, c)
	}
}

// Signal sends to PID 1, from outside.
func (c *Container) Signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.process.Signal(s); err != nil {
		c.t.Fatalf("cannot send %v: %v\n%s", s, err, c)
	}
}

// HasRun waits until the binary has had a processor for so long since its exec,
// or has started or said something, or has ended: on a busy machine ten milliseconds may
// pass without one of them being its own.
func (c *Container) HasRun(wanted time.Duration) {
	c.t.Helper()
	c.Until("it has run", func() bool {
		return c.onProcessor()-c.ran >= wanted || c.hasChild() || c.Count("\n") > 0 || c.ended()
	})
}

// onProcessor is the time that the threads of PID 1 have had.
func (c *Container) onProcessor() (ran time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", c.PID))
	for _, path := range threads {
		text, _ := os.ReadFile(path)
		var ns int64
		_, _ = fmt.Sscan(string(text), &ns)
		ran += time.Duration(ns)
	}
	return ran
}

func (c *Container) hasChild() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", c.PID))
	for _, path := range threads {
		if text, _ := os.ReadFile(path); len(text) > 0 {
			return true
		}
	}
	return false
}

// Get asks the control socket; 0 is no answer.
func (c *Container) Get(path string) (status int, body string) {
	return get(path, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
	})
}

// GetTCP asks the admin address.
func (c *Container) GetTCP(address, path string) (status int, body string) {
	return get(path, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	})
}

func get(path string, dial func(context.Context, string, string) (net.Conn, error)) (status int, body string) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	answer, err := client.Get("http://localhost" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

// Client runs a verb of the binary beside it, as a health check does.
func (c *Container) Client(words ...string) (code int, output string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Binary, words...)
	cmd.Env = []string{"ENTRYPOINT_CONTROL=" + c.Socket}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// NoTrace fails a test of which any output holds what a Go program says when it
// dies of its own fault.
func (c *Container) NoTrace() {
	c.t.Helper()
	for _, text := range []string{c.Stdout.String(), c.Stderr.String()} {
		for _, trace := range []string{"goroutine ", "panic: ", "fatal error: ", "runtime error", "runtime: "} {
			if strings.Contains(text, trace) {
				c.t.Errorf("the output holds a Go trace:\n%s", text)
				return
			}
		}
	}
}

// String is everything that is known of it, for a failure's message.
func (c *Container) String() string {
	var b strings.Builder
	for name, text := range map[string]string{"stdout": c.Stdout.String(), "stderr": c.Stderr.String()} {
		const most = 6000
		if len(text) > most {
			text = "...\n" + text[len(text)-most:]
		}
		for line := range strings.Lines(text) {
			fmt.Fprintf(&b, "  %s: %s\n", name, strings.TrimSuffix(line, "\n"))
		}
	}
	for _, p := range c.Processes() {
		fmt.Fprintf(&b, "  alive: %s\n", p)
	}
	return b.String()
}

// Output collects what comes out.
type Output struct {
	mu   sync.Mutex
	text []byte
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

// String is what has come so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
