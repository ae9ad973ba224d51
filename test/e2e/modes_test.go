package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// manage stands in for Django's: it prints its words and ends with the code
// that the environment has for the first of them.
const manage = `import os, sys
print("manage", sys.argv[1:], os.environ.get("APP_RUN_MODE"), flush=True)
sys.exit(int(os.environ.get("CODE_" + sys.argv[1], "0")))
`

// project is a folder with a manage.py, and DJANGO_DEBUG for the contract.
func project(t *testing.T) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	stage.Write(t, dir, "manage.py", manage, 0o755)
	stage.Write(t, dir, "shop/__init__.py", "", 0o644)
	stage.Write(t, dir, "shop/wsgi.py", "", 0o644)
	stage.Write(t, dir, "shop/celery_app.py", "", 0o644)
	return dir, []string{"DJANGO_DEBUG=True"}
}

func TestTasksRunInOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, env := project(t)
		for _, test := range []struct {
			name string
			args []string
			env  []string
			code int
			out  string
		}{
			{"a list", nil, []string{"APP_RUN_MODE=TASK", `APP_TASK_LIST=check; greet --name "two words; one name";; migrate --noinput ;`}, 0,
				"manage ['check'] TASK\nmanage ['greet', '--name', 'two words; one name'] TASK\nmanage ['migrate', '--noinput'] TASK\n"},
			{"case does not matter", nil, []string{"APP_RUN_MODE=task", "APP_TASK_LIST=check"}, 0, "manage ['check'] TASK\n"},
			{"flags", []string{"--mode", "TASK", "--task", "greet 'one; still one'", "--task", "two"}, nil, 0, "manage ['greet', 'one; still one'] TASK\nmanage ['two'] TASK\n"},
			{"the first failure is the last", []string{"run", "-m", "TASK"}, []string{"APP_TASK_LIST=a; b; c", "CODE_b=7"}, 7, "manage ['a'] TASK\nmanage ['b'] TASK\n"},
			{"no shell", []string{"-m", "TASK", "--task", "echo $HOME `id` | cat"}, nil, 0, "manage ['echo', '$HOME', '`id`', '|', 'cat'] TASK\n"},
			{"a list that is empty", []string{"-m", "TASK"}, []string{"APP_TASK_LIST= ; "}, 0, ""},
		} {
			r := start(t, p, stage.Story{Words: test.args, Env: append(env, test.env...), Dir: dir})
			r.WantExit(test.code)
			if got := r.Stdout.String(); got != test.out {
				t.Errorf("%s: stdout is\n%s, not\n%s\n%s", test.name, got, test.out, r)
			}
			if test.out == "" && !strings.Contains(r.Stderr.String(), "no task to run") {
				t.Errorf("%s: nobody says why nothing ran\n%s", test.name, r)
			}
		}
	})
}

func TestATaskThatTakesTooLong(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, env := project(t)
		stage.Write(t, dir, "manage.py", "import time\nprint('begun', flush=True)\nwhile True:\n    time.sleep(1000)\n", 0o755)
		r := start(t, p, stage.Story{Words: []string{"--mode", "TASK", "--task", "a", "--task", "b", "--task-timeout", "900ms"}, Env: env, Dir: dir})
		r.WantExit(124)
		if n := strings.Count(r.Stdout.String(), "begun"); n > 1 {
			t.Errorf("the next task was started\n%s", r)
		}
		r.WantEmpty()
	})
}

// A task that is asked to stop ends with its own code, and the next does not
// run.
func TestAStopDuringATask(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, env := project(t)
		stage.Write(t, dir, "manage.py", "import time\nprint('begun', flush=True)\nwhile True:\n    time.sleep(1000)\n", 0o755)
		r := start(t, p, stage.Story{Words: []string{"--mode", "TASK", "--task", "a", "--task", "b"}, Env: env, Dir: dir})
		r.Says("begun", 1)
		r.Signal(syscall.SIGTERM)
		r.WantExit(143)
		if n := strings.Count(r.Stdout.String(), "begun"); n != 1 {
			t.Errorf("the next task was started\n%s", r)
		}
	})
}

func TestInitTasksComeFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, env := project(t)
		stage.Write(t, dir, "container-web.sh", "#!/bin/sh\necho serving\nexec sleep 1000\n", 0o755)
		r := start(t, p, stage.Story{Env: append(env, "APP_INIT_TASKS=migrate --noinput; collect"), Dir: dir})
		r.Says("serving", 1)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
		r.WantOut("manage ['migrate', '--noinput'] WEB\nmanage ['collect'] WEB\nserving\n")
		r = start(t, p, stage.Story{Env: append(env, "APP_INIT_TASKS=migrate", "CODE_migrate=5"), Dir: dir})
		r.WantExit(5)
		if strings.Contains(r.Stdout.String(), "serving") {
			t.Errorf("the copies were started all the same\n%s", r)
		}
	})
}

// What a platform's settings get wrong, each as one line with what to change.
func TestWhatNoModeCanRun(t *testing.T) {
	dir, debug := project(t)
	stage.Write(t, dir, "container-crlf.sh", "#!/bin/sh\r\necho\r\n", 0o755)
	stage.Write(t, dir, "entrypoint-old.sh", "#!/bin/sh\n", 0o755)
	empty := t.TempDir()
	for _, test := range []struct {
		name string
		dir  string
		args []string
		env  []string
		code int
		say  []string
	}{
		{"an unknown mode, variable", dir, nil, append(debug, "APP_RUN_MODE=nonsense"), 78, []string{"APP_RUN_MODE", "BEAT", "CRLF", "OLD", "TASK", "WEB", "WORKER"}},
		{"an unknown mode, flag", dir, []string{"-m", "nonsense"}, debug, 64, []string{"--mode", "BEAT", "OLD"}},
		{"a mode with a slash", dir, nil, append(debug, "APP_RUN_MODE=../web"), 78, []string{"APP_RUN_MODE", "letters"}},
		{"no application", empty, nil, debug, 78, []string{"manage.py", "ENTRYPOINT_DIR"}},
		{"no application for tasks", empty, []string{"-m", "TASK", "--task", "check"}, debug, 78, []string{"manage.py", "ENTRYPOINT_DIR"}},
		{"Windows line ends", dir, []string{"-m", "crlf"}, debug, 126, []string{"container-crlf.sh", "CRLF", "LF"}},
		{"a second beat", dir, []string{"-m", "BEAT", "-w", "2"}, debug, 64, []string{"--workers"}},
		{"an open quote", dir, []string{"-m", "TASK"}, append(debug, `APP_TASK_LIST=say "hello`), 78, []string{"APP_TASK_LIST", "quote"}},
		{"the contract", dir, []string{"-m", "TASK", "--task", "check"}, nil, 78, []string{"DJANGO_SECRET_KEY"}},
		{"a directory that is not there", dir, []string{"--dir", "nowhere"}, debug, 64, []string{"--dir"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p stage.Place) {
				r := start(t, p, stage.Story{Words: test.args, Env: test.env, Dir: test.dir})
				r.WantExit(test.code)
				r.WantOneLine(test.say...)
				r.WantOut("")
			})
		})
	}
}

// All violations of the contract are told at once, and no value.
func TestAllProblemsAreToldAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, _ := project(t)
		r := start(t, p, stage.Story{Dir: dir, Words: []string{"-m", "TASK", "--task", "check"}, Env: []string{
			"DATABASE_HOST=db", "DATABASE_PORT=hunter2", "CACHE_REDIS_HOST=cache", "CACHE_REDIS_DB=correct-horse",
		}})
		r.WantExit(78)
		for _, name := range []string{"DJANGO_SECRET_KEY", "DATABASE_PORT", "DATABASE_NAME", "DATABASE_USERNAME", "DATABASE_PASSWORD", "CACHE_REDIS_DB"} {
			if !strings.Contains(r.Stderr.String(), name) {
				t.Errorf("%s is not told\n%s", name, r)
			}
		}
		if text := r.Stderr.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "correct-horse") {
			t.Errorf("a value is told\n%s", r)
		}
	})
}

// A script is told N under native and one under copies.
func TestAScriptIsToldHowManyToRun(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, env := project(t)
		stage.Write(t, dir, "container-web.sh", "#!/bin/sh\necho \"count $APP_WORKER_COUNT index $APP_WORKER_INDEX total $APP_WORKER_TOTAL mode $APP_RUN_MODE on $APP_PLATFORM.\"\nexec sleep 1000\n", 0o755)
		r := start(t, p, stage.Story{Words: []string{"--workers", "3"}, Env: env, Dir: dir})
		r.Says("count 3 index 0 total 1 mode WEB on local.", 1)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
		r = start(t, p, stage.Story{Words: []string{"--workers", "3", "--strategy", "copies", "--bind", "none"}, Env: env, Dir: dir})
		for _, index := range []string{"0", "1", "2"} {
			r.Says("count 1 index "+index+" total 3 mode WEB on local.", 1)
		}
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
	})
}

// The scripts of the shell entrypoint that this replaces.
func TestScriptsOfTheAncestor(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, env := project(t)
		stage.Write(t, dir, "container-web.sh", "#!/bin/bash\nsleep 1000 &\necho begun\n", 0o755)
		stage.Write(t, dir, "entrypoint-worker.sh", "#!/bin/sh\necho old name, no run bit\nexec sleep 1000\n", 0o644)
		stage.Write(t, dir, "container-nightly.sh", "#!/bin/sh\necho a mode of its own: $APP_RUN_MODE\nexec sleep 1000\n", 0o755)

		r := start(t, p, stage.Story{Words: []string{"--backoff", "5ms"}, Env: env, Dir: dir})
		r.Says("begun", 1)
		r.Says("in the background", 1)
		r.Await(1, "sleep 1000")[0].Kill(syscall.SIGKILL) // the server's end is the copy's
		r.Says("begun", 2)
		r.Says("in the background", 2)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
		r.WantEmpty()

		r = start(t, p, stage.Story{Words: []string{"--mode", "worker"}, Env: env, Dir: dir})
		r.Says("old name, no run bit\n", 1)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
		if !strings.Contains(r.Stderr.String(), "chmod +x") {
			t.Errorf("nobody says that the run bit is missing\n%s", r)
		}

		r = start(t, p, stage.Story{Words: []string{"--mode", "Nightly"}, Env: env, Dir: dir})
		r.Says("a mode of its own: NIGHTLY\n", 1)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
	})
}

// A server's 0 that nobody asked for is a death: WEB is restarted always.
func TestAServerThatEndsWithZeroIsStartedAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, env := project(t)
		stage.Write(t, dir, "container-web.sh", "#!/bin/sh\necho born\n", 0o755)
		r := start(t, p, stage.Story{Words: []string{"--backoff", "5ms", "--give-up", "4/60s"}, Env: env, Dir: dir})
		if code := r.Exit(); code == 0 {
			t.Errorf("given up with code 0\n%s", r)
		}
		if n := strings.Count(r.Stdout.String(), "born"); n != 4 {
			t.Errorf("started %d times, not 4\n%s", n, r)
		}
	})
}

// .env says what to run where nothing else does, on platform local only.
func TestTheEnvironmentFile(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir, _ := project(t)
		stage.Write(t, dir, ".env", "DJANGO_DEBUG=True\nAPP_RUN_MODE=TASK\nexport APP_TASK_LIST='check; other'\n", 0o600)
		r := start(t, p, stage.Story{Dir: dir})
		r.WantExit(0)
		r.WantOut("manage ['check'] TASK\nmanage ['other'] TASK\n")
		// The real environment wins.
		r = start(t, p, stage.Story{Dir: dir, Env: []string{"APP_TASK_LIST=mine"}})
		r.WantExit(0)
		r.WantOut("manage ['mine'] TASK\n")
		// Elsewhere it is not read, and said so.
		r = start(t, p, stage.Story{Dir: dir, Words: []string{"--platform", "ecs"}, Env: []string{"DJANGO_DEBUG=True", "APP_RUN_MODE=TASK"}})
		r.WantExit(0)
		if r.Stdout.String() != "" || !strings.Contains(r.Stderr.String(), "not read") {
			t.Errorf("the file was read on ecs\n%s", r)
		}
	})
}

// A plan starts nothing.
func TestPlanStartsNothing(t *testing.T) {
	t.Parallel()
	dir, env := project(t)
	stage.Write(t, dir, "container-web.sh", "#!/bin/sh\necho serving\n", 0o755)
	for _, flags := range []string{"plan", "plan --json"} {
		r := start(t, stage.AsInit, stage.Story{Words: strings.Fields(flags), Env: append(env, "APP_INIT_TASKS=migrate", "DATABASE_PASSWORD=hunter2"), Dir: dir})
		r.WantExit(0)
		text := r.Stdout.String()
		if strings.Contains(text, "serving") || strings.Contains(text, "manage [") || strings.Contains(text, "hunter2") {
			t.Errorf("%s started something, or told a secret\n%s", flags, r)
		}
		if !strings.Contains(text, "container-web.sh") || !strings.Contains(text, "migrate") {
			t.Errorf("%s does not say what would run\n%s", flags, r)
		}
	}
}
