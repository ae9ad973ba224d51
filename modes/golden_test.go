package modes_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/modes"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The component of ours as Look finds it in its image.
func component() modes.Facts {
	return modes.Facts{
		Dir: "/app/src", ManagePy: true, DirWritable: true,
		Packages:   []modes.Package{{Name: "app_dir", WSGI: true, CeleryApp: true}},
		Python:     modes.Python{Path: "/opt/venv/bin/python3", Why: "VIRTUAL_ENV's"},
		Temp:       "/tmp",
		CPUs:       2,
		Memory:     1 << 30,
		RuntimeDir: "/run/entrypoint-0",
	}
}

func withScript(f modes.Facts, name, text string) modes.Facts {
	f.Scripts = append(f.Scripts, name)
	f.Script = &modes.Script{Name: name, Text: text, Runnable: true}
	return f
}

func environment(entries ...string) env.Environment {
	e, _ := env.Parse(append([]string{"PATH=/opt/venv/bin:/usr/bin:/bin", "HOME=/root", "DJANGO_SECRET_KEY=sesame", "ENTRYPOINT_GRACE=8s"}, entries...))
	return e
}

// on builds settings: those that are named were given by flag.
func byFlag(s modes.Settings, flags ...string) modes.Settings {
	return origin(s, modes.FromFlag, flags)
}

func byVariable(s modes.Settings, flags ...string) modes.Settings {
	return origin(s, modes.FromVariable, flags)
}

func origin(s modes.Settings, o modes.Origin, flags []string) modes.Settings {
	all := map[string]modes.Origin{}
	for k, v := range s.Origin {
		all[k] = v
	}
	for _, flag := range flags {
		all[flag] = o
	}
	s.Origin = all
	return s
}

func stages(t *testing.T, text string) command.Stages {
	t.Helper()
	s, err := command.ParseStages(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	webScript = `#!/bin/sh
# WEB.
exec python3 -m gunicorn app_dir.wsgi --bind "0.0.0.0:${PORT:-8000}" --workers "${APP_WORKER_COUNT:-1}"
`
	ancestorScript = `#!/bin/bash
. /etc/profile
gunicorn --bind 0.0.0.0:8000 --workers ${APP_WORKER_COUNT:-1} app_dir.wsgi &
`
	workerScript = `#!/bin/sh
exec python3 -m celery --app app_dir.celery_app worker --concurrency "${APP_WORKER_COUNT:-1}"
`
)

type story struct {
	name     string
	settings modes.Settings
	env      env.Environment
	facts    modes.Facts
}

// stories are the rows of interface.md's "What runs, how many, and who binds",
// under the conditions of life that change them.
func stories(t *testing.T) []story {
	three := modes.Workers{Count: 3}
	return []story{
		{"web", modes.Settings{}, environment(), component()},
		{"web-copies", byVariable(modes.Settings{Workers: three}, "workers"), environment("PORT=8080", "APP_WORKER_COUNT=3"), component()},
		{"web-native", byFlag(modes.Settings{Workers: three, Strategy: command.Native}, "workers", "strategy"), environment(), component()},
		{"web-kubernetes", byFlag(modes.Settings{Platform: "kubernetes", Workers: modes.Workers{Auto: true}}, "workers"), environment(), component()},
		{"web-no-socket", byFlag(modes.Settings{BindNone: true}, "bind"), environment(), component()},
		{"web-script", byVariable(modes.Settings{Workers: three}, "workers"), environment(), withScript(component(), "container-web.sh", webScript)},
		{"web-script-copies", byFlag(modes.Settings{Workers: three, Strategy: command.Copies}, "workers", "strategy"), environment(), withScript(component(), "container-web.sh", webScript)},
		{"web-script-ancestor", byVariable(modes.Settings{Workers: three}, "workers"), environment(), withScript(component(), "entrypoint-web.sh", ancestorScript)},
		{"web-health", byFlag(modes.Settings{Health: command.Health{Kind: command.HealthHTTP, Target: "/healthz"}, Drain: 2 * time.Second}, "health", "drain"), environment(), component()},
		{"worker", byVariable(modes.Settings{Mode: modes.WORKER, Workers: three}, "workers"), environment("RABBITMQ_HOST=mq"), component()},
		{"worker-native", byFlag(modes.Settings{Mode: modes.WORKER, Workers: three, Strategy: command.Native, Platform: "ecs"}, "workers", "strategy"), environment("RABBITMQ_HOST=mq"), component()},
		{"worker-over-files", byVariable(modes.Settings{Mode: modes.WORKER, Workers: three}, "workers"), environment(), component()},
		{"worker-script", byVariable(modes.Settings{Mode: modes.WORKER, Workers: three}, "workers"), environment(), withScript(component(), "container-worker.sh", workerScript)},
		{"beat", byVariable(modes.Settings{Mode: modes.BEAT, Workers: three}, "workers"), environment("APP_WORKER_COUNT=3"), component()},
		{"task", byVariable(modes.Settings{Mode: modes.TASK, Tasks: [][]string{{"check"}, {"migrate", "--noinput"}, {"greet", "--name", "two words; one name"}}, TaskTimeout: 5 * time.Minute}, "task"), environment(), component()},
		{"task-none", modes.Settings{Mode: modes.TASK}, environment(), component()},
		{"custom-script", modes.Settings{Mode: "FLOWER"}, environment(), withScript(component(), "container-flower.sh", "#!/bin/sh\nexec celery -A app_dir flower\n")},
		{"command", byFlag(modes.Settings{Words: []string{"/app/server", "-v"}, Workers: modes.Workers{Count: 2}}, "workers"), environment(), modes.Facts{Temp: "/tmp"}},
		{"command-bind", byFlag(modes.Settings{Words: []string{"uvicorn", "app:app"}, Bind: []command.Address{{Port: 80}}}, "bind"), environment(), modes.Facts{Temp: "/tmp"}},
		{"command-drain", byFlag(modes.Settings{Words: []string{"/app/server"}, Drain: 2 * time.Second}, "drain"), environment(), modes.Facts{Temp: "/tmp"}},
		{"init", byVariable(modes.Settings{InitTasks: [][]string{{"migrate", "--noinput"}, {"collectstatic", "--noinput"}}, WaitFor: []string{"database", "mq:5672"}}, "init-task", "wait-for"), environment(), component()},
		{"read-only", modes.Settings{}, environment(), func() modes.Facts {
			f := component()
			f.Temp, f.Home, f.DirWritable, f.RuntimeDir = "/dev/shm", modes.HomeSealed, false, "/dev/shm/entrypoint-12345"
			return f
		}()},
		{"problems", byFlag(modes.Settings{
			Mode: modes.BEAT, Workers: three, Stop: stages(t, "TERM 10s, KILL"),
			Health: command.Health{Kind: command.HealthHTTP, Target: "/"},
		}, "workers", "stop", "health"), environment(), component()},
		{"unknown-mode", byVariable(modes.Settings{Mode: "SIDEWAYS"}, "mode"), environment(), withoutScript(withScript(component(), "container-flower.sh", ""))},
		{"empty-directory", modes.Settings{}, environment(), modes.Facts{Dir: "/", Temp: "/tmp"}},
	}
}

func withoutScript(f modes.Facts) modes.Facts {
	f.Script = nil
	return f
}

func ciphertext(name string) string {
	if name == "DJANGO_SECRET_KEY" {
		return "ciphertext"
	}
	return "plain"
}

func TestPlansAsPeopleAndProgramsReadThem(t *testing.T) {
	for _, s := range stories(t) {
		t.Run(s.name, func(t *testing.T) {
			plan, problems := modes.New(s.settings, s.env, s.facts)
			view := modes.View{Problems: problems, State: ciphertext}
			var text, asJSON bytes.Buffer
			if err := plan.WriteText(&text, view); err != nil {
				t.Fatal(err)
			}
			if err := plan.WriteJSON(&asJSON, view); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text.Bytes(), []byte("sesame")) || bytes.Contains(asJSON.Bytes(), []byte("sesame")) {
				t.Error("a value of the environment is printed")
			}
			golden(t, s.name+".golden", text.Bytes())
			golden(t, s.name+".json.golden", asJSON.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./modes -update writes it)", err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// A plan is a value: the same question has the same answer.
func TestPlansAreDeterministic(t *testing.T) {
	for _, s := range stories(t) {
		write := func() string {
			plan, problems := modes.New(s.settings, s.env, s.facts)
			var b bytes.Buffer
			if err := plan.WriteJSON(&b, modes.View{Problems: problems, Reveal: true}); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		first := write()
		for range 5 {
			if again := write(); again != first {
				t.Fatalf("%s: two answers:\n%s", s.name, cmp.Diff(first, again))
			}
		}
	}
}
