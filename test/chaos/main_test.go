// Package chaos proves the supervision against the kernel: the built binary as
// PID 1 while everything around it goes wrong, stopped at any instant, killed for
// memory, asked from outside all the while.
package chaos

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

func TestMain(m *testing.M) { stage.Main(m, 4, nil) }

// run is the command line of the verb with a script to supervise. A machine may be
// held up for longer than the usual grace: a stop that has to be clean gets more.
func run(script string, flags ...string) []string {
	words := append([]string{"run"}, flags...)
	if !slices.Contains(flags, "--grace") {
		words = append(words, "--grace", "60s")
	}
	return append(words, "--", "sh", "-c", script)
}

// goOn lets a script go on that says `read line < $HOME/go`, a FIFO.
func goOn(t *testing.T, c *stage.Running) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(c.Home, "go"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
}
