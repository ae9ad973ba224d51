package guide

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// patience bounds every wait. It decides no result unless something hangs.
const patience = 3 * time.Minute

// Terminal is a shell at which a test types what a page says, as its reader
// does: what one block changes is so for the next, and Ctrl-C ends what runs.
type Terminal struct {
	t       *testing.T
	network *Network // nil is the machine's own
	master  *os.File
	files   string // where blocks are put for the shell to read
	typed   int    // blocks so far

	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed with the next output, then replaced
	over bool

	seen int // how much of the text has been waited for
}

// Open starts one in a folder and a network; nil is the machine's own. env is
// added to a small environment in which Debian's python3 is the first, and pip
// asks no index.
func Open(t *testing.T, dir string, network *Network, env ...string) *Terminal {
	t.Helper()
	m := &Terminal{t: t, network: network, files: t.TempDir(), more: make(chan struct{})}
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	m.master = master
	if err := withoutEcho(slave); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "--norc", "--noprofile", "--noediting", "-i")
	cmd.Dir = dir
	cmd.Env = append(environment(t), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	begin := cmd.Start
	if network != nil {
		begin = func() error { return network.within(cmd.Start) }
	}
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { defer close(read); m.read() }()
	t.Cleanup(func() {
		m.hangUp(cmd.Process.Pid)
		_ = cmd.Wait()
		master.Close() // what has left the session may still hold the other end
		<-read
		if t.Failed() {
			t.Logf("the terminal:\n%s", m.all())
		}
	})
	m.Type(asks)
	m.ended("its start")
	return m
}

// environment is that of a new machine's shell.
func environment(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT", "GOCACHE", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	golang := strings.Split(strings.TrimSpace(string(out)), "\n")
	home := Folder(t)
	return []string{
		"PATH=/usr/bin:/bin:/usr/sbin:/sbin:" + golang[0] + "/bin:/usr/local/bin:/usr/local/sbin",
		"HOME=" + home, "XDG_RUNTIME_DIR=" + home, "LANG=C.UTF-8", "TERM=dumb", "PS1=", "PS2=", "HISTFILE=", "PAGER=cat",
		"GOCACHE=" + golang[1], "GOMODCACHE=" + golang[2], "GOPROXY=" + golang[3], "GOTOOLCHAIN=local",
		"PIP_NO_INDEX=1", "PIP_DISABLE_PIP_VERSION_CHECK=1",
	}
}

// withoutEcho keeps what is typed out of what is read.
func withoutEcho(slave *os.File) error {
	settings, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	settings.Lflag &^= unix.ECHO
	return unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, settings)
}

// hangUp ends the shell and what it has started, each in its own group.
func (m *Terminal) hangUp(shell int) {
	groups := map[int]bool{shell: true}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// pid (name) state parent group session ...
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if group, err := strconv.Atoi(fields[2]); err == nil && fields[3] == strconv.Itoa(shell) {
			groups[group] = true
		}
	}
	for group := range groups {
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
}

func (m *Terminal) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := m.master.Read(buffer)
		m.mu.Lock()
		m.text.WriteString(strings.ReplaceAll(string(buffer[:n]), "\r", ""))
		m.over = err != nil
		close(m.more)
		m.more = make(chan struct{})
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (m *Terminal) all() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// until waits for the pattern in what came since the last wait, and returns what
// came up to its end, and its groups.
func (m *Terminal) until(what string, pattern *regexp.Regexp) (text string, groups []string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	for {
		m.mu.Lock()
		rest, over, more := m.text.String()[m.seen:], m.over, m.more
		m.mu.Unlock()
		if at := pattern.FindStringSubmatchIndex(rest); at != nil {
			m.seen += at[1]
			for i := 2; i < len(at); i += 2 {
				groups = append(groups, rest[at[i]:at[i+1]])
			}
			return rest[:at[0]], groups
		}
		if over {
			m.t.Fatalf("the shell has ended before %s", what)
		}
		select {
		case <-more:
		case <-ctx.Done():
			m.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Says waits until the terminal shows a text, and returns all since the last wait.
func (m *Terminal) Says(text string) string {
	m.t.Helper()
	said, _ := m.until(fmt.Sprintf("%q", text), regexp.MustCompile(regexp.QuoteMeta(text)))
	return said + text
}

// Type types a line, and Return.
func (m *Terminal) Type(line string) {
	m.t.Helper()
	if _, err := m.master.WriteString(line + "\n"); err != nil {
		m.t.Fatal(err)
	}
}

// asks for the code of the last command. The two halves are one word only in what
// the shell prints.
const asks = `echo "<en""ded:$?>"`

// ended waits for the answer, and returns it with all that was said before.
func (m *Terminal) ended(what string) (said string, code int) {
	m.t.Helper()
	said, groups := m.until("the end of "+what, regexp.MustCompile(`<ended:(\d+)>\n`))
	code, _ = strconv.Atoi(groups[0])
	return said, code
}

// file puts a block where the shell can read it: bash reads a terminal line by
// line, and a program would take those that are not its own.
func (m *Terminal) file(b Block) string {
	m.t.Helper()
	m.typed++
	name := filepath.Join(m.files, strconv.Itoa(m.typed))
	if err := os.WriteFile(name, []byte(b.Text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return name
}

// Run runs a block to its end, and returns what it said. The first command that
// fails ends the shell, and with it the test. All is typed as one line: a command
// may read what is typed while it runs.
func (m *Terminal) Run(b Block) string {
	m.t.Helper()
	m.Type("set -e; . " + m.file(b) + "; set +e; " + asks)
	said, _ := m.ended(b.String())
	return said
}

// Begin runs a block whose last command goes on until Ctrl-C.
func (m *Terminal) Begin(b Block) {
	m.t.Helper()
	m.Type(". " + m.file(b))
}

// Page waits until an address answers with 200 and a text, and returns the page.
func (m *Terminal) Page(url, text string) string {
	m.t.Helper()
	return m.page(url, text, func() {})
}

// Reloaded is Page after a file was edited. A server that watches its files takes
// what is there when it looks first for what was there before, so the file is
// saved again until then.
func (m *Terminal) Reloaded(url, text, file string) string {
	m.t.Helper()
	return m.page(url, text, func() {
		now := time.Now()
		_ = os.Chtimes(file, now, now)
	})
}

func (m *Terminal) page(url, text string, before func()) string {
	m.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(patience)
	for {
		before()
		status, body := m.network.Ask(url)
		if status == 200 && strings.Contains(body, text) {
			return body
		}
		select {
		case <-again.C:
		case <-deadline:
			m.t.Fatalf("%s has no %q: %d %.500s", url, text, status, body)
		}
	}
}

// CtrlC types Ctrl-C, and returns what was said until the command had ended, and
// its code.
func (m *Terminal) CtrlC() (said string, code int) {
	m.t.Helper()
	if _, err := m.master.WriteString("\x03"); err != nil {
		m.t.Fatal(err)
	}
	m.Type(asks)
	return m.ended("what runs, at Ctrl-C")
}
