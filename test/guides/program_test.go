package guides

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/guide"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

// patience bounds every wait. It decides no result unless something hangs.
const patience = 60 * time.Second

// program is the binary under test, started with words as an operator would, and
// all that it says.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed with the next output, then replaced
}

// small is an environment of a container's: nothing of whoever runs the tests.
// home takes the control socket; several programs of one home find each other.
func small(home string) []string {
	return []string{
		"PATH=" + filepath.Dir(stage.Binary) + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + home, "XDG_RUNTIME_DIR=" + home,
		"ENTRYPOINT_CONTROL=" + filepath.Join(home, "control"), "LANG=C.UTF-8", "AWS_EC2_METADATA_DISABLED=true",
	}
}

// start starts the binary in a folder. The end of the test ends it and what it
// has started.
func start(t *testing.T, dir string, env []string, words ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(stage.Binary, words...), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 5 * time.Second // what outlives it may hold its output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the code is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(15 * time.Second):
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	})
	return p
}

func (p *program) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(text)
	close(p.more)
	p.more = make(chan struct{})
	return len(text), nil
}

func (p *program) now() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String(), p.more
}

// said is all so far.
func (p *program) said() string { text, _ := p.now(); return text }

// says waits until it has said the text.
func (p *program) says(text string) *program {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		said, more := p.now()
		if strings.Contains(said, text) {
			return p
		}
		select {
		case <-more:
		case <-p.done:
			if !strings.Contains(p.said(), text) {
				p.t.Fatalf("it has ended and never said %q:\n%s", text, p.said())
			}
			return p
		case <-deadline:
			p.t.Fatalf("waited in vain for %q:\n%s", text, p.said())
		}
	}
}

func (p *program) signal(s syscall.Signal) *program {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("cannot send %v: %v\n%s", s, err, p.said())
	}
	return p
}

// end waits for the end and returns what was said, and the code.
func (p *program) end() (said string, code int) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("it does not end:\n%s", p.said())
	}
	return p.said(), p.cmd.ProcessState.ExitCode()
}

// folder is one of the test's own with these files in it, name and text.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := guide.Folder(t)
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// source is the component's folder.
func source(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(root + "src")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// busy is an address at which this test listens.
func busy(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// port is one at which nobody listens now.
func port(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// quotes are those of a page.
func quotes(t *testing.T, page string) map[string]guide.Block {
	t.Helper()
	all, err := guide.Quotes(root + page)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantQuote compares a quote with what was said.
func wantQuote(t *testing.T, page, name, said string) {
	t.Helper()
	quote, ok := quotes(t, page)[name]
	if !ok {
		t.Fatalf("%s has no quote %s", page, name)
	}
	if line := quote.Unsaid(said); line != "" {
		t.Errorf("%s: nobody says\n%s\nwhat is said:\n%s", quote, line, said)
	}
}
