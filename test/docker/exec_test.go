//go:build engine

package docker

import (
	"strconv"
	"strings"
	"testing"
)

// `docker run IMAGE command` is a better tini: the command's own words, its own
// code.
func TestExec(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		words []string
		code  int
		says  string // somewhere in both outputs
	}{
		{[]string{"sh", "-c", "exit 5"}, 5, ""},
		{[]string{"sh", "-c", "exit 0"}, 0, ""},
		{[]string{"sh", "-c", "exit 255"}, 255, ""},
		{[]string{"sh", "-c", "kill -TERM $$"}, 143, ""},
		{[]string{"sh", "-c", "kill -KILL $$"}, 137, ""},
		{[]string{"no-such-command"}, 127, "no-such-command"},
		{[]string{"/etc/passwd"}, 126, "/etc/passwd"},
		{[]string{"--", "status"}, 127, "status"},
		{[]string{"echo", "--mode", "TASK"}, 0, "--mode TASK"},
		{[]string{"version"}, 0, "entrypoint 1.2.3"},
		{[]string{"--no-such-flag"}, 64, "run --help"},
		{[]string{"--mode", "no-such-mode"}, 64, "BEAT"},
		{[]string{"python3", "-c", "import django, celery; print(django.__version__)"}, 0, "4.2"},
		{[]string{"sh", "-c", "echo $0 is pid $$, user $(id -u)"}, 0, "user 10001"},
	} {
		o := run(t, append([]string{image}, c.words...)...)
		if o.code != c.code || !strings.Contains(o.stdout+o.stderr, c.says) {
			t.Errorf("%q: wanted code %d and %q, got %v", c.words, c.code, c.says, o)
		}
		if strings.Contains(o.stderr, "goroutine") {
			t.Errorf("%q: a Go trace: %s", c.words, o.stderr)
		}
	}
}

// Every signal that a command may want arrives as it is; the container's code is
// the command's.
func TestExecSignals(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"TERM", "HUP", "USR1", "TTIN", "RTMIN+3"} {
		c := start(t, image, "bash", "-c", "trap 'exit 42' "+name+"; echo trapped; while :; do sleep 1; done")
		c.waitLog("trapped")
		signal := name
		if name == "RTMIN+3" {
			signal = strconv.Itoa(34 + 3) // the engine of Debian 12 knows numbers only
		}
		docker(t, "kill", "--signal", signal, c.id)
		if code := c.wait(); code != 42 {
			t.Errorf("%s: the container ended with %d", name, code)
		}
	}
}

// What a command leaves behind ends with it: TERM, and the rest of the grace to
// use it.
func TestExecSweepsUp(t *testing.T) {
	t.Parallel()
	left := `(trap 'echo heard it; exit' TERM; echo armed; while :; do sleep 0.1; done) & until [ -e /tmp/go ]; do sleep 0.1; done; exit 7`
	c := start(t, image, "bash", "-c", left)
	c.waitLog("armed")
	if o := c.exec("touch", "/tmp/go"); o.code != 0 {
		t.Fatal(o)
	}
	if code := c.wait(); code != 7 {
		t.Errorf("the container ended with %d", code)
	}
	if !strings.Contains(c.log(), "heard it") {
		t.Error("what the command left behind was killed without a word")
	}
}

// Under Docker's own init we are not PID 1, and all is the same.
func TestUnderInit(t *testing.T) {
	t.Parallel()
	if o := run(t, "--init", image, "sh", "-c", "exit 5"); o.code != 5 {
		t.Error(o)
	}
	c := start(t, "--init", "-e", "DJANGO_DEBUG=True", image)
	c.waitHealth("healthy")
	if code := c.stop(); code != 0 {
		t.Errorf("docker stop: code %d", code)
	}
}
