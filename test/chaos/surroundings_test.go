package chaos

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// Copies that wait for their next start are no service: after a minute without a
// living one the container ends with the last one's code.
func TestNoCopyAliveForAMinute(t *testing.T) {
	t.Parallel()
	c := stage.Start(t, stage.Story{Words: run("exit 7", "-w", "2", "--backoff", "1h..1h")})
	c.WantExit(7)
	if c.Count("has lived for 1m0s: giving up") != 1 {
		t.Errorf("it does not say why\n%s", c)
	}
}

// A server that is away for a minute is waited for in vain: the code says that it
// is a dependency, and nothing was started.
func TestAServerThatNeverComes(t *testing.T) {
	t.Parallel()
	away := stage.FreeAddress(t)
	c := stage.Start(t, stage.Story{Words: append([]string{"run", "--wait-for", "RABBIT," + away}, "--", "sh", "-c", "echo born"), Env: []string{"RABBIT=" + away}})
	c.WantExit(69)
	if c.Count("RABBIT") == 0 || c.Count(away) == 0 || c.Count("born") != 0 {
		t.Errorf("both are named, and nothing runs\n%s", c)
	}
}

// What takes longer than the timeout for all tasks is stopped, whatever it thinks
// of TERM; the code is timeout(1)'s.
func TestTheTaskTimeout(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"dies of TERM":     "exec sleep 1000",
		"ignores TERM":     "trap '' TERM; while :; do sleep 1; done",
		"ends well then":   "trap 'exit 0' TERM; sleep 1000 & wait",
		"has a grandchild": "sleep 1000 & exec sleep 1000",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			stage.Write(t, dir, "container-task.sh", "#!/bin/sh\n"+script+"\n", 0o755)
			c := stage.Start(t, stage.Story{Dir: dir, Env: []string{"APP_RUN_MODE=TASK", "APP_TASK_LIST=slow", "ENTRYPOINT_TASK_TIMEOUT=500ms"}, Words: []string{"run", "--grace", "1s"}})
			c.WantExit(124)
			if c.Count("timeout of 500ms") == 0 {
				t.Errorf("it does not say why\n%s", c)
			}
		})
	}
}

// hardened is how strict platforms run a container: nothing can be written, the
// user has no name and no capabilities.
const hardened = `
for place in / /tmp; do mount --bind $place $place && mount -o remount,ro,bind $place || exit 98; done
for place in /run /dev/shm; do mount -t tmpfs -o ro none $place || exit 98; done
`

// nameless executes as a user without an entry in /etc/passwd.
var nameless = []string{"setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"}

// Where nothing at all can be written the application runs all the same, and it is
// said once what does not work.
func TestNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	admin := stage.FreeAddress(t)
	c := stage.Start(t, stage.Story{
		Before: hardened, Wrap: nameless,
		Words: run("id -u; touch /tmp/x /run/x /dev/shm/x $HOME/x; exec sleep 1000", "-w", "2", "--admin", admin),
	})
	c.Until("both are ready", func() bool { status, _ := c.GetTCP(admin, "/readyz"); return status == http.StatusOK })
	if c.Count("12345\n") != 2 || c.Count("cannot touch") != 8 {
		t.Errorf("this is no hardened container\n%s", c)
	}
	if n := c.Count("no control socket"); n != 1 {
		t.Errorf("%d words on the control socket, not one\n%s", n, c)
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}

// With the one writable place that most platforms leave, /dev/shm, all of it
// works: gunicorn as well, which needs a temporary folder.
func TestReadOnlyAndNameless(t *testing.T) {
	t.Parallel()
	address := stage.FreeAddress(t)
	dir := t.TempDir()
	for _, folder := range []string{dir, filepath.Dir(dir)} { // for all users
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	stage.Write(t, dir, "hello.py", "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n", 0o644)
	c := stage.Start(t, stage.Story{
		Dir: dir, Wrap: nameless, Env: []string{"HOME=/nowhere", "XDG_RUNTIME_DIR=", "PYTHONDONTWRITEBYTECODE=1"},
		Before: hardened + "mount -o remount,rw /dev/shm && chmod 1777 /dev/shm",
		Words:  []string{"run", "-w", "2", "--bind", address, "--", "/usr/bin/python3", "-m", "gunicorn", "hello:app"},
	})
	c.Socket = fmt.Sprintf("/proc/%d/root/dev/shm/entrypoint-12345/entrypoint.sock", c.PID)
	c.Until("both are ready", func() bool { return statusOf(t, c).ready() == 2 })
	if status, body := c.GetTCP(address, "/"); status != http.StatusOK || body != "hello" {
		t.Errorf("the answer is %d %s\n%s", status, body, c)
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}

// The folder for the control socket is full, and there is no other: that is said,
// and the application starts.
func TestTheSocketFolderIsFull(t *testing.T) {
	t.Parallel()
	admin := stage.FreeAddress(t)
	c := stage.Start(t, stage.Story{
		Words:  run("exec sleep 1000", "--admin", admin),
		Before: "mkdir $HOME/full\n" + hardened + "mount -t tmpfs -o nr_inodes=1 full $HOME/full && export XDG_RUNTIME_DIR=$HOME/full",
	})
	c.Until("it is ready", func() bool { status, _ := c.GetTCP(admin, "/readyz"); return status == http.StatusOK })
	if text := c.Stderr.String(); !strings.Contains(text, "no control socket") || !strings.Contains(text, "no space left") {
		t.Errorf("it does not say what is wrong\n%s", c)
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}

// A control socket that is where nobody can put one costs nothing but itself.
func TestTheSocketFolderIsMissing(t *testing.T) {
	t.Parallel()
	c := stage.Start(t, stage.Story{Words: run("echo started; exec sleep 1000", "--control", "/nowhere/control.sock")})
	c.Says("started", 1)
	c.Says("no control socket", 1)
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}
