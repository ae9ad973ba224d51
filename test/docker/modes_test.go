//go:build engine

package docker

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const debug = "DJANGO_DEBUG=True"

// One variable and one port, and the page is there: SQLite where it can be
// written, migrated at the start, static files too.
func TestWeb(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]string{
		"as it is":      nil,
		"read-only":     {"--read-only", "--tmpfs", "/tmp"},
		"any user":      {"--user", "12345"},
		"no privileges": {"--read-only", "--tmpfs", "/tmp", "--user", "12345", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, append(options, "-e", debug, "-p", "127.0.0.1::8000", image)...)
			c.waitHealth("healthy")
			if status, body := get(t, c.url("/")); status != http.StatusOK || !strings.Contains(body, "sqlite") {
				t.Errorf("the page: %d %s", status, body)
			}
			if status, body := get(t, c.url("/static/admin/css/base.css")); status != http.StatusOK || body == "" {
				t.Errorf("a static file: %d", status)
			}
			if code := c.stop(); code != 0 {
				t.Errorf("docker stop: code %d", code)
			}
		})
	}
}

// APP_WORKER_COUNT copies share the port; entrypoint is PID 1 and their parent.
func TestWebCopies(t *testing.T) {
	t.Parallel()
	c := start(t, "-e", debug, "-e", "APP_WORKER_COUNT=3", "-e", "APP_WORKER_STRATEGY=copies", "-p", "127.0.0.1::8000", image)
	c.waitHealth("healthy")
	s := c.status()
	if s.Mode != "WEB" || s.PID != 1 || len(s.Copies) != 3 {
		t.Fatalf("%+v", s)
	}
	for _, one := range s.Copies {
		if one.State != "ready" {
			t.Errorf("copy %d is %s", one.Index, one.State)
		}
	}

	// One is killed: the others answer meanwhile, and it comes back.
	killed := s.Copies[1]
	if o := c.exec("sh", "-c", "kill -KILL "+strconv.Itoa(killed.PID)); o.code != 0 {
		t.Fatal(o)
	}
	if status, _ := get(t, c.url("/")); status != http.StatusOK {
		t.Errorf("with a copy down the page is %d", status)
	}
	c.waitStatus("the copy's return", func(s status) bool {
		now := s.Copies[1]
		return now.State == "ready" && now.PID != killed.PID && now.Restarts == 1
	})
}

// The tasks run in order and the container's code is the first failure's.
func TestTask(t *testing.T) {
	t.Parallel()
	tasks := func(list string) outcome {
		return run(t, "-e", debug, "-e", "APP_RUN_MODE=TASK", "-e", "APP_TASK_LIST="+list, image)
	}
	o := tasks(`check; migrate --noinput; greet --name "two words; one name"`)
	if o.code != 0 || !strings.Contains(o.stdout, "Hello, two words; one name") {
		t.Error(o)
	}
	o = tasks(`greet --name first; no_such_command; greet --name third`)
	if o.code == 0 || !strings.Contains(o.stdout, "first") || strings.Contains(o.stdout, "third") {
		t.Error(o)
	}
	if o = tasks(""); o.code != 0 || !strings.Contains(o.stdout+o.stderr, "APP_TASK_LIST") {
		t.Error(o)
	}
}

// A worker and a beat that share a folder: the beat's job is done by the worker.
func TestWorkerAndBeat(t *testing.T) {
	t.Parallel()
	options := []string{"-e", debug, "-v", docker(t, "volume", "create", "--label", label+"=1") + ":/tmp"}
	worker := start(t, append(options, "-e", "APP_RUN_MODE=WORKER", image)...)
	worker.waitHealth("healthy")
	beat := start(t, append(options, "-e", "APP_RUN_MODE=beat", image)...)
	beat.waitLog("Sending due task")
	worker.waitLog("succeeded in")
	for _, c := range []container{beat, worker} {
		if code := c.stop(); code != 0 {
			t.Errorf("docker stop: code %d", code)
		}
	}
}

// A fork with scripts of the older name, which put their server in the
// background and end, runs unchanged: the server is what is watched and stopped.
func TestAncestorScripts(t *testing.T) {
	t.Parallel()
	const fork = "entrypoint-test:fork"
	if o := buildOn(t, fork, "FROM "+image+"\nUSER 0\nRUN rm container-*.sh"+
		` && printf '#!/bin/bash\ngunicorn --bind 0.0.0.0:8000 --workers ${APP_WORKER_COUNT:-1} app_dir.wsgi &\n' >entrypoint-web.sh`+
		` && printf '#!/bin/bash\ncelery --app=app_dir.celery_app.app worker --concurrency=${APP_WORKER_COUNT:-4} &\n' >entrypoint-worker.sh`+
		` && printf '#!/bin/bash\ncelery --app=app_dir.celery_app.app beat &\n' >entrypoint-beat.sh`+
		"\nUSER 10001\n"); o.code != 0 {
		t.Fatal(o)
	}
	c := start(t, "-e", debug, "-e", "APP_WORKER_COUNT=2", "-p", "127.0.0.1::8000", fork)
	c.waitHealth("healthy")
	if status, _ := get(t, c.url("/")); status != http.StatusOK {
		t.Errorf("the page is %d", status)
	}
	if workers := strings.Count(c.log(), "Booting worker"); workers != 2 {
		t.Errorf("%d workers", workers)
	}
	if code := c.stop(); code != 0 {
		t.Errorf("docker stop: code %d", code)
	}
	for _, mode := range []string{"WORKER", "BEAT"} {
		c := start(t, "-e", debug, "-e", "APP_RUN_MODE="+mode, fork)
		c.waitLog("filesystem://localhost//") // of celery's banner
		c.waitHealth("healthy")
		if code := c.stop(); code != 0 {
			t.Errorf("%s: docker stop: code %d", mode, code)
		}
	}
}

// What the copies get is what `docker exec ... entrypoint exec` gets.
func TestExecInside(t *testing.T) {
	t.Parallel()
	c := start(t, "-e", debug, image)
	c.waitHealth("healthy")
	o := c.exec("entrypoint", "exec", "--", "./manage.py", "shell", "-c", "from app_dir.models import Greeting; print('rows:', Greeting.objects.count())")
	if o.code != 0 || !strings.Contains(o.stdout, "rows: 0") {
		t.Error(o)
	}
	if o := c.exec("bash", "-c", "./manage.py check"); o.code != 0 {
		t.Error(o)
	}
}

// The engine's view: healthy, then unhealthy while the supervisor is stopped.
func TestHealth(t *testing.T) {
	t.Parallel()
	c := start(t, "--health-interval", "1s", "--health-timeout", "1s", "--health-retries", "2", "-e", debug, image)
	c.waitHealth("healthy")
	docker(t, "kill", "--signal", "STOP", c.id)
	c.waitHealth("unhealthy")
	docker(t, "kill", "--signal", "CONT", c.id)
	c.waitHealthAgain("healthy")
}

// status is what `entrypoint status --json` says, as far as it is looked at.
type status struct {
	Mode   string
	State  string
	PID    int
	Copies []struct {
		Index, PID, Restarts int
		State                string
		LastExit             *struct{ Reason string } `json:"last_exit"`
	}
}

func (c container) status() status {
	c.t.Helper()
	o := c.exec("entrypoint", "status", "--json")
	var s status
	if err := json.Unmarshal([]byte(o.stdout), &s); err != nil {
		c.t.Fatalf("%v: %v", err, o)
	}
	return s
}

// waitStatus asks until the status is as wanted: nothing tells of a change.
func (c container) waitStatus(what string, wanted func(status) bool) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for s := c.status(); !wanted(s); s = c.status() {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited in vain for %s: %+v", what, s)
		}
	}
}
