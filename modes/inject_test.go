package modes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/modes"
)

func TestTheUsersOwnValuesWin(t *testing.T) {
	two := byVariable(modes.Settings{Workers: modes.Workers{Count: 2}}, "workers")
	worker := two
	worker.Mode = modes.WORKER
	beat := modes.Settings{Mode: modes.BEAT}
	uvicorn := byFlag(modes.Settings{Words: []string{"uvicorn", "a:b"}, Bind: []command.Address{{Port: 80}}}, "bind")
	for _, c := range []struct {
		settings modes.Settings
		name     string
		injected string // where the user has none
		own      string
		want     string // with the user's own
	}{
		{two, "GUNICORN_CMD_ARGS", "--graceful-timeout 7", "--threads 4", "--graceful-timeout 7 --threads 4"},
		{two, "GUNICORN_CMD_ARGS", "--graceful-timeout 7", "--graceful-timeout=99", "--graceful-timeout=99"},
		{two, "GUNICORN_CMD_ARGS", "--graceful-timeout 7", "-c conf.py", "-c conf.py"},
		{two, "GUNICORN_CMD_ARGS", "--graceful-timeout 7", "--certfile x", "--graceful-timeout 7 --certfile x"},
		{two, "XDG_RUNTIME_DIR", "/run/entrypoint-0/copy-{index}", "/run/mine", "/run/mine"},
		{two, "PYTHONPATH", "/app/src", "/lib:/app/src", "/lib:/app/src"},
		{two, "PYTHONPATH", "/app/src", "/lib", "/lib:/app/src"},
		{two, "AMAZON_CURRENT_AZ", "local", "eu-west-1a", "eu-west-1a"},
		{two, "LISTEN_FDS", "2", "9", "2"},      // of an outer world
		{two, "WEB_CONCURRENCY", "1", "3", "1"}, // 2 copies x 3 would be 6
		{worker, "CELERY_WORKER_HOSTNAME", "w{index}@%h", "mine@%h", "mine@%h"},
		{worker, "CELERY_WORKER_CONCURRENCY", "1", "8", "8"},
		{beat, "CELERY_BEAT_SCHEDULE", "/app/src/celerybeat-schedule", "/data/s", "/data/s"},
		{uvicorn, "UVICORN_FD", "3", "5", "5"},
		{uvicorn, "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN", "7", "60", "60"},
	} {
		if got := gets(only(t, c.settings, environment("RABBITMQ_HOST=mq"), component()), c.name); got != c.injected {
			t.Errorf("%s without the user's own: %q, want %q", c.name, got, c.injected)
		}
		if got := gets(only(t, c.settings, environment("RABBITMQ_HOST=mq", c.name+"="+c.own), component()), c.name); got != c.want {
			t.Errorf("%s with the user's own %q: %q, want %q", c.name, c.own, got, c.want)
		}
	}
}

func TestWhatTheApplicationSetsItselfIsLeft(t *testing.T) {
	f := component()
	f.SetsGraceful, f.SetsSchedule = true, true
	if spec := only(t, modes.Settings{}, environment(), f); gets(spec, "GUNICORN_CMD_ARGS") != "" {
		t.Error("gunicorn.conf.py's graceful_timeout is overruled: GUNICORN_CMD_ARGS comes after it")
	}
	if spec := only(t, modes.Settings{Mode: modes.BEAT}, environment(), f); gets(spec, "CELERY_BEAT_SCHEDULE") != "" {
		t.Error("the application's beat_schedule_filename is overruled")
	}
}

func TestTheGracefulTimeoutIsBelowOurs(t *testing.T) {
	for grace, want := range map[time.Duration]string{
		8 * time.Second: "7", 25 * time.Second: "24", 2500 * time.Millisecond: "1", time.Second: "1", 0: "1",
	} {
		spec := only(t, byFlag(modes.Settings{Grace: grace}, "grace"), environment(), component())
		if got := gets(spec, "GUNICORN_CMD_ARGS"); got != "--graceful-timeout "+want {
			t.Errorf("grace %s: %s", grace, got)
		}
	}
	drained := only(t, modes.Settings{Platform: "kubernetes"}, environment(), component())
	if got := gets(drained, "GUNICORN_CMD_ARGS"); got != "--graceful-timeout 19" {
		t.Errorf("after a drain of 5s of 25s: %s", got)
	}
}

// LISTEN_PID is that of the shell where a script does not exec its server; with
// LISTEN_FDS beside --bind fd://3, gunicorn 20.1 would take the descriptor twice.
func TestGunicornTakesTheSocketsFromAScript(t *testing.T) {
	copies := byFlag(modes.Settings{Strategy: command.Copies}, "strategy")
	for _, c := range []struct {
		line, fds, arguments string
		private, warned      bool
	}{
		{"exec gunicorn a.wsgi", "2", "--graceful-timeout 7", true, false},
		{"exec gunicorn -b :80 a.wsgi", "2", "--graceful-timeout 7", true, false},
		{"gunicorn a.wsgi", "", "--graceful-timeout 7 --bind fd://3 --bind fd://4", true, false},
		{"gunicorn --bind 0.0.0.0:8000 a.wsgi &", "1", "--graceful-timeout 7", false, true},
	} {
		plan, problems := modes.New(copies, environment(), withScript(component(), "container-web.sh", "#!/bin/sh\n"+c.line+"\n"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		spec := plan.Commands[0]
		if gets(spec, "LISTEN_FDS") != c.fds || gets(spec, "GUNICORN_CMD_ARGS") != c.arguments || spec.Private != c.private || (len(plan.Warnings) > 0) != c.warned {
			t.Errorf("%s: LISTEN_FDS=%s GUNICORN_CMD_ARGS=%s, private %v, %q", c.line, gets(spec, "LISTEN_FDS"), gets(spec, "GUNICORN_CMD_ARGS"), spec.Private, plan.Warnings)
		}
	}
}

func TestServersAreToldOfTheirSockets(t *testing.T) {
	bind := func(addresses ...command.Address) modes.Settings {
		return byFlag(modes.Settings{Bind: addresses}, "bind")
	}
	tcp, v6, all, unix := command.Address{Host: "127.0.0.1", Port: 80}, command.Address{Host: "::", Port: 80}, command.Address{Port: 80}, command.Address{Path: "/run/a.sock"}
	for _, c := range []struct {
		words    string
		settings modes.Settings
		want     map[string]string
		warned   string
	}{
		{"server", bind(tcp, unix), map[string]string{"LISTEN_FDS": "2"}, ""},
		{"gunicorn a:b", bind(tcp, unix), map[string]string{"LISTEN_FDS": "3"}, ""},
		{"uvicorn a:b", bind(tcp), map[string]string{"LISTEN_FDS": "1", "UVICORN_FD": "3"}, ""},
		{"puma", bind(tcp), map[string]string{"PUMA_INHERIT_0": "3:tcp://0.0.0.0:9292"}, ""},
		{"puma -C puma.rb", bind(tcp), map[string]string{"PUMA_INHERIT_0": "3:tcp://0.0.0.0:80", "PORT": "80"}, ""},
		{"puma -C puma.rb", bind(unix), map[string]string{"PUMA_INHERIT_0": "3:unix:///run/a.sock", "PORT": ""}, ""},
		{"puma", bind(v6, all), map[string]string{"PUMA_INHERIT_0": "3:tcp://[::]:80", "PUMA_INHERIT_1": "4:tcp://0.0.0.0:80"}, ""},
		{"puma", bind(unix, tcp), map[string]string{"PUMA_INHERIT_0": "3:unix:///run/a.sock", "PUMA_INHERIT_1": "4:tcp://127.0.0.1:80"}, ""},
		{"puma -b tcp://0.0.0.0:9292", bind(tcp), map[string]string{"PUMA_INHERIT_0": "3:tcp://0.0.0.0:9292"}, ""},
		{"puma -p 3000", bind(tcp), map[string]string{"PUMA_INHERIT_0": "3:tcp://0.0.0.0:3000"}, ""},
		{"hypercorn a:b", bind(tcp), nil, "add --bind fd://3"},
		{"daphne a:b", bind(tcp), nil, "add --fd 3"},
		{"daphne --fd 3 a:b", bind(tcp), nil, ""},
		{"uwsgi --http :80", bind(tcp), nil, "add --http-socket fd://3"},
	} {
		words, err := command.Words(c.words)
		if err != nil {
			t.Fatal(err)
		}
		c.settings.Words = words
		plan, problems := modes.New(c.settings, environment(), modes.Facts{Temp: "/tmp"})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for name, want := range c.want {
			if got := gets(plan.Commands[0], name); got != want {
				t.Errorf("%s: %s=%q, want %q", c.words, name, got, want)
			}
		}
		if warnings := strings.Join(plan.Warnings, "\n"); (warnings != "") != (c.warned != "") || !strings.Contains(warnings, c.warned) {
			t.Errorf("%s: warned %q, want %q", c.words, warnings, c.warned)
		}
		if !cmp.Equal(plan.Commands[0].Argv, words) {
			t.Errorf("the user's words were changed to %q", plan.Commands[0].Argv)
		}
	}
}

func TestPathPutsTheApplicationsPythonFirst(t *testing.T) {
	f := component()
	f.Python.Folder = "/opt/venv/bin"
	for _, c := range []struct{ path, want string }{
		{"PATH=/bin", "/opt/venv/bin:/bin"},
		{"PATH=", "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	} {
		if got := gets(only(t, modes.Settings{}, of(c.path), f), "PATH"); got != c.want {
			t.Errorf("%s: %s", c.path, got)
		}
	}
	command := modes.Settings{Words: []string{"server"}}
	if got := gets(only(t, command, of("PATH=/bin"), f), "PATH"); got != "/bin" {
		t.Errorf("a command's PATH is the user's: %s", got)
	}
	if got := gets(only(t, command, of(), f), "PATH"); got == "" {
		t.Error("without a PATH nothing is found")
	}
}

// What the tasks before the first copy get is the application's, not the server's.
func TestFirstTasksGetNoSockets(t *testing.T) {
	plan, problems := modes.New(byVariable(modes.Settings{InitTasks: [][]string{{"migrate"}}, Workers: modes.Workers{Count: 2}}, "workers"), environment(), component())
	if len(problems) > 0 || len(plan.Init) != 1 {
		t.Fatalf("%v, %d tasks", problems, len(plan.Init))
	}
	first := plan.Init[0]
	for _, name := range []string{"LISTEN_FDS", "GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "XDG_RUNTIME_DIR"} {
		if gets(first, name) != "" || gets(plan.Commands[0], name) == "" {
			t.Errorf("%s: %q before, %q then", name, gets(first, name), gets(plan.Commands[0], name))
		}
	}
	if gets(first, "PYTHONPATH") != "/app/src" || gets(first, "APP_WORKER_COUNT") != "1" || !first.Once {
		t.Errorf("%+v", first)
	}
	if want := []string{"/run/entrypoint-0/copy-0", "/run/entrypoint-0/copy-1"}; !cmp.Equal(want, plan.Folders()) {
		t.Errorf("folders %q", plan.Folders())
	}
}

func TestAnHTTPCheckFindsTheScriptsOwnPort(t *testing.T) {
	check := byVariable(modes.Settings{Health: command.Health{Kind: command.HealthHTTP, Target: "/healthz"}}, "health")
	script := withScript(component(), "container-web.sh", webScript)
	for port, want := range map[string]string{"PORT=9000": "127.0.0.1:9000", "X=y": "127.0.0.1:8000"} {
		spec := only(t, check, environment(port), script)
		if spec.Asked.String() != want || !spec.Ready.Check {
			t.Errorf("%s: asked at %s, %+v", port, spec.Asked, spec.Ready)
		}
	}
	if spec := only(t, check, environment("PORT=9000"), component()); spec.Asked != (command.Address{}) || len(spec.Bind) != 1 {
		t.Errorf("where we hold the socket it is asked there: %+v", spec)
	}
	none := byVariable(modes.Settings{}, "health")
	if spec := only(t, none, environment(), component()); spec.Ready.Check || spec.Ready.After == 0 {
		t.Errorf("health none is a wish: %+v", spec.Ready)
	}
}
