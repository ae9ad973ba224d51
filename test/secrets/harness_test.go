package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

// patience bounds every wait. It decides no result unless something hangs.
const patience = 60 * time.Second

// The key of the stand-in.
const (
	alias = "alias/app"
	arn   = "arn:aws:kms:eu-west-1:111122223333:key/app"
)

// kms is a stand-in for KMS and the environment that leads to it.
type kms struct {
	*kmstest.Server
	env []string
	url string
}

func newKMS(t *testing.T) kms {
	t.Helper()
	k := kms{Server: &kmstest.Server{Keys: map[string]string{alias: arn}}}
	s := httptest.NewServer(k.Server)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	k.url = s.URL
	k.env = awsEnvironment(s.URL)
	return k
}

// awsEnvironment is where to ask, with credentials of nobody.
func awsEnvironment(endpoint string) []string {
	return []string{
		"AWS_ENDPOINT_URL_KMS=" + endpoint, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=nobody",
		"AWS_SECRET_ACCESS_KEY=nothing", "AWS_EC2_METADATA_DISABLED=true",
	}
}

var nonces struct {
	sync.Mutex
	last uint64
}

// seal is a ciphertext of the stand-in's key, as it stands in an environment.
func seal(plaintext string) string { return sealUnder(arn, plaintext) }

func sealUnder(key, plaintext string) string {
	nonces.Lock()
	defer nonces.Unlock()
	nonces.last++
	return kmstest.Text(kmstest.Current, key, plaintext, nonces.last)
}

// given is how a story begins.
type given struct {
	args  []string
	env   []string // added to a small environment
	dir   string   // an empty folder by default
	stdin io.Reader
	home  string     // a folder of the story's own by default
	user  uint32     // root by default
	wrap  []string   // a program that executes the binary: its words come behind
	files []*os.File // standard streams, where they are no pipes
	clone uintptr    // namespaces of its own
	sid   bool       // a session of its own, with stdin as its terminal
}

// running is a binary that was started. The end of the test ends it, and all
// that it left in its process group.
type running struct {
	t              *testing.T
	cmd            *exec.Cmd
	home           string
	stdout, stderr *tape
	done           chan struct{}
}

// start starts the binary.
func start(t *testing.T, g given) *running {
	t.Helper()
	if g.home == "" {
		g.home = shortFolder(t)
	}
	if g.dir == "" {
		g.dir = shortFolder(t)
	}
	words := append(slices.Clone(g.wrap), binary)
	words = append(words, g.args...)
	c := exec.Command(words[0], words[1:]...)
	c.Dir, c.Stdin = g.dir, g.stdin
	c.Env = append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + g.home, "XDG_RUNTIME_DIR=" + g.home,
		"ENTRYPOINT_CONTROL=" + filepath.Join(g.home, "control.sock"), "LANG=C.UTF-8",
	}, g.env...)
	r := &running{t: t, cmd: c, home: g.home, stdout: newTape(), stderr: newTape(), done: make(chan struct{})}
	c.Stdout, c.Stderr = r.stdout, r.stderr
	if len(g.files) == 3 {
		c.Stdin, c.Stdout, c.Stderr = g.files[0], g.files[1], g.files[2]
	}
	// What outlives the binary may hold its output open.
	c.WaitDelay = 5 * time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: g.clone}
	if g.sid {
		c.SysProcAttr.Setsid, c.SysProcAttr.Setctty = true, true
	} else {
		c.SysProcAttr.Setpgid = true
	}
	if g.user != 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: g.user, Gid: g.user}
		for _, folder := range []string{g.home, g.dir} {
			if err := os.Chown(folder, int(g.user), int(g.user)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.Wait() // the code is read from ProcessState
		close(r.done)
	}()
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		select {
		case <-r.done:
		case <-time.After(15 * time.Second):
		}
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		<-r.done
		for _, trace := range []string{"goroutine ", "panic: ", "fatal error: "} {
			if strings.Contains(r.stderr.String(), trace) {
				t.Errorf("the output holds a Go trace:\n%s", r.stderr)
			}
		}
	})
	return r
}

// run starts the binary and waits for its end.
func run(t *testing.T, g given) *running {
	t.Helper()
	r := start(t, g)
	r.exit()
	return r
}

// exit waits for the end and returns the code; -n if a signal ended it.
func (r *running) exit() int {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("no end within %s\n%s", patience, r)
	}
	status := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return -int(status.Signal())
	}
	return status.ExitStatus()
}

// wantExit compares the code.
func (r *running) wantExit(want int) {
	r.t.Helper()
	if got := r.exit(); got != want {
		r.t.Errorf("exit code %d, not %d\n%s", got, want, r)
	}
}

// wantOut compares stdout.
func (r *running) wantOut(want string) {
	r.t.Helper()
	r.exit()
	if got := r.stdout.String(); got != want {
		r.t.Errorf("stdout is %q, not %q\n%s", got, want, r)
	}
}

// wantSaid checks that stderr holds all of these.
func (r *running) wantSaid(want ...string) {
	r.t.Helper()
	for _, w := range want {
		if !strings.Contains(r.stderr.String(), w) {
			r.t.Errorf("it does not say %q\n%s", w, r)
		}
	}
}

// wantErrors checks that stderr is that many error lines of ours and nothing
// else.
func (r *running) wantErrors(n int) {
	r.t.Helper()
	lines := 0
	for line := range strings.Lines(r.stderr.String()) {
		if !strings.HasPrefix(line, "entrypoint: error: ") {
			r.t.Errorf("not an error line of ours: %s", line)
		}
		lines++
	}
	if lines != n {
		r.t.Errorf("%d error lines, not %d\n%s", lines, n, r)
	}
}

func (r *running) pid() int { return r.cmd.Process.Pid }

func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatalf("cannot send %v: %v\n%s", s, err, r)
	}
}

// waitFor waits until stdout or stderr holds the text.
func (r *running) waitFor(text string) {
	r.t.Helper()
	deadline := time.After(patience)
	ended := r.done
	for {
		out, more := r.stdout.now()
		said, moreSaid := r.stderr.now()
		if strings.Contains(out, text) || strings.Contains(said, text) {
			return
		}
		select {
		case <-more:
		case <-moreSaid:
		case <-ended:
			if ended == nil {
				continue
			}
			ended = nil
			if !strings.Contains(r.stdout.String()+r.stderr.String(), text) {
				r.t.Fatalf("ended, and never said %q\n%s", text, r)
			}
		case <-deadline:
			r.t.Fatalf("waited %s for %q\n%s", patience, text, r)
		}
	}
}

func (r *running) String() string {
	return fmt.Sprintf("words: %q\nstdout: %s\nstderr: %s", r.cmd.Args[1:], r.stdout, r.stderr)
}

// tape keeps what was written to it.
type tape struct {
	sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed at the next write
}

func newTape() *tape { return &tape{more: make(chan struct{})} }

func (o *tape) Write(p []byte) (int, error) {
	o.Lock()
	defer o.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *tape) now() (string, <-chan struct{}) {
	o.Lock()
	defer o.Unlock()
	return o.text.String(), o.more
}

func (o *tape) String() string { text, _ := o.now(); return text }

// shortFolder is a temporary folder whose path leaves room for a socket's name:
// t.TempDir's does not. Everybody may look into it.
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// write makes a file, and of a script a program.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err == nil && filepath.Ext(name) == ".sh" {
		err = os.Chmod(path, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// read is a file's text; "" if there is none.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// join makes one list of several.
func join(lists ...[]string) []string { return slices.Concat(lists...) }

// needRoot fails where the test cannot be done: a guard that was not checked is
// not a guard.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: needs root; run this test as root (sudo make test)")
	}
}

// sh is the command line of a shell script.
func sh(script string) []string { return []string{"--", "sh", "-c", script} }
