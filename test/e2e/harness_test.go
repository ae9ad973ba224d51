// Package e2e plays the stories of every verb: as PID 1 of a pid namespace of its
// own, and as an ordinary process beside another init.
package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

func TestMain(m *testing.M) { stage.Main(m, 0, roles) }

// everywhere tells the story in both places.
func everywhere(t *testing.T, story func(t *testing.T, p stage.Place)) {
	t.Helper()
	for _, p := range []stage.Place{stage.AsInit, stage.BesideInit} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			story(t, p)
		})
	}
}

// start starts a story, for every user and with a /run of its own: the machine's
// other supervisors are not to be seen.
func start(t *testing.T, p stage.Place, s stage.Story) *stage.Running {
	t.Helper()
	s.Place, s.AnyUser = p, true
	s.Before = "mount -t tmpfs -o mode=755 run /run || exit 99\n" + s.Before
	return stage.Start(t, s)
}

// client runs a verb that asks the running one; it shares the folder of the
// control socket, as a process of the same container does.
func client(t *testing.T, r *stage.Running, words ...string) (out string, code int) {
	t.Helper()
	c := start(t, stage.AsInit, stage.Story{Home: r.Home, Words: words})
	defer c.End()
	code = c.Exit()
	return c.Stdout.String() + c.Stderr.String(), code
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
	if err := f.file.SetReadDeadline(time.Now().Add(stage.Patience)); err != nil {
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

// sortedLines orders a text's lines.
func sortedLines(text string) string {
	lines := slices.Sorted(strings.Lines(text))
	return strings.Join(lines, "")
}
