package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
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
	needNamespaces(t)
	if err := missing(); err != nil {
		t.Fatalf("the component cannot run here, `make test` installs what it needs: %v", err)
	}
	// Its control sockets need a short path.
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	src := os.DirFS(filepath.Join("..", "..", "src"))
	err = fs.WalkDir(src, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == "var" || path == ".env" || d.Name() == "__pycache__" || strings.HasPrefix(path, "db.sqlite3"):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, path), 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := fs.ReadFile(src, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), text, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, []string{"DJANGO_DEBUG=True"}
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
	web := browser("tcp", address)
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
func (r *running) bothCopies(address string) map[int]int {
	r.t.Helper()
	masters := map[int]int{}
	r.eventually("both copies answer", func() bool {
		p, err := info(r.t, address)
		if err != nil {
			return false
		}
		for _, process := range r.processes() {
			if process.pid == p.Pid {
				masters[p.Copy] = process.parent
			}
		}
		return len(masters) == 2
	})
	return masters
}

func TestTheSiteBehindTwoCopies(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		dir, env := component(t)
		address := freePort(t)
		r := start(t, p, opts{
			args: []string{"--workers", "2", "--strategy", "copies", "--bind", address, "--init-task", "migrate --noinput", "--backoff", "50ms"},
			env:  env, dir: dir,
		})
		masters := r.bothCopies(address)
		if page, err := page(browser("tcp", address)); err != nil || !strings.Contains(page, "<html") {
			t.Errorf("no page: %v %.80s", err, page)
		}

		// kill -9 of one: the other answers everything, the first comes back.
		r.kill(masters[0], syscall.SIGKILL)
		r.waitFor("started again")
		for range 10 {
			if _, err := info(t, address); err != nil {
				t.Errorf("no answer while one copy is away: %v", err)
			}
		}
		again := r.bothCopies(address)
		if again[0] == masters[0] || again[1] != masters[1] {
			t.Errorf("masters were %v and are %v", masters, again)
		}

		// Every master and worker ends.
		r.signal(syscall.SIGINT) // Ctrl-C
		r.wantExit(0)
		r.wantEmpty()
		if _, err := info(t, address); err == nil {
			t.Error("somebody answers after the end")
		}
	})
}

// The component's own script, as the Dockerfile runs it: once, gunicorn runs N.
func TestTheSiteByItsOwnScript(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	address := freePort(t)
	_, port, _ := strings.Cut(address, ":")
	r := start(t, asInit, opts{args: []string{"--workers", "2", "--init-task", "migrate --noinput"}, env: append(env, "PORT="+port), dir: dir})
	pids := map[int]bool{}
	r.eventually("both workers answer", func() bool {
		p, err := info(t, address)
		if err == nil {
			pids[p.Pid] = true
		}
		return len(pids) == 2
	})
	r.signal(syscall.SIGTERM)
	r.wantExit(0)
}

// The scripts of the component's ancestor end at once and leave a server behind.
func TestTheAncestorsServers(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	address := freePort(t)
	write(t, dir, "container-web.sh", "#!/bin/bash\npython3 manage.py migrate --noinput\ngunicorn --bind "+address+" --workers ${APP_WORKER_COUNT:-1} app_dir.wsgi &\n", 0o755)
	write(t, dir, "container-worker.sh", "#!/bin/bash\ncelery --app=app_dir.celery_app.app worker --loglevel=INFO --concurrency=${APP_WORKER_COUNT:-4} &\n", 0o755)

	r := start(t, asInit, opts{args: []string{"--workers", "2", "--backoff", "50ms"}, env: env, dir: dir})
	r.eventually("the site answers", func() bool { _, err := info(t, address); return err == nil })
	// The server's end is the copy's end.
	master := r.processes()[0].pid
	r.kill(master, syscall.SIGTERM)
	r.waitFor("started again")
	r.waitForN("in the background", 2)
	r.eventually("the site answers again", func() bool { _, err := info(t, address); return err == nil })
	r.signal(syscall.SIGTERM)
	r.wantExit(0)

	r = start(t, asInit, opts{args: []string{"--mode", "WORKER", "--workers", "2"}, env: env, dir: dir})
	r.waitFor("in the background")
	r.waitFor(" ready.")
	r.signal(syscall.SIGTERM)
	r.wantExit(0)
	if !strings.Contains(r.stderr.String(), "Warm shutdown") && !strings.Contains(r.stdout.String(), "Warm shutdown") {
		t.Errorf("celery was not stopped gracefully\n%s", r)
	}
}

// The tasks of issue 3, and what they have written.
func TestTasksOfTheComponent(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	env = append(env, "APP_RUN_MODE=TASK")
	r := start(t, asInit, opts{env: append(env, `APP_TASK_LIST=check; migrate --noinput; greet --name "two words; one name"`), dir: dir})
	r.wantExit(0)
	text := r.stdout.String()
	at := []int{strings.Index(text, "no issues"), strings.Index(text, "Applying"), strings.Index(text, "two words; one name")}
	if slices.Contains(at, -1) || !slices.IsSorted(at) {
		t.Errorf("not three commands in order\n%s", r)
	}
	r = start(t, asInit, opts{env: append(env, "APP_TASK_LIST=check; no_such_command; greet --name never"), dir: dir})
	if code := r.exit(); code == 0 || strings.Contains(r.stdout.String(), "never") {
		t.Errorf("code %d after a failure, and the next was run\n%s", code, r)
	}
	r = start(t, asInit, opts{env: env, dir: dir})
	r.wantExit(0)
	if !strings.Contains(r.stdout.String()+r.stderr.String(), "APP_TASK_LIST is empty") {
		t.Errorf("nobody says why nothing ran\n%s", r)
	}
}

// A beat in one namespace, a worker in another, the broker a folder; and a stop
// lets the task that runs finish.
func TestWorkerAndBeat(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	start(t, asInit, opts{args: []string{"-m", "TASK", "--task", "migrate --noinput"}, env: env, dir: dir}).wantExit(0)
	worker := start(t, asInit, opts{args: []string{"--mode", "WORKER"}, env: env, dir: dir})
	worker.waitFor(" ready.")
	beat := start(t, asInit, opts{args: []string{"--mode", "BEAT"}, env: env, dir: dir})
	beat.waitFor("beat: Starting")
	worker.until(func(_, stderr string) bool { return done(stderr, "record_beat") }, "that it has done a beat's task")
	beat.signal(syscall.SIGTERM)
	beat.wantExit(0)

	ask := start(t, asInit, opts{args: []string{python, "manage.py", "shell", "-c", "from app_dir.tasks import slow; slow.delay(3, 'patience')"}, env: env, dir: dir})
	ask.wantExit(0)
	worker.until(func(_, stderr string) bool { return strings.Contains(stderr, "app_dir.tasks.slow") }, "that it has the slow task")
	worker.signal(syscall.SIGTERM)
	worker.wantExit(0)
	if text := worker.stderr.String(); !done(text, "slow") {
		t.Errorf("the task was cut short\n%s", worker)
	}
	worker.wantEmpty()
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
	start(t, asInit, opts{args: []string{"-m", "TASK", "--task", "migrate --noinput"}, env: env, dir: dir}).wantExit(0)
	worker := start(t, asInit, opts{args: []string{"--mode", "WORKER", "--grace", "3s"}, env: env, dir: dir})
	worker.waitFor(" ready.")
	start(t, asInit, opts{args: []string{python, "manage.py", "shell", "-c", "from app_dir.tasks import slow; slow.delay(1000)"}, env: env, dir: dir}).wantExit(0)
	worker.until(func(_, stderr string) bool { return strings.Contains(stderr, "app_dir.tasks.slow") }, "that it has the slow task")
	worker.signal(syscall.SIGTERM)
	if code := worker.exit(); code != 0 && code != 137 {
		t.Errorf("code %d\n%s", code, worker)
	}
	worker.wantEmpty()
}

// A package that does not import ends the container with gunicorn's code, after
// one try, and the reason is in the log.
func TestAPackageThatDoesNotImport(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	write(t, dir, "app_dir/wsgi.py", "import no_such_module\n", 0o644)
	r := start(t, asInit, opts{args: []string{"--workers", "1", "--strategy", "copies", "--bind", freePort(t)}, env: env, dir: dir})
	r.wantExit(3)
	if text := r.stderr.String(); strings.Contains(text, "started again") || !strings.Contains(text, "no_such_module") {
		t.Errorf("tried again, or nobody says why\n%s", r)
	}
}

func TestThePortIsInUse(t *testing.T) {
	t.Parallel()
	dir, env := component(t)
	address := freePort(t)
	r := start(t, asInit, opts{args: run("--bind "+address, app("web")...)})
	r.waitFor("serving")
	second := start(t, asInit, opts{args: []string{"--strategy", "copies", "--bind", address}, env: env, dir: dir})
	second.wantExit(69)
	second.oneLine("cannot", address)
}
