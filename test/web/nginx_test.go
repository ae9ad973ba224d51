package web

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// lag is how late the load balancer learns that a container is not ready any
// more. It is part of the story, not a wait for something to be over.
const lag = 1500 * time.Millisecond

// nginx is a load balancer in front of sites.
type nginx struct {
	t       *testing.T
	address string
	conf    string
	site    *site // only its process and its output
}

func balance(t *testing.T, backends ...string) *nginx {
	t.Helper()
	needs(t, "nginx", "nginx")
	dir := t.TempDir()
	n := &nginx{t: t, address: stage.FreeAddress(t), conf: filepath.Join(dir, "nginx.conf")}
	n.write(backends...)
	n.site = &site{t: t, out: newOutput(), done: make(chan struct{})}
	n.site.cmd = exec.Command("nginx", "-c", n.conf, "-p", dir, "-g", "daemon off;", "-e", "stderr")
	n.site.cmd.Stdout, n.site.cmd.Stderr = n.site.out, n.site.out
	if err := n.site.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = n.site.cmd.Wait()
		close(n.site.done)
	}()
	t.Cleanup(func() {
		_ = n.site.cmd.Process.Signal(syscall.SIGTERM)
		<-n.site.done
	})
	n.site.says("start worker process ")
	return n
}

// write names the backends. A request is tried once: a retry would hide what is
// dropped.
func (n *nginx) write(backends ...string) {
	n.t.Helper()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	var servers strings.Builder
	for _, backend := range backends {
		fmt.Fprintf(&servers, "server %s max_fails=0;\n", backend)
	}
	text := fmt.Sprintf(`%s
worker_processes 1;
pid nginx.pid;
error_log stderr notice;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	upstream site {
		%s
	}
	server {
		listen %s;
		location / {
			proxy_pass http://site;
			proxy_next_upstream off;
		}
	}
}
`, user, servers.String(), n.address)
	if err := os.WriteFile(n.conf, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// learns makes it use these backends alone from now on.
func (n *nginx) learns(backends ...string) {
	n.t.Helper()
	n.write(backends...)
	if err := n.site.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		n.t.Fatal(err)
	}
}

// stopBehind stops one of two containers and returns the load that has seen it.
func stopBehind(t *testing.T, drain string) *load {
	t.Helper()
	container := func() *site {
		s := start(t, opts{
			args: []string{"--workers", "2", "--bind", "{address}", "--drain", drain, "--grace", "10s"},
			env:  []string{"GUNICORN_CMD_ARGS=--worker-class gthread --threads 4"},
		})
		s.becomesReady(2)
		return s
	}
	needs(t, "gunicorn", "gunicorn")
	leaving, staying := container(), container()
	n := balance(t, leaving.address, staying.address)
	l := begin(t, "http://"+n.address)
	l.goesOn(some)
	leaving.signal(syscall.SIGTERM)
	<-time.After(lag)
	n.learns(staying.address)
	leaving.exit(0)
	l.goesOn(some)
	l.end()
	if strings.Contains(leaving.out.String(), "has to be killed") {
		t.Errorf("it did not stop by itself\n%s", leaving)
	}
	return l
}

func TestAStopBehindALateLoadBalancerDropsNothing(t *testing.T) {
	t.Parallel()
	if l := stopBehind(t, "2s"); l.failures() > 0 {
		t.Errorf("%d errors: %v", l.failures(), l.errors())
	}
}

// Control: without the drain the load balancer goes on sending to whom nobody
// serves any more.
func TestWithoutADrainTheLoadBalancersLagCosts(t *testing.T) {
	t.Parallel()
	l := stopBehind(t, "0s")
	if l.failures() == 0 {
		t.Error("no error without a drain: the story proves nothing")
	}
	t.Logf("%d errors without a drain", l.failures())
}
