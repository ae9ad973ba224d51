package modes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/modes"
)

// tree makes files under a root of their own; a name that ends in / is a folder,
// one with a run bit begins with +.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, file := range files {
		name, text, _ := strings.Cut(file, "=")
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "+") {
			name, mode = name[1:], 0o755
		}
		path := filepath.Join(root, name)
		if strings.HasSuffix(name, "/") {
			path, name = path+"/x", name+"x"
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/x") {
			continue
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func settings(mode modes.Mode) modes.Settings { return modes.Settings{Mode: mode, Dir: "/app/src"} }

func of(entries ...string) env.Environment {
	e, _ := env.Parse(entries)
	return e
}

func TestLookFindsTheApplication(t *testing.T) {
	root := tree(t,
		"app/src/manage.py", "app/src/app_dir/wsgi.py", "app/src/app_dir/celery_app.py", "app/src/app_dir/settings.py=filesystem://",
		"app/src/docs/index.html", "app/src/not-a-package/wsgi.py", "app/src/zebra/celery.py",
		"+app/src/container-web.sh=#!/bin/sh\nexec gunicorn\n", "app/src/entrypoint-web.sh", "app/src/container-Flower.sh", "app/src/container-.sh", "app/src/container-a b.sh", "app/src/container-dir.sh/",
		"tmp/", "root/")
	f := modes.LookUnder(root, settings(modes.WEB), of("HOME=/root"))
	if d := cmp.Diff([]modes.Package{{Name: "app_dir", WSGI: true, CeleryApp: true}, {Name: "zebra", Celery: true}}, f.Packages); d != "" {
		t.Errorf("packages (-want +got):\n%s", d)
	}
	if want := (&modes.Script{Name: "container-web.sh", Runnable: true, Text: "#!/bin/sh\nexec gunicorn\n"}); !cmp.Equal(want, f.Script) {
		t.Errorf("script %+v", f.Script)
	}
	if want := []string{"container-Flower.sh", "container-web.sh", "entrypoint-web.sh"}; !cmp.Equal(want, f.Scripts) {
		t.Errorf("scripts %q", f.Scripts)
	}
	if !f.ManagePy || f.Temp != "/tmp" || f.Home != modes.HomeGood || f.Dir != "/app/src" {
		t.Errorf("facts %+v", f)
	}
	if f := modes.LookUnder(root, settings("FLOWER"), of()); f.Script == nil || f.Script.Name != "container-Flower.sh" || f.Script.Runnable {
		t.Errorf("a script in other case, without a run bit: %+v", f.Script)
	}
}

func TestLookTakesTheOlderScriptWhereThereIsNoOther(t *testing.T) {
	root := tree(t, "app/src/entrypoint-worker.sh")
	f := modes.LookUnder(root, settings(modes.WORKER), of())
	if f.Script == nil || f.Script.Name != "entrypoint-worker.sh" {
		t.Errorf("script %+v", f.Script)
	}
}

func TestLookTakesThePackageThatIsNamed(t *testing.T) {
	root := tree(t, "app/src/a/wsgi.py", "app/src/config/site/wsgi.py", "app/src/plain/__init__.py")
	for app, want := range map[string][]modes.Package{
		"config.site": {{Name: "config.site", WSGI: true}},
		"plain":       {{Name: "plain"}},
		"gone":        nil,
		"../etc":      nil,
		"a/b":         nil,
	} {
		s := settings(modes.WEB)
		s.App = app
		if f := modes.LookUnder(root, s, of()); !cmp.Equal(want, f.Packages) {
			t.Errorf("--app %s: %+v", app, f.Packages)
		}
	}
}

func TestLookChoosesThePython(t *testing.T) {
	debian := []string{"+usr/bin/python3", "usr/lib/python3/dist-packages/django/"}
	for name, c := range map[string]struct {
		files  []string
		env    []string
		path   string
		folder string
	}{
		"the virtual environment's":     {append(debian, "+opt/venv/bin/python3"), []string{"VIRTUAL_ENV=/opt/venv", "PATH=/usr/bin"}, "/opt/venv/bin/python3", "/opt/venv/bin"},
		"which PATH finds by itself":    {append(debian, "+opt/venv/bin/python3"), []string{"VIRTUAL_ENV=/opt/venv", "PATH=/opt/venv/bin:/usr/bin"}, "/opt/venv/bin/python3", ""},
		"the one beside the directory":  {append(debian, "+app/.venv/bin/python"), []string{"PATH=/usr/bin"}, "/app/.venv/bin/python", "/app/.venv/bin"},
		"one that only PATH knows":      {append(debian, "+v/bin/python3", "v/pyvenv.cfg"), []string{"PATH=/v/bin:/usr/bin"}, "/v/bin/python3", ""},
		"Debian's before a private one": {append(debian, "+usr/local/bin/python3"), []string{"PATH=/usr/local/bin:/usr/bin"}, "/usr/bin/python3", "/usr/bin"},
		"Debian's with pip's Django":    {[]string{"+usr/bin/python3", "usr/local/lib/python3.13/dist-packages/django/", "+opt/bin/python3"}, []string{"PATH=/opt/bin"}, "/usr/bin/python3", "/usr/bin"},
		"not Debian's without Django":   {[]string{"+usr/bin/python3", "+usr/local/bin/python3"}, []string{"PATH=/usr/local/bin:/usr/bin"}, "python3", ""},
		"python where there is no 3":    {[]string{"+usr/bin/python"}, []string{"PATH=/usr/bin"}, "python", ""},
		"none without a run bit":        {[]string{"usr/bin/python3"}, []string{"PATH=/usr/bin"}, "", ""},
		"a VIRTUAL_ENV that is gone":    {debian, []string{"VIRTUAL_ENV=/gone", "PATH=/usr/bin"}, "/usr/bin/python3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, append(c.files, "app/src/manage.py")...)
			got := modes.LookUnder(root, settings(modes.TASK), of(c.env...)).Python
			if got.Path != c.path || got.Folder != c.folder {
				t.Errorf("%+v, want %s, folder %q", got, c.path, c.folder)
			}
		})
	}
}

func TestLookReadsWhatTheApplicationSaysItself(t *testing.T) {
	for name, c := range map[string]struct {
		files                      []string
		mode                       modes.Mode
		graceful, schedule, broker bool
	}{
		"nothing":                {nil, modes.WORKER, false, false, false},
		"gunicorn.conf.py":       {[]string{"app/src/gunicorn.conf.py=graceful_timeout = 3"}, modes.WEB, true, false, false},
		"a broker":               {[]string{"app/src/a/settings.py=BROKER = 'redis://r'"}, modes.WORKER, false, false, true},
		"a broker or files":      {[]string{"app/src/a/settings.py='amqp://' filesystem://"}, modes.WORKER, false, false, false},
		"a schedule":             {[]string{"app/src/a/celery.py=app.conf.beat_schedule_filename = 'x'"}, modes.BEAT, false, true, false},
		"a schedule in a folder": {[]string{"app/src/a/settings/base.py=CELERY_BEAT_SCHEDULE_FILENAME = 'x'"}, modes.BEAT, false, true, false},
	} {
		f := modes.LookUnder(tree(t, append(c.files, "app/src/a/wsgi.py")...), settings(c.mode), of())
		if f.SetsGraceful != c.graceful || f.SetsSchedule != c.schedule || f.SetsBroker != c.broker {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestLookFindsWhereToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		env   []string
		temp  string
		home  modes.Home
	}{
		"all there":         {[]string{"tmp/", "dev/shm/", "root/"}, []string{"HOME=/root"}, "/tmp", modes.HomeGood},
		"no /tmp":           {[]string{"dev/shm/"}, []string{"HOME=/root"}, "/dev/shm", modes.HomeMissing},
		"the user's TMPDIR": {[]string{"scratch/", "tmp/"}, []string{"TMPDIR=/scratch"}, "/scratch", modes.HomeMissing},
		"nothing":           {nil, nil, "", modes.HomeMissing},
	} {
		if f := modes.LookUnder(tree(t, c.files...), settings(modes.WEB), of(c.env...)); f.Temp != c.temp || f.Home != c.home {
			t.Errorf("%s: %q and %v", name, f.Temp, f.Home)
		}
	}
}

func TestLookLeavesACommandAlone(t *testing.T) {
	root := tree(t, "app/src/manage.py", "+app/src/container-web.sh", "app/src/a/wsgi.py")
	s := settings(modes.WEB)
	s.Words = []string{"server"}
	if f := modes.LookUnder(root, s, of()); f.Script != nil || f.Packages != nil {
		t.Errorf("%+v", f)
	}
	s.InitTasks = [][]string{{"migrate"}}
	if f := modes.LookUnder(root, s, of()); !f.ManagePy {
		t.Error("manage.py is needed for the tasks before it, and was not looked for")
	}
}
