package chaos

import (
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// What arrives by a restart is held to the contract as at the start: copies that
// serve are not replaced by some that cannot. What became of values is counted on.
func TestARestartIsHeldToTheContract(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stage.Write(t, dir, "manage.py", "", 0o755)
	stage.Write(t, dir, "container-web.sh", "#!/bin/sh\nexec sleep 1000\n", 0o755)
	stage.Write(t, dir, "port", "6379\n", 0o600)
	c := stage.Start(t, stage.Story{
		Dir: dir, Words: []string{"run", "--bind", "none"},
		Env: []string{"DJANGO_DEBUG=True", "SESSION_REDIS_HOST=redis", "SESSION_REDIS_PORT_FILE=" + dir + "/port"},
	})
	plain := func() float64 { return scrape(t, c).sum("entrypoint_env_values_total", "result", "plain") }
	c.Says("is ready", 1)
	before, values := statusOf(t, c).Copies[0].PID, plain()

	stage.Write(t, dir, "port", "banana\n", 0o600)
	code, out := c.Client("restart")
	if code != 1 || !strings.Contains(out, "SESSION_REDIS_PORT") || strings.Contains(out, "banana") {
		t.Errorf("restart ends with %d: %s", code, out)
	}
	if now := statusOf(t, c); now.Copies[0].PID != before || now.ready() != 1 {
		t.Errorf("the old copy is not left alone: %+v", now)
	}

	stage.Write(t, dir, "port", "6380\n", 0o600)
	if code, out := c.Client("restart"); code != 0 {
		t.Errorf("restart ends with %d: %s", code, out)
	}
	if now := statusOf(t, c); now.Copies[0].PID == before {
		t.Errorf("the old copy is still there: %+v", now)
	}
	if values == 0 || plain() != 3*values {
		t.Errorf("%v values at the start, %v after two restarts", values, plain())
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}
