package modes_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/modes"
)

func TestScriptsAreStartedByWhatTheyAre(t *testing.T) {
	for _, c := range []struct {
		script modes.Script
		want   []string
	}{
		{modes.Script{Name: "container-web.sh", Runnable: true, Text: "#!/bin/sh\n"}, []string{"./container-web.sh"}},
		{modes.Script{Name: "container-web.sh", Runnable: true, Text: "#!/usr/bin/env python3\n"}, []string{"./container-web.sh"}},
		{modes.Script{Name: "container-web.sh", Text: "#!/bin/sh\n"}, []string{"sh", "./container-web.sh"}},
		{modes.Script{Name: "container-web.sh", Text: "#! /bin/bash -e\n"}, []string{"/bin/bash", "-e", "./container-web.sh"}},
		{modes.Script{Name: "container-web.sh", Runnable: true, Text: "echo no interpreter\n"}, []string{"sh", "./container-web.sh"}},
		{modes.Script{Name: "container-web.sh", Runnable: true, Text: "#!\n"}, []string{"sh", "./container-web.sh"}},
		{modes.Script{Name: "container-web.sh", Runnable: true}, []string{"sh", "./container-web.sh"}},
	} {
		if got := modes.ScriptArgv(c.script); !cmp.Equal(c.want, got) {
			t.Errorf("%+v: %q, want %q", c.script, got, c.want)
		}
	}
}

func TestScriptsTellWhatTheyStart(t *testing.T) {
	for _, c := range []struct {
		text string
		name string
		exec bool
	}{
		{webScript, "gunicorn", true},
		{ancestorScript, "gunicorn", false},
		{workerScript, "celery", true},
		{"#!/bin/sh\n# exec gunicorn\nPORT=80 exec env A=b uvicorn app:app --host 0.0.0.0\n", "uvicorn", true},
		{"#!/bin/sh\nexec gunicorn \\\n  -b :80 \\\n  app.wsgi\n", "gunicorn", true},
		{"#!/bin/sh\nif true\nthen exec newrelic-admin run-program gunicorn a.wsgi\nfi", "gunicorn", true},
		{"#!/bin/sh\necho 'an open quote\nexec puma -p 80\n", "puma", true},
		{"#!/bin/sh\ncd src && exec gunicorn a.wsgi\n", "gunicorn", true},
		{"#!/bin/sh\ncd src; exec gosu app gunicorn a.wsgi\n", "gunicorn", true},
		{"#!/bin/sh\nif true; then uvicorn a:b; fi\n", "uvicorn", false},
		{"#!/bin/sh\npip install gunicorn\nwhich gunicorn\n./server\n", "", false},
		{"#!/bin/sh\n./server\n", "", false},
		{"", "", false},
	} {
		words, exec := modes.Launch(c.text)
		name, _ := modes.ServerName(words...)
		if name != c.name || exec != c.exec {
			t.Errorf("%q starts %q, exec %v", c.text, name, exec)
		}
	}
}

func TestServersAreRecognisedByTheirWords(t *testing.T) {
	for _, c := range []struct {
		words string
		name  string
		takes bool // our socket, as the words stand
	}{
		{"gunicorn app.wsgi", "gunicorn", true},
		{"/opt/venv/bin/gunicorn app.wsgi", "gunicorn", true},
		{"python3 -m gunicorn app.wsgi", "gunicorn", true},
		{"python3.12 -u -m uvicorn app:app", "uvicorn", true},
		{"python /usr/bin/gunicorn app.wsgi", "gunicorn", true},
		{"uvicorn app:app --port 80", "uvicorn", true},
		{"hypercorn app:app", "hypercorn", false},
		{"hypercorn app:app --bind fd://3", "hypercorn", true},
		{"hypercorn --bind=fd://3 app:app", "hypercorn", true},
		{"daphne app:app", "daphne", false},
		{"daphne --fd 3 app:app", "daphne", true},
		{"daphne -p 3 app:app", "daphne", false},
		{"uwsgi --http :80", "uwsgi", false},
		{"uwsgi --http-socket fd://3", "uwsgi", true},
		{"bundle exec puma -p 80", "puma", true},
		{"env A=b nice -n 5 gunicorn a", "", true}, // the 5 is a program for all that we know
		{"tini -g -- gunicorn a", "gunicorn", true},
		{"poetry run -q uvicorn a:b", "uvicorn", true},
		{"waitress-serve app:app", "waitress", false},
		{"granian app:app", "granian", false},
		{"pm2-runtime app.js", "node's cluster (pm2)", false},
		{"node app.js", "node", true},
		{"/app/server gunicorn", "", true},
		{"python3 -m http.server", "", true},
		{"python3", "", true},
		{"bundle exec", "", true},
		{"nice", "", true},
	} {
		words, err := command.Words(c.words)
		if err != nil {
			t.Fatal(err)
		}
		if name, takes := modes.ServerName(words...); name != c.name || takes != c.takes {
			t.Errorf("%s: %q, takes %v", c.words, name, takes)
		}
	}
}

// Whatever a script holds, looking at it does not fail.
func FuzzScript(f *testing.F) {
	for _, seed := range []string{webScript, ancestorScript, workerScript, "exec", "\\\n", "exec python -m", "A=b", "#!\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		facts := withScript(component(), "container-web.sh", text)
		plan, problems := modes.New(modes.Settings{}, environment(), facts)
		if len(problems) == 0 && (len(plan.Commands) != 1 || len(plan.Commands[0].Argv) == 0 || plan.Commands[0].Argv[0] == "") {
			t.Errorf("%q: no problem, and nothing to run: %+v", text, plan)
		}
	})
}
