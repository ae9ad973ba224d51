//go:build engine

package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
)

// terminal is a command on a terminal of its own: what it shows is collected,
// and a test types.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	mu   sync.Mutex
	more *sync.Cond
	seen bytes.Buffer
	read int // what expect has looked at
	end  bool
}

func openTerminal(t *testing.T, name string, args ...string) *terminal {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c := &terminal{t: t, cmd: exec.CommandContext(ctx, name, args...)}
	c.more = sync.NewCond(&c.mu)
	tty, err := pty.StartWithSize(c.cmd, &pty.Winsize{Rows: 40, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	c.tty = tty
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := tty.Read(buffer)
			c.mu.Lock()
			c.seen.Write(buffer[:n])
			// A terminal whose last writer is gone says EIO.
			c.end = err != nil
			c.more.Broadcast()
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = tty.Close() })
	return c
}

// expect waits until the terminal shows text after what was expected before.
func (c *terminal) expect(text string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if i := strings.Index(c.seen.String()[c.read:], text); i >= 0 {
			c.read += i + len(text)
			return
		}
		if c.end {
			c.t.Fatalf("the terminal ended without %q:\n%s", text, &c.seen)
		}
		c.more.Wait()
	}
}

// press sends keys; "\x03" is Ctrl-C, "\x1a" is Ctrl-Z.
func (c *terminal) press(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.tty, keys); err != nil {
		c.t.Fatal(err)
	}
}

// code waits for the end.
func (c *terminal) code() int {
	c.t.Helper()
	err := c.cmd.Wait()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		c.t.Fatal(err)
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *terminal) screen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen.String()
}

// `docker run -it IMAGE bash` is a shell as on any machine: job control, Ctrl-C
// and Ctrl-Z for what runs in it, its own code at the end.
func TestTerminal(t *testing.T) {
	t.Parallel()
	shell := openTerminal(t, "docker", "run", "--rm", "-it", "--label", label+"=1", "-e", "PS1=ready> ", image, "bash", "--norc")
	shell.expect("ready> ")

	// Ctrl-C ends the program, not the shell.
	shell.press("echo started; cat\n")
	shell.expect("started\r\n")
	shell.press("hello\n")
	shell.expect("hello\r\nhello") // typed, and cat's answer: it reads now
	shell.press("\x03")
	shell.expect("ready> ")

	// Ctrl-Z suspends, fg resumes.
	shell.press("echo started; cat\n")
	shell.expect("started\r\n")
	shell.press("again\n")
	shell.expect("again\r\nagain")
	shell.press("\x1a")
	shell.expect("Stopped")
	shell.press("jobs -s | wc -l | sed s/^/stopped:/\n")
	shell.expect("stopped:1")
	shell.press("fg\n")
	shell.expect("cat\r\n")
	shell.press("once more\n")
	shell.expect("once more\r\nonce more")
	shell.press("\x04") // end of input
	shell.expect("ready> ")

	shell.press("exit 7\n")
	if code := shell.code(); code != 7 {
		t.Errorf("code %d\n%s", code, shell.screen())
	}
	for _, complaint := range []string{"no job control", "cannot set terminal", "Inappropriate ioctl"} {
		if strings.Contains(shell.screen(), complaint) {
			t.Errorf("the shell complains:\n%s", shell.screen())
		}
	}
}

// Ctrl-C on `docker run -it IMAGE` is a stop request like any other.
func TestInterruptAtTheTerminal(t *testing.T) {
	t.Parallel()
	c := openTerminal(t, "docker", "run", "--rm", "-it", "--label", label+"=1", "-e", "DJANGO_DEBUG=True", image)
	c.expect("Listening at")
	c.press("\x03")
	if code := c.code(); code != 0 {
		t.Errorf("code %d\n%s", code, c.screen())
	}
}
