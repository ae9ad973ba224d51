package chaos

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// says compares what every endpoint and every form of `entrypoint health`
// answers: well is 200 and 0.
func says(t *testing.T, c *stage.Running, state string, live, ready, startup bool) {
	t.Helper()
	for _, one := range []struct {
		path string
		flag []string
		well bool
	}{
		{"/livez", []string{"--live"}, live}, {"/readyz", []string{"--ready"}, ready},
		{"/startupz", []string{"--startup"}, startup}, {"/startupz", nil, startup},
	} {
		wantStatus, wantCode := http.StatusServiceUnavailable, 1
		if one.well {
			wantStatus, wantCode = http.StatusOK, 0
		}
		if status, body := c.Get(one.path); status != wantStatus || !strings.Contains(body, `"state":"`+state+`"`) {
			t.Errorf("%s: %d %s, not %d and %s", one.path, status, body, wantStatus, state)
		}
		words := append([]string{"health"}, one.flag...)
		if code, text := c.Client(words...); code != wantCode || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, state+": ") {
			t.Errorf("%v: %d %q, not %d and one line of %s", words, code, text, wantCode, state)
		}
	}
}

// The endpoints are open before anything that takes time, and say what it is;
// alive from the first moment, started and ready when the copies are.
func TestTheEndpointsInEachPhase(t *testing.T) {
	t.Parallel()
	component := t.TempDir()
	stage.Write(t, component, "manage.py", "import os; open(os.environ['HOME'] + '/go').readline()\n", 0o644)
	stage.Write(t, component, "container-web.sh", "#!/bin/sh\nexec sleep 1000\n", 0o755)
	server := stage.FreeAddress(t)
	for _, test := range []struct {
		state string
		story stage.Story
		leave func(t *testing.T, c *stage.Running) // the phase; nil: it has no end
	}{
		{"initialising", stage.Story{Dir: component, Env: []string{"APP_INIT_TASKS=migrate", "DJANGO_DEBUG=True"}, Before: "mkfifo $HOME/go"}, goOn},
		{"waiting", stage.Story{Words: []string{"--wait-for", server, "--", "sleep", "1000"}}, func(t *testing.T, _ *stage.Running) {
			l, err := net.Listen("tcp", server)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}},
		{"decrypting", stage.Story{Words: []string{"--", "sleep", "1000"}, Env: hangingKMS(t)}, nil},
	} {
		t.Run(test.state, func(t *testing.T) {
			t.Parallel()
			admin := stage.FreeAddress(t)
			test.story.Words = append([]string{"run", "--admin", admin}, test.story.Words...)
			c := stage.Start(t, test.story)
			c.Until("the endpoints are open", func() bool { status, _ := c.Get("/livez"); return status == http.StatusOK })
			c.Until("the phase is reached", func() bool { return statusOf(t, c).State == test.state })
			says(t, c, test.state, true, false, false)
			if status, body := c.GetTCP(admin, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "it is "+test.state) {
				t.Errorf("the admin address says %d %s", status, body)
			}
			if test.leave == nil {
				c.Signal(syscall.SIGTERM)
				c.WantExit(143)
				return
			}
			test.leave(t, c)
			c.Until("it is ready", func() bool { status, _ := c.Get("/readyz"); return status == http.StatusOK })
			says(t, c, "ready", true, true, true)
			c.Signal(syscall.SIGTERM)
			c.WantExit(0)
		})
	}
}

// While it drains it serves, and says that it is not ready.
func TestTheEndpointsWhileItDrains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stage.Write(t, dir, "container-web.sh", "#!/bin/sh\nexec sleep 1000\n", 0o755)
	c := stage.Start(t, stage.Story{Dir: dir, Words: []string{"run", "--grace", "90s", "--drain", "60s"}})
	c.Until("it is ready", func() bool { status, _ := c.Get("/readyz"); return status == http.StatusOK })
	c.Signal(syscall.SIGTERM)
	c.Says("draining", 1)
	says(t, c, "draining", true, false, true)
	if s := statusOf(t, c); s.ready() != 1 {
		t.Errorf("the copy does not serve any more: %+v", s.Copies)
	}
	c.Signal(syscall.SIGTERM) // skips the rest of it
	c.WantExit(0)
}

// Every process of every copy is stopped: all answers come at once, from memory.
func TestTheEndpointsWhileNothingRuns(t *testing.T) {
	t.Parallel()
	admin := stage.FreeAddress(t)
	c := stage.Start(t, stage.Story{Words: run("exec sleep 1000", "-w", "3", "--admin", admin)})
	c.Until("all are ready", func() bool { return statusOf(t, c).ready() == 3 })
	for _, p := range c.Processes() {
		p.Kill(syscall.SIGSTOP)
	}
	c.Until("all are stopped", func() bool {
		for _, p := range c.Processes() {
			if p.State != "T" {
				return false
			}
		}
		return true
	})
	says(t, c, "ready", true, true, true)
	for _, path := range []string{"/livez", "/metrics"} {
		if status, body := c.GetTCP(admin, path); status != http.StatusOK {
			t.Errorf("%s on the admin address: %d %s", path, status, body)
		}
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0) // CONT follows TERM
}

// The page of 200 copies is whole, quick, and nothing that promtool finds fault
// with.
func TestAScrapeOfManyCopies(t *testing.T) {
	t.Parallel()
	const many = 200
	c := stage.Start(t, stage.Story{Words: run("exec sleep 1000", "-w", fmt.Sprint(many), "--bind", "127.0.0.1:0", "--health", "none")})
	c.Until("all are ready", func() bool { return statusOf(t, c).ready() == many })
	best := time.Hour
	var text string
	for range 20 {
		began := time.Now()
		var status int
		if status, text = c.Get("/metrics"); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		best = min(best, time.Since(began))
	}
	t.Logf("the best of 20 scrapes took %s", best)
	if best > time.Second {
		t.Errorf("the best of 20 scrapes took %s", best)
	}
	p := parse(t, text)
	if ready, desired, starts := p.sum("entrypoint_copies", "state", "ready"), p.sum("entrypoint_copies_desired"), p.sum("entrypoint_copy_starts_total"); ready != many || desired != many || starts != many {
		t.Errorf("ready %v, desired %v, starts %v", ready, desired, starts)
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatal("promtool is missing: apt-get install prometheus")
	}
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if found, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(found)) > 0 {
		t.Errorf("promtool: %v %s", err, found)
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}

// A thousand connections that say nothing, on each of the two sockets, and some
// that ask and never read: who asks properly is answered, the copies notice
// nothing, and no descriptor is left.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	admin := stage.FreeAddress(t)
	c := stage.Start(t, stage.Story{Words: run("exec sleep 1000", "-w", "2", "--admin", admin)})
	c.Until("all are ready", func() bool { return statusOf(t, c).ready() == 2 })
	before, descriptors := statusOf(t, c), c.Descriptors()
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	for i := range 1000 {
		for _, at := range [][2]string{{"tcp", admin}, {"unix", c.Socket}} {
			conn, err := net.DialTimeout(at[0], at[1], 10*time.Second)
			if err != nil {
				continue // a queue that is full refuses: that is an answer, too
			}
			open = append(open, conn)
			if i%10 == 0 { // asks, and never reads
				_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
				_, _ = conn.Write(bytes.Repeat([]byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 50))
			}
		}
	}
	t.Logf("%d connections are open", len(open))
	if len(open) < 1000 {
		t.Errorf("only %d connections could be opened: they prove nothing", len(open))
	}
	c.Until("it is answered on the control socket", func() bool { code, _ := c.Client("health"); return code == 0 })
	c.Until("it is answered on the admin address", func() bool { status, _ := c.GetTCP(admin, "/livez"); return status == http.StatusOK })
	for _, conn := range open {
		conn.Close()
	}
	open = nil
	c.Until("their descriptors are closed", func() bool { return c.Descriptors() <= descriptors })
	now := statusOf(t, c)
	for i, one := range now.Copies {
		if one.PID != before.Copies[i].PID || one.Restarts != 0 {
			t.Errorf("copy %d was not left alone: %+v", i, one)
		}
	}
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}

// An admin address that is taken is a boot error, before anything is started.
func TestTheAdminAddressIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := stage.Start(t, stage.Story{Words: run("echo started", "--admin", l.Addr().String())})
	c.WantExit(69)
	c.WantOneLine(l.Addr().String())
	c.WantOut("")
}
