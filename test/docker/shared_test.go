//go:build engine

package docker

import (
	"regexp"
	"strings"
	"testing"
)

// neighbour is another container of a pod that shares its process namespace: its
// init is PID 1 of all of them, as Kubernetes' own is.
func neighbour(t *testing.T) container {
	t.Helper()
	c := start(t, "--init", "--no-healthcheck", "--entrypoint", "sh", image, "-c", "echo up; sleep 1000")
	c.waitLog("up")
	return c
}

// everybody lists the processes of the namespace by number and name, but the one
// that looks.
func (c container) everybody() string {
	c.t.Helper()
	o := c.exec("bash", "-c", `for d in /proc/[0-9]*; do [ "$d" = /proc/$$ ] || echo "${d#/proc/}" "$(<"$d/comm")"; done`)
	if o.code != 0 {
		c.t.Fatal(o)
	}
	return o.stdout
}

// crowd is a command with all that an init has to care for: an orphan, whose
// parent has ended, a process that it leaves in its group, and a daemon that has
// left the group. It ends with 42.
const crowd = `
trap 'echo heard USR1' USR1
trap 'exit 42' TERM
echo "command of $PPID"
( (until read -ra stat < /proc/$BASHPID/stat; [ "${stat[3]}" = "$PPID" ]; do sleep 0.05; done; echo adopted) & )
(trap 'echo left behind and heard it; exit' TERM; echo armed; while :; do sleep 0.1; done) &
setsid sleep 1001 &
while :; do sleep 0.1; done
`

// Where a pod shares its process namespace we are not PID 1. We say so once, take
// care of our own descendants, and leave the other containers alone.
func TestASharedProcessNamespace(t *testing.T) {
	t.Parallel()
	other := neighbour(t)
	before := other.everybody()

	c := start(t, "--pid", "container:"+other.id, "--env", "ENTRYPOINT_LOG_LEVEL=debug", image, "bash", "-c", crowd)
	c.waitLog("armed")
	c.waitLog("adopted")
	docker(t, "kill", "--signal", "USR1", c.id)
	c.waitLog("heard USR1")
	if code := c.stop(); code != 42 {
		t.Errorf("docker stop: code %d, not the command's", code)
	}
	said := c.log()
	if strings.Count(said, "not PID 1") != 1 {
		t.Error("it does not say once that it is not PID 1")
	}
	if found := regexp.MustCompile(`(?m)^command of (\d+)$`).FindStringSubmatch(said); found == nil || found[1] == "1" {
		t.Errorf("the story is not the one that was meant: the command's parent is %q", found)
	}
	if !strings.Contains(said, "left behind and heard it") {
		t.Error("what the command left behind was killed without a word")
	}
	if after := other.everybody(); after != before {
		t.Errorf("the other container's processes were\n%sand are\n%s", before, after)
	}
}

// A mode's servers in such a pod: they become healthy, and end in time.
func TestAServerInASharedProcessNamespace(t *testing.T) {
	t.Parallel()
	other := neighbour(t)
	before := other.everybody()
	c := start(t, "--pid", "container:"+other.id, "--env", "DJANGO_DEBUG=True", image)
	c.waitHealth("healthy")
	if other.everybody() == before {
		t.Error("the story is not the one that was meant: the namespace is not shared")
	}
	if code := c.stop(); code != 0 {
		t.Errorf("docker stop: code %d", code)
	}
	if strings.Count(c.log(), "not PID 1") != 1 {
		t.Errorf("it does not say once that it is not PID 1\n%s", c.log())
	}
	if after := other.everybody(); after != before {
		t.Errorf("the other container's processes were\n%sand are\n%s", before, after)
	}
}
