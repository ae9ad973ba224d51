package chaos

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// A container that is exactly full has room for the process of a copy that died,
// and not for one thread beside it: the copy's first moment, as our own binary
// (internal/shim), may not need one.
func TestACopyComesBackWhereNoThreadHasRoom(t *testing.T) {
	t.Parallel()
	pids := pidsCgroup(t)
	if pids == "" {
		t.Skip("NOT TESTED: see above")
	}
	c := stage.Start(t, stage.Story{
		Before: "echo 0 > " + pids + "/tasks",
		Words:  run("exec sleep 1000", "-w", "2", "--bind", "127.0.0.1:0", "--backoff", "10ms..100ms"),
	})
	running := func() (n, restarts int) { // none of them ever answers, so none is ready
		for _, one := range statusOf(t, c).Copies {
			restarts += one.Restarts
			if one.State == "running" {
				n++
			}
		}
		return n, restarts
	}
	c.Until("both run", func() bool { n, _ := running(); return n == 2 && len(c.Find("sleep 1000")) == 2 })
	full, err := os.ReadFile(filepath.Join(pids, "pids.current"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pids, "pids.max"), full, 0o644); err != nil {
		t.Fatal(err)
	}
	for restarts := 1; restarts <= 5; restarts++ {
		c.Find("sleep 1000")[0].Kill(syscall.SIGKILL)
		c.Until("it is back", func() bool {
			n, all := running()
			return n == 2 && all >= restarts && len(c.Find("sleep 1000")) == 2
		})
	}
	if exits := scrape(t, c).sum("entrypoint_copy_exits_total", "signal", "KILL"); exits != 5 {
		t.Errorf("5 kills, and %v exits by one\n%s", exits, c)
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}
