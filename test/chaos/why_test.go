package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// limited is the beginning of a container of 60 MB; the eaters below take more.
func limited(t *testing.T) (before string) {
	t.Helper()
	dir, err := os.MkdirTemp("/sys/fs/cgroup/memory", "entrypoint-chaos")
	if err != nil {
		t.Skipf("NOT TESTED: kills for memory: no memory controller of cgroup v1 to write to (%v)", err)
	}
	t.Cleanup(func() { removeCgroup(t, dir) })
	if err := os.WriteFile(filepath.Join(dir, "memory.limit_in_bytes"), []byte("60M"), 0o644); err != nil {
		t.Fatal(err)
	}
	return "echo 0 > " + dir + "/tasks\n"
}

// eater eats all memory: the line that it looks for the end of has none.
const eater = "tail /dev/zero"

// A copy that the kernel kills for memory is named as such, and comes back.
func TestACopyIsKilledForMemory(t *testing.T) {
	t.Parallel()
	before := limited(t)
	c := stage.Start(t, stage.Story{Before: before, Words: run(
		`if [ "$APP_WORKER_INDEX" = 1 ] && mkdir $HOME/hungry; then exec `+eater+`; fi; exec sleep 1000`,
		"-w", "2", "--backoff", "10ms..20ms")})
	c.Says("killed for memory", 1)
	c.Until("both copies are ready", func() bool { return statusOf(t, c).ready() == 2 })
	now := statusOf(t, c)
	if now.Copies[0].LastExit != nil || now.Copies[0].Restarts != 0 {
		t.Errorf("the copy that ate nothing has ended: %+v", now.Copies[0])
	}
	last := now.Copies[1].LastExit
	if last == nil || last.Reason != "oom" || last.Signal != "KILL" || last.Code != 137 {
		t.Errorf("the copy that ate everything ended with %+v", last)
	}
	counts := scrape(t, c)
	if kills, exits := counts.sum("entrypoint_oom_kills_total"), counts.sum("entrypoint_copy_exits_total", "reason", "oom", "signal", "KILL", "code", "137"); kills != 1 || exits != 1 {
		t.Errorf("%v kills and %v exits are counted, not 1 and 1", kills, exits)
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}

// A KILL of somebody else's in the same container is not the kernel's.
func TestControlAKillIsNotOneForMemory(t *testing.T) {
	t.Parallel()
	before := limited(t)
	c := stage.Start(t, stage.Story{Before: before, Words: run("exec sleep 1000", "--backoff", "10ms..20ms")})
	c.Until("it is ready", func() bool { return statusOf(t, c).ready() == 1 })
	c.Find("sleep 1000")[0].Kill(syscall.SIGKILL)
	c.Until("it is started again", func() bool { s := statusOf(t, c); return s.ready() == 1 && s.Copies[0].Restarts == 1 })
	if last := statusOf(t, c).Copies[0].LastExit; last.Reason != "signal" {
		t.Errorf("it ended with %+v", last)
	}
	if kills := scrape(t, c).sum("entrypoint_oom_kills_total"); kills != 0 {
		t.Errorf("%v kills for memory are counted", kills)
	}
}

// The killed process was started by a copy, not by us: it is counted at once, and
// said when the copy ends.
func TestAGrandchildIsKilledForMemory(t *testing.T) {
	t.Parallel()
	before := limited(t)
	c := stage.Start(t, stage.Story{Before: before + "mkfifo $HOME/go", Words: run(
		`if mkdir $HOME/hungry; then `+eater+`; echo "it ended with $?"; read line < $HOME/go; exit 3; fi; exec sleep 1000`,
		"--backoff", "10ms..20ms")})
	c.Says("it ended with 137", 1)
	c.Until("the kill is counted", func() bool { return scrape(t, c).sum("entrypoint_oom_kills_total") == 1 })
	goOn(t, c)
	c.Says("was killed for memory", 1)
	c.Until("it is started again", func() bool { s := statusOf(t, c); return s.ready() == 1 && s.Copies[0].Restarts == 1 })
	if last := statusOf(t, c).Copies[0].LastExit; last.Reason == "oom" {
		t.Errorf("the copy itself was not killed for memory: %+v", last)
	}
}

// terminationLog gives the container a /dev of its own with the file that
// Kubernetes reads; it stays in $HOME.
const terminationLog = `mount -t tmpfs dev /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/zero c 1 5
echo "of an earlier life" > $HOME/message
touch /dev/termination-log && mount --bind $HOME/message /dev/termination-log
`

// Why it ended stands in /dev/termination-log: our reason, never a line of the
// application, and nothing of an end that was asked for.
func TestTheTerminationMessage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, script string
		memory, stop bool
		code         int
		want         string
	}{
		{name: "a code", script: "echo secret; echo secret >&2; exit 9", code: 9, want: "exit code 9"},
		{name: "a signal", script: "echo secret; kill -SEGV $$", code: 139, want: "SEGV"},
		{name: "memory", script: "echo secret; exec " + eater, memory: true, code: 137, want: "killed for memory"},
		{name: "asked", script: "echo secret; exec sleep 1000", stop: true, code: 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := terminationLog
			if test.memory {
				before += limited(t)
			}
			c := stage.Start(t, stage.Story{Before: before, Words: run(test.script, "--give-up", "2/60s", "--backoff", "10ms", "--app-output", "prefix")})
			if test.stop {
				c.Says("is ready", 1)
				c.Signal(syscall.SIGTERM)
			}
			c.WantExit(test.code)
			text, err := os.ReadFile(filepath.Join(c.Home, "message"))
			if err != nil {
				t.Fatal(err)
			}
			message := string(text)
			if test.stop {
				if message != "of an earlier life\n" {
					t.Errorf("a stop that was asked for leaves a message: %q", message)
				}
				return
			}
			if !strings.HasPrefix(message, "entrypoint: ") || strings.Count(message, "\n") != 1 || !strings.Contains(message, test.want) {
				t.Errorf("the message is not one line that says %q: %q", test.want, message)
			}
			if strings.Contains(message, "secret") {
				t.Errorf("the message holds a line of the application: %q", message)
			}
		})
	}
}

// Without the file none is made: it is Kubernetes' to give.
func TestWithoutATerminationMessageNoneIsMade(t *testing.T) {
	t.Parallel()
	c := stage.Start(t, stage.Story{Words: run("exit 9", "--give-up", "1/60s")})
	c.WantExit(9)
	if _, err := os.Lstat("/dev/termination-log"); err == nil {
		t.Error("there is a /dev/termination-log now")
	}
}

// With our own pipes the last lines of a copy stand beside its end, where nobody
// asked for it.
func TestTheLastLinesOfACopy(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"prefix", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			c := stage.Start(t, stage.Story{Words: run(
				`for i in $(seq 100); do echo "line $i"; done; echo "the reason" >&2; printf unfinished; exit 3`,
				"--give-up", "1/60s", "--app-output", format)})
			c.WantExit(3)
			for _, line := range []string{"line 100", "the reason", "unfinished"} {
				if !strings.Contains(c.Stderr.String(), "command last wrote: "+line+"\n") {
					t.Errorf("the log does not say what it last wrote: %s\n%s", line, c)
				}
			}
			if strings.Contains(c.Stderr.String(), "last wrote: line 1\n") {
				t.Errorf("the log repeats more than the end\n%s", c)
			}
			if n := strings.Count(c.Stdout.String(), "\n"); n != 101 { // and the reason is on stderr
				t.Errorf("%d lines have come through, not 101\n%s", n, c)
			}
		})
	}
	t.Run("not after a stop", func(t *testing.T) {
		t.Parallel()
		c := stage.Start(t, stage.Story{Words: run("echo words; exec sleep 1000", "--app-output", "prefix")})
		c.Says("is ready", 1)
		c.Signal(syscall.SIGTERM)
		c.WantExit(0)
		if n := c.Count("last wrote"); n != 0 {
			t.Errorf("a stop that was asked for shows last lines\n%s", c)
		}
	})
}

// A daemon that has left the group holds the copy's output: neither the restart
// nor the stop waits for it.
func TestAHeldPipeHoldsUpNothing(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"prefix", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			c := stage.Start(t, stage.Story{Words: run(
				`setsid sh -c 'trap "" HUP; echo held; exec sleep 1000' & read line < $HOME/go; exit 3`,
				"--backoff", "10ms", "--app-output", format, "--grace", grace.String()),
				Before: "mkfifo $HOME/go"})
			c.Says("held", 1)
			goOn(t, c)
			c.Says("held", 2)
			c.Until("it is started again", func() bool { return statusOf(t, c).ready() == 1 })
			c.Signal(syscall.SIGTERM)
			c.WantExit(0) // the daemons die of the sweep's TERM
		})
	}
}
