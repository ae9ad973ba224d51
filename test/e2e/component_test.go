package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// The reference component behind the binary, with nothing faked: Debian's
// Django, gunicorn and celery.

const python = "/usr/bin/python3"

var missing = sync.OnceValue(func() error {
	text, err := exec.Command(python, "-c", "import celery, django, dotenv, gunicorn").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
})

// component is a copy of src of the test's own, and the environment that runs
// it on embedded parts.
func component(t *testing.T) (dir string, env []string) {
	t.Helper()
	stage.NeedNamespaces(t)
	if err := missing(); err != nil {
		t.Fatalf("the component cannot run here, `make test` installs what it needs: %v", err)
	}
	return stage.Component(t), []string{"DJANGO_DEBUG=True"}
}

// parts is what the component says of itself.
type parts struct {
	Mode         string
	Copy, Copies int
	Pid          int
	Greetings    *int
}

// info asks the component. The error is a failed request.
func info(t *testing.T, address string) (parts, error) {
	t.Helper()
	web := stage.Browser("tcp", address)
	response, err := web.Get("http://localhost/api/info")
	if err != nil {
		return parts{}, err
	}
	defer response.Body.Close()
	var p parts
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil || response.StatusCode != 200 {
		return p, fmt.Errorf("%s %v", response.Status, err)
	}
	return p, nil
}

// bothCopies asks until two copies have answered, and returns the master's pid
// of each: the parent of the worker that answers.
func bothCopies(t *testing.T, r *stage.Running, address string) map[int]int {
	t.Helper()
	masters := map[int]int{}
	r.Until("both copies answer", func() bool {
		p, err := info(t, address)
		if err != nil {
			return false
		}
		for _, process := range r.Processes() {
			if process.Inside == p.Pid {
				masters[p.Copy] = process.Parent
			}
		}
		return len(masters) == 2
	})
	return masters
}

func TestTheSiteBehindTwoCopies(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, env := component(t)
		address := stage.FreeAddress(t)
		r := start(t, p, stage.Story{
			Words: []string{"--workers", "2", "--strategy", "copies", "--bind", address, "--init-task", "migrate --noinput", "--backoff", "50ms"},
			Env:   env, Dir: dir,
		})
		masters := bothCopies(t, r, address)
		if page, err := page(stage.Browser("tcp", address)); err != nil || !strings.Contains(page, "<html") {
			t.Errorf("no page: %v %.80s", err, page)
		}

		// kill -9 of one: the other answers everything, the first comes back.
		r.Kill(masters[0], syscall.SIGKILL)
		r.Says("started again", 1)
		for range 10 {
			if _, err := info(t, address); err != nil {
				t.Errorf("no answer while one copy is away: %v", err)
			}
		}
		again := bothCopies(t, r, address)
		if again[0] == masters[0] || again[1] != masters[1] {
			t.Errorf("masters were %v and are %v", masters, again)
		}

		// Every master and worker ends.
		r.Signal(syscall.SIGINT) // Ctrl-C
		r.WantExit(0)
		r.WantEmpty()
		if _, err := info(t, address); err == nil {
			t.Error("somebody answers after the end")
		}
	})
}

// The component's own script, as the Dockerfile runs it: once, gunicorn runs N.
func TestTheSiteByItsOwnScript(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	address := stage.FreeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	r := start(t, stage.AsInit, stage.Story{Words: []string{"--workers", "2", "--init-task", "migrate --noinput"}, Env: append(env, "PORT="+port), Dir: dir})
	pids := map[int]bool{}
	r.Until("both workers answer", func() bool {
		p, err := info(t, address)
		if err == nil {
			pids[p.Pid] = true
		}
		return len(pids) == 2
	})
	r.Signal(syscall.SIGTERM)
	r.WantExit(0)
}

// The scripts of the component's ancestor end at once and leave a server behind.
func TestTheAncestorsServers(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	address := stage.FreeAddress(t)
	stage.Write(t, dir, "container-web.sh", "#!/bin/bash\npython3 manage.py migrate --noinput\ngunicorn --bind "+address+" --workers ${APP_WORKER_COUNT:-1} app_dir.wsgi &\n", 0o755)
	stage.Write(t, dir, "container-worker.sh", "#!/bin/bash\ncelery --app=app_dir.celery_app.app worker --loglevel=INFO --concurrency=${APP_WORKER_COUNT:-4} &\n", 0o755)

	r := start(t, stage.AsInit, stage.Story{Words: []string{"--workers", "2", "--backoff", "50ms"}, Env: env, Dir: dir})
	r.Until("the site answers", func() bool { _, err := info(t, address); return err == nil })
	// The server's end is the copy's end.
	r.Processes()[0].Kill(syscall.SIGTERM)
	r.Says("started again", 1)
	r.Says("in the background", 2)
	r.Until("the site answers again", func() bool { _, err := info(t, address); return err == nil })
	r.Signal(syscall.SIGTERM)
	r.WantExit(0)

	r = start(t, stage.AsInit, stage.Story{Words: []string{"--mode", "WORKER", "--workers", "2"}, Env: env, Dir: dir})
	r.Says("in the background", 1)
	r.Says(" ready.", 1)
	r.Says("worker is ready", 1) // celery fails to say what it does while it still says that it is ready
	r.Signal(syscall.SIGTERM)
	r.WantExit(0)
	if !strings.Contains(r.Stderr.String(), "Warm shutdown") && !strings.Contains(r.Stdout.String(), "Warm shutdown") {
		t.Errorf("celery was not stopped gracefully\n%s", r)
	}
}

// The tasks of issue 3, and what they have written.
func TestTasksOfTheComponent(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	env = append(env, "APP_RUN_MODE=TASK")
	r := start(t, stage.AsInit, stage.Story{Env: append(env, `APP_TASK_LIST=check; migrate --noinput; greet --name "two words; one name"`), Dir: dir})
	r.WantExit(0)
	text := r.Stdout.String()
	at := []int{strings.Index(text, "no issues"), strings.Index(text, "Applying"), strings.Index(text, "two words; one name")}
	if slices.Contains(at, -1) || !slices.IsSorted(at) {
		t.Errorf("not three commands in order\n%s", r)
	}
	r = start(t, stage.AsInit, stage.Story{Env: append(env, "APP_TASK_LIST=check; no_such_command; greet --name never"), Dir: dir})
	if code := r.Exit(); code == 0 || strings.Contains(r.Stdout.String(), "never") {
		t.Errorf("code %d after a failure, and the next was run\n%s", code, r)
	}
	r = start(t, stage.AsInit, stage.Story{Env: env, Dir: dir})
	r.WantExit(0)
	if !strings.Contains(r.Stdout.String()+r.Stderr.String(), "APP_TASK_LIST is empty") {
		t.Errorf("nobody says why nothing ran\n%s", r)
	}
}

// A beat in one namespace, a worker in another, the broker a folder; and a stop
// lets the task that runs finish.
func TestWorkerAndBeat(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	start(t, stage.AsInit, stage.Story{Words: []string{"-m", "TASK", "--task", "migrate --noinput"}, Env: env, Dir: dir}).WantExit(0)
	worker := start(t, stage.AsInit, stage.Story{Words: []string{"--mode", "WORKER"}, Env: env, Dir: dir})
	worker.Says(" ready.", 1)
	beat := start(t, stage.AsInit, stage.Story{Words: []string{"--mode", "BEAT"}, Env: env, Dir: dir})
	beat.Says("beat: Starting", 1)
	worker.Until("it has done a beat's task", func() bool { return done(worker.Stderr.String(), "record_beat") })
	beat.Signal(syscall.SIGTERM)
	beat.WantExit(0)

	ask := start(t, stage.AsInit, stage.Story{Words: []string{python, "manage.py", "shell", "-c", "from app_dir.tasks import slow; slow.delay(3, 'patience')"}, Env: env, Dir: dir})
	ask.WantExit(0)
	worker.Says("app_dir.tasks.slow[", 1)
	worker.Signal(syscall.SIGTERM)
	worker.WantExit(0)
	if text := worker.Stderr.String(); !done(text, "slow") {
		t.Errorf("the task was cut short\n%s", worker)
	}
	worker.WantEmpty()
}

// done reports whether celery's log has a task that succeeded.
func done(log, task string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "app_dir.tasks."+task) && strings.Contains(line, "succeeded") {
			return true
		}
	}
	return false
}

// A worker that is stopped in the middle of a task that takes longer than the
// grace ends all the same.
func TestATaskLongerThanTheGrace(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	start(t, stage.AsInit, stage.Story{Words: []string{"-m", "TASK", "--task", "migrate --noinput"}, Env: env, Dir: dir}).WantExit(0)
	worker := start(t, stage.AsInit, stage.Story{Words: []string{"--mode", "WORKER", "--grace", "3s"}, Env: env, Dir: dir})
	worker.Says(" ready.", 1)
	start(t, stage.AsInit, stage.Story{Words: []string{python, "manage.py", "shell", "-c", "from app_dir.tasks import slow; slow.delay(1000)"}, Env: env, Dir: dir}).WantExit(0)
	worker.Says("app_dir.tasks.slow[", 1)
	worker.Signal(syscall.SIGTERM)
	if code := worker.Exit(); code != 0 && code != 137 {
		t.Errorf("code %d\n%s", code, worker)
	}
	worker.WantEmpty()
}

// A package that does not import ends the container with gunicorn's code, after
// one try, and the reason is in the log.
func TestAPackageThatDoesNotImport(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	stage.Write(t, dir, "app_dir/wsgi.py", "import no_such_module\n", 0o644)
	r := start(t, stage.AsInit, stage.Story{Words: []string{"--workers", "1", "--strategy", "copies", "--bind", stage.FreeAddress(t)}, Env: env, Dir: dir})
	r.WantExit(3)
	if text := r.Stderr.String(); strings.Contains(text, "started again") || !strings.Contains(text, "no_such_module") {
		t.Errorf("tried again, or nobody says why\n%s", r)
	}
}

func TestThePortIsInUse(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	address := stage.FreeAddress(t)
	r := start(t, stage.AsInit, stage.Story{Words: run("--bind "+address, app("web")...)})
	r.Says("serving", 1)
	second := start(t, stage.AsInit, stage.Story{Words: []string{"--strategy", "copies", "--bind", address}, Env: env, Dir: dir})
	second.WantExit(69)
	second.WantOneLine("cannot", address)
}
