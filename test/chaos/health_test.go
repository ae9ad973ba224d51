package chaos

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// often is a rhythm in which a test need not wait.
var often = []string{"--health-interval", "100ms", "--health-timeout", "60s", "--health-retries", "2", "--backoff", "10ms..20ms"}

// A check that hangs is killed with everything it has started, before the next
// one begins; it costs no copy, because it asks none of them.
func TestAHangingCheckIsKilledWithItsGroup(t *testing.T) {
	t.Parallel()
	c := stage.Start(t, stage.Story{Words: run("exec sleep 2000", "-w", "2",
		"--health", `exec:sh -c "sleep 1000 & echo asked >> $HOME/asked; sleep 1000"`,
		"--health-interval", "50ms", "--health-timeout", "300ms", "--health-retries", "2")})
	asked := func() int {
		text, _ := os.ReadFile(filepath.Join(c.Home, "asked"))
		return strings.Count(string(text), "\n")
	}
	c.Until("it has hung five times", func() bool {
		checks := slices.DeleteFunc(c.Find("sleep 1000"), func(p stage.Process) bool { return strings.HasPrefix(p.Command, stage.Binary) }) // a fork that was not executed yet
		if n := len(checks); n > 3 {                                                                                                        // a shell and its two programs
			t.Fatalf("%d processes of checks\n%s", n, c)
		}
		return asked() >= 5
	})
	code, text := c.Get("/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(text, "no result within") {
		t.Errorf("/readyz is %d %s", code, text)
	}
	for _, one := range statusOf(t, c).Copies {
		if one.State != "running" || one.Restarts != 0 {
			t.Errorf("the copy was not left alone: %+v", one)
		}
	}
	if up := scrape(t, c)["entrypoint_check_up"]; len(up) != 1 || up[0].value != 0 {
		t.Errorf("the check is counted as %v", up)
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}

// beating touches a file of its own for as long as it is well; then that is an
// hour old at once, so that no machine is too slow for who is well.
const beating = `
while :; do
	if [ -e $HOME/sick-$APP_WORKER_INDEX ]; then when='1 hour ago'; else when=now; fi
	touch -d "$when" $HOME/beat-$APP_WORKER_INDEX
	echo $$ >> $HOME/rounds-$APP_WORKER_INDEX
	sleep 0.1
done`

// serving answers with 500 when it is not well.
const serving = `
import os
HOME, INDEX = os.environ['HOME'], os.environ['APP_WORKER_INDEX']


def app(environ, start_response):
    with open(f'{HOME}/rounds-{INDEX}', 'a') as rounds:
        rounds.write(f'{os.getppid()}\n')
    sick = os.path.exists(f'{HOME}/sick-{INDEX}')
    start_response('500 Sick' if sick else '200 Well', [])
    return [b'words']
`

// ownChecks are the two kinds of check that ask one copy and no other.
func ownChecks(t *testing.T, story func(t *testing.T, c *stage.Running)) {
	t.Helper()
	for _, kind := range []string{"file", "http on a private socket"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			room := t.TempDir() // where the copies say how they are, whatever their HOME
			begin := stage.Story{
				Dir: room, Words: append([]string{"run", "-w", "3"}, often...),
				Before: "ln -s " + room + " $HOME/room && export HOME=" + room,
			}
			if kind == "file" {
				begin.Words = append(begin.Words, "--health", "file:beat-{index}<60s", "--", "sh", "-c", beating)
			} else {
				stage.Write(t, room, "serve.py", serving, 0o644)
				begin.Words = append(begin.Words, "--health", "http:/well", "--bind", "127.0.0.1:0", "--",
					"/usr/bin/python3", "-m", "gunicorn", "--log-level", "warning", "serve:app")
				begin.Env = []string{"PYTHONPATH=" + room}
			}
			c := stage.Start(t, begin)
			c.Until("all are ready", func() bool { return statusOf(t, c).ready() == 3 })
			story(t, c)
			c.Signal(syscall.SIGTERM)
			c.WantExit(0)
		})
	}
}

func fall(t *testing.T, c *stage.Running, copies ...int) {
	t.Helper()
	for _, i := range copies {
		stage.Write(t, filepath.Join(c.Home, "room"), fmt.Sprintf("sick-%d", i), "", 0o644)
	}
}

func heal(t *testing.T, c *stage.Running, copies ...int) {
	t.Helper()
	for _, i := range copies {
		if err := os.Remove(filepath.Join(c.Home, "room", fmt.Sprintf("sick-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// A copy whose own check fails is replaced; the others are left alone.
func TestACopyThatIsNotWellIsReplaced(t *testing.T) {
	t.Parallel()
	ownChecks(t, func(t *testing.T, c *stage.Running) {
		before := statusOf(t, c)
		fall(t, c, 1)
		c.Until("it is replaced", func() bool { return statusOf(t, c).Copies[1].Restarts == 1 })
		heal(t, c, 1)
		c.Until("all are ready again", func() bool { return statusOf(t, c).ready() == 3 })
		now := statusOf(t, c)
		for _, i := range []int{0, 2} {
			if now.Copies[i].PID != before.Copies[i].PID || now.Copies[i].Restarts != 0 {
				t.Errorf("copy %d was not left alone: %+v, then %+v", i, before.Copies[i], now.Copies[i])
			}
		}
		if last := now.Copies[1].LastExit; last == nil || last.Reason != "unhealthy" {
			t.Errorf("the reason is %+v", last)
		}
		if n := scrape(t, c).sum("entrypoint_copy_restarts_total", "reason", "unhealthy"); n != 1 {
			t.Errorf("%v replacements are counted, not 1", n)
		}
	})
}

// What all copies need is away, and every check fails: they are never replaced all
// at once. One is; while it does not become ready the others stay, and when the
// checks are well again they serve as before.
func TestNeverAllCopiesAreReplacedAtOnce(t *testing.T) {
	t.Parallel()
	ownChecks(t, func(t *testing.T, c *stage.Running) {
		before := statusOf(t, c)
		fall(t, c, 0, 1, 2)
		replaced := -1
		c.Until("one is replaced", func() bool {
			for i, one := range statusOf(t, c).Copies {
				if one.Restarts > 0 && one.State == "running" {
					replaced = i
				}
			}
			return replaced >= 0
		})
		path := filepath.Join(c.Home, "room", fmt.Sprintf("rounds-%d", replaced))
		c.Until("nobody is ready, and the new one has been asked for a while", func() bool {
			s := statusOf(t, c)
			text, _ := os.ReadFile(path)
			return s.ready() == 0 && strings.Count(string(text), fmt.Sprintf("%d\n", s.Copies[replaced].PID)) >= 20
		})
		now := statusOf(t, c)
		for i, one := range now.Copies {
			if i != replaced && one.PID != before.Copies[i].PID {
				t.Errorf("copy %d was replaced as well: %+v\n%s", i, one, c)
			}
		}
		if n := scrape(t, c).sum("entrypoint_copy_restarts_total"); n != 1 {
			t.Errorf("%v replacements, not 1\n%s", n, c)
		}
		if code, text := c.Get("/livez"); code != http.StatusOK {
			t.Errorf("/livez is %d %s: a dependency that is away must not cost the container", code, text)
		}
		heal(t, c, 0, 1, 2)
		c.Until("all are ready again", func() bool { return statusOf(t, c).ready() == 3 })
	})
}

// A health check that asks another host, and rhythms that are none, are refused
// by name and form.
func TestBadChecks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flag, variable, value string
		say                   string
	}{
		{"--health", "ENTRYPOINT_HEALTH", "http://example.com/health", "tcp:host:port"},
		{"--health", "ENTRYPOINT_HEALTH", "http:health", "http:/path"},
		{"--health", "ENTRYPOINT_HEALTH", "exec:", "exec:command"},
		{"--health-interval", "ENTRYPOINT_HEALTH_INTERVAL", "0s", "wanted"},
		{"--health-timeout", "ENTRYPOINT_HEALTH_TIMEOUT", "0s", "wanted"},
		{"--health-interval", "ENTRYPOINT_HEALTH_INTERVAL", "-1s", "wanted"},
		{"--health-retries", "ENTRYPOINT_HEALTH_RETRIES", "0", "wanted"},
	} {
		t.Run(test.flag+" "+test.value, func(t *testing.T) {
			t.Parallel()
			for name, given := range map[string]struct {
				story stage.Story
				code  int
			}{
				test.flag:     {stage.Story{Words: []string{"run", test.flag, test.value, "--", "true"}}, 64},
				test.variable: {stage.Story{Words: []string{"run", "--", "true"}, Env: []string{test.variable + "=" + test.value}}, 78},
			} {
				c := stage.Start(t, given.story)
				c.WantExit(given.code)
				c.WantOneLine(name, test.say)
			}
		})
	}
}
