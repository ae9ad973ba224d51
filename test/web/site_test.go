package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// patience bounds every wait. It decides no result unless something hangs.
const patience = 60 * time.Second

// site is a running entrypoint and what it serves.
type site struct {
	t       *testing.T
	address string // host:port
	home    string // its folder: HOME, XDG_RUNTIME_DIR
	cmd     *exec.Cmd
	out     *output
	done    chan struct{}
	code    int
}

// opts are the beginning of a story.
type opts struct {
	args []string // behind `run`; {address} is the site's own
	env  []string
	uid  uint32 // 0: as we are
	dir  string // "": testdata/site
	// ownNetwork is one in which the kernel's defaults hold, and nothing is up.
	ownNetwork bool
	// address is "" for a free port of 127.0.0.1.
	address string
}

// start starts `entrypoint run` in testdata/site. It does not wait for more than
// the exec.
func start(t *testing.T, o opts) *site {
	t.Helper()
	// Not t.TempDir: its path is too long for a unix socket.
	home, err := os.MkdirTemp("", "web")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	if o.uid != 0 {
		if err := os.Chown(home, int(o.uid), int(o.uid)); err != nil {
			t.Fatal(err)
		}
	}
	s := &site{t: t, home: home, address: o.address, out: newOutput(), done: make(chan struct{})}
	if s.address == "" {
		s.address = stage.FreeAddress(t)
	}
	words := []string{"run"}
	for _, word := range o.args {
		words = append(words, strings.ReplaceAll(word, "{address}", s.address))
	}
	s.cmd = exec.Command(stage.Binary, words...)
	s.cmd.Dir = filepath.Join("testdata", "site")
	if o.dir != "" {
		s.cmd.Dir = o.dir
	}
	s.cmd.Env = append(s.environment(), o.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	// A session of its own: by its number what is left behind is found.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if o.uid != 0 {
		s.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: o.uid, Gid: o.uid}
	}
	if o.ownNetwork {
		s.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	s.cmd.WaitDelay = time.Second // a leftover that holds our pipe is told by name below
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait()
		s.code = s.cmd.ProcessState.ExitCode()
		close(s.done)
	}()
	t.Cleanup(s.end)
	return s
}

// environment is small, so that nothing of the developer's reaches the site, and
// names the control socket, because another site may run beside it.
func (s *site) environment() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + s.home, "XDG_RUNTIME_DIR=" + s.home, "ENTRYPOINT_CONTROL=" + s.control(),
		"LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
	}
}

// end ends whatever still runs, and finds fault with what was left behind.
func (s *site) end() {
	select {
	case <-s.done:
	default:
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.done:
		case <-time.After(patience):
			s.t.Errorf("no end within %s of TERM\n%s", patience, s)
			_ = s.cmd.Process.Kill()
			<-s.done
		}
	}
	for _, pid := range session(s.cmd.Process.Pid) {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		s.t.Errorf("left behind: %d %s%s", pid, comm, s)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, trace := range []string{"goroutine ", "panic: ", "fatal error: ", "runtime error"} {
		if strings.Contains(s.out.String(), trace) {
			s.t.Errorf("the output holds a Go trace\n%s", s)
		}
	}
}

// session lists the living processes of a session.
func session(id int) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if fields := statOf(pid); len(fields) > 3 && fields[3] == strconv.Itoa(id) && fields[0] != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// statOf are the fields of /proc/PID/stat behind the name: state, parent, group,
// session.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

func (s *site) String() string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(s.out.String(), "\n"), "\n", "\n  ")
}

// until waits until the output satisfies a condition.
func (s *site) until(what string, seen func(text string) bool) {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		text, more := s.out.now()
		if seen(text) {
			return
		}
		select {
		case <-more:
		case <-s.done:
			if text := s.out.String(); !seen(text) {
				s.t.Fatalf("ended with %d before %s\n%s", s.code, what, s)
			}
			return
		case <-deadline:
			s.t.Fatalf("waited %s for %s\n%s", patience, what, s)
		}
	}
}

// saysN waits until the output holds a text n times.
func (s *site) saysN(text string, n int) {
	s.t.Helper()
	s.until(fmt.Sprintf("%q %d times", text, n), func(out string) bool { return strings.Count(out, text) >= n })
}

func (s *site) says(text string) { s.t.Helper(); s.saysN(text, 1) }

// becomesReady waits until n copies have become ready, since the beginning, and
// the whole is.
func (s *site) becomesReady(n int) {
	s.t.Helper()
	s.saysN(" is ready\n", n)
	if answer := s.readyz(); answer != http.StatusOK {
		s.t.Fatalf("/readyz says %d\n%s", answer, s)
	}
}

// readyz asks the control socket.
func (s *site) readyz() int {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", s.control())
		},
	}}
	// The control socket is opened a moment after the first fork.
	response, err := client.Get("http://localhost/readyz")
	if err != nil {
		s.t.Fatalf("/readyz: %v\n%s", err, s)
	}
	response.Body.Close()
	return response.StatusCode
}

func (s *site) control() string {
	return filepath.Join(s.home, "control.sock")
}

// status is `entrypoint status --json`, as far as it is needed here.
type status struct {
	State  string
	Copies []struct {
		Index, PID, Restarts int
		State                string
	}
}

func (s *site) status() (now status) {
	s.t.Helper()
	out, code := s.ask("status", "--json")
	if code != 0 {
		s.t.Fatalf("status ends with %d: %s\n%s", code, out, s)
	}
	if err := json.Unmarshal([]byte(out), &now); err != nil {
		s.t.Fatalf("%v in %s", err, out)
	}
	return now
}

// pids are the copies' main processes.
func (s *site) pids() (pids []int) {
	s.t.Helper()
	for _, c := range s.status().Copies {
		pids = append(pids, c.PID)
	}
	return pids
}

// ask runs another entrypoint, as its user would.
func (s *site) ask(words ...string) (out string, code int) {
	s.t.Helper()
	c := exec.Command(stage.Binary, words...)
	c.Env = s.environment()
	text, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(text), c.ProcessState.ExitCode()
}

// restarts restarts and expects it to succeed.
func (s *site) restarts() {
	s.t.Helper()
	if out, code := s.ask("restart"); code != 0 {
		s.t.Fatalf("restart ends with %d: %s\n%s", code, out, s)
	}
}

func (s *site) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// exit waits for the end and compares the code.
func (s *site) exit(want int) {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("no end within %s\n%s", patience, s)
	}
	if s.code != want {
		s.t.Errorf("exit code %d, not %d\n%s", s.code, want, s)
	}
}

// stops asks for the stop and wants the code.
func (s *site) stops(want int) {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.exit(want)
}

// get asks for one page.
func (s *site) get(path string) string {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Get("http://" + s.address + path)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", path, err, s)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s, %v\n%s", path, response.Status, err, s)
	}
	return string(body)
}

// everyCopyServes asks until n processes have answered.
func (s *site) everyCopyServes(n int) {
	s.t.Helper()
	seen := map[string]bool{}
	deadline := time.Now().Add(patience)
	for len(seen) < n {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d processes answer, not %d\n%s", len(seen), n, s)
		}
		seen[s.get("/")] = true
	}
}

// needs fails where a Debian package is missing.
func needs(t *testing.T, program, packages string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("cannot test %s, install it: apt-get install %s", program, packages)
	}
}

var wantedLine = regexp.MustCompile(`(?m)^entrypoint: error: .*$`)

// errorLine is the last error of ours.
func (s *site) errorLine() string {
	all := wantedLine.FindAllString(s.out.String(), -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}
