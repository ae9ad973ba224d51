// Package run does what the README promises first: `make run`, and a site
// answers behind two copies.
package run

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/guide"
)

// patience is for installing what the component needs, with cold caches.
const patience = 5 * time.Minute

func TestMakeRun(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	port := freePort(t)
	socket := filepath.Join(t.TempDir(), "control")
	blocks, err := guide.Section(filepath.Join(root, "README.md"), "Two commands")
	if err != nil {
		t.Fatal(err)
	}
	made := exec.Command("sh", "-c", "exec "+blocks[0].Text)
	made.Dir = root
	made.Env = append(os.Environ(), fmt.Sprintf("PORT=%d", port), "ENTRYPOINT_CONTROL="+socket, "MAKEFLAGS=", "APP_PLATFORM=local")
	made.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C goes to all of a terminal's foreground
	output, err := made.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	made.Stderr = made.Stdout
	if err := made.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-made.Process.Pid, syscall.SIGKILL) }()
	said := follow(output)

	// The page comes from both copies.
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	seen := map[int]int{} // pids by copy
	for len(seen) < 2 {
		if copy, pid, ok := ask(ctx, address); ok {
			seen[copy] = pid
		}
		if ctx.Err() != nil {
			t.Fatalf("copies that answered: %v\n%s", seen, said.text())
		}
	}
	if page := get(ctx, address+"/"); !strings.Contains(page, "<html") {
		t.Errorf("the page is %q", page)
	}

	// One is killed: the other serves meanwhile, and it is started again.
	main := status(ctx, t, root, socket)[0]
	if err := syscall.Kill(main.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for again := false; !again; {
		if _, _, ok := ask(ctx, address); !ok && ctx.Err() == nil {
			continue // the request that the killed copy had in its hands
		}
		now := status(ctx, t, root, socket)[0]
		again = now.Restarts == 1 && now.State == "ready"
		if ctx.Err() != nil {
			t.Fatalf("the killed copy is %+v\n%s", now, said.text())
		}
	}

	// Ctrl-C: everything ends, and nothing is left of the group.
	if err := syscall.Kill(-made.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-said.over: // nobody holds the output any more
	case <-ctx.Done():
		t.Fatalf("it does not end:\n%s", said.text())
	}
	_ = made.Wait() // make reports the interrupt; what counts is what entrypoint says
	if text := said.text(); !strings.Contains(text, "entrypoint: ended: stopped as asked") {
		t.Errorf("it did not end as asked:\n%s", text)
	}
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		t.Error("somebody still listens")
	}
	for _, pid := range seen {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d is left", pid)
		}
	}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func get(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

// ask learns which copy answers.
func ask(ctx context.Context, address string) (copy, pid int, ok bool) {
	var info struct{ Copy, Pid int }
	err := json.Unmarshal([]byte(get(ctx, address+"/api/info")), &info)
	return info.Copy, info.Pid, err == nil
}

type copyStatus struct {
	PID      int    `json:"pid"`
	State    string `json:"state"`
	Restarts int    `json:"restarts"`
}

func status(ctx context.Context, t *testing.T, root, socket string) []copyStatus {
	t.Helper()
	out, err := exec.CommandContext(ctx, filepath.Join(root, "bin/entrypoint"), "status", "--json", "--control", socket).Output()
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Copies []copyStatus }
	if err := json.Unmarshal(out, &s); err != nil || len(s.Copies) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	return s.Copies
}

// lines is what was said so far.
type lines struct {
	over chan struct{} // closed at the end of the output
	mu   sync.Mutex
	said strings.Builder
}

func follow(r io.Reader) *lines {
	l := &lines{over: make(chan struct{})}
	go func() {
		defer close(l.over)
		scanner := bufio.NewScanner(r)
		for scanner.Scan() {
			l.mu.Lock()
			l.said.WriteString(scanner.Text() + "\n")
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}
