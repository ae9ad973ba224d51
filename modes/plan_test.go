package modes_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/modes"
)

// lines are problems as a user reads them, with their codes.
func lines(problems []modes.Problem) []string {
	var all []string
	for _, p := range problems {
		all = append(all, fmt.Sprintf("%d %s", p.Code, p))
	}
	return all
}

func TestBadInputIsToldByNameAndCode(t *testing.T) {
	bare := modes.Facts{Dir: "/app", Temp: "/tmp", Scripts: []string{"container-flower.sh"}}
	two := component()
	two.Packages = append(two.Packages, modes.Package{Name: "second", WSGI: true})
	noPython := component()
	noPython.Python = modes.Python{}
	tasks := [][]string{{"check"}}
	for name, c := range map[string]struct {
		settings modes.Settings
		env      env.Environment
		facts    modes.Facts
		want     []string // a part of each line
	}{
		"nothing in the directory":            {modes.Settings{}, environment(), bare, []string{"78 cannot run WEB: there is no manage.py"}},
		"nothing in --dir":                    {byFlag(modes.Settings{}, "dir"), environment(), bare, []string{"64 cannot use --dir: there is no manage.py"}},
		"TASK without manage.py":              {modes.Settings{Mode: modes.TASK, Tasks: tasks}, environment(), bare, []string{"78 cannot run TASK: there is no manage.py and no container-task.sh in /app"}},
		"TASK without a python":               {modes.Settings{Mode: modes.TASK, Tasks: tasks}, environment(), noPython, []string{"127 cannot run manage.py: there is no python3"}},
		"first tasks of a foreign image":      {modes.Settings{Words: []string{"server"}, InitTasks: tasks}, environment(), bare, []string{"there is no manage.py"}},
		"a mode that is not there":            {byFlag(modes.Settings{Mode: "X"}, "mode"), environment(), bare, []string{"64 cannot use --mode: wanted: one of BEAT, FLOWER, TASK, WEB, WORKER"}},
		"the same by variable":                {byVariable(modes.Settings{Mode: "X"}, "mode"), environment(), bare, []string{"78 cannot use APP_RUN_MODE: wanted: one of BEAT, FLOWER"}},
		"two packages":                        {modes.Settings{}, environment(), two, []string{"78 cannot use ENTRYPOINT_APP: wanted: one of the packages with a wsgi.py in /app/src: app_dir, second"}},
		"a package that is not there":         {byFlag(modes.Settings{App: "gone"}, "app"), environment(), modes.Facts{Dir: "/app", ManagePy: true}, []string{"64 cannot use --app: wanted: a package in /app with a wsgi.py"}},
		"a project without wsgi.py":           {modes.Settings{}, environment(), modes.Facts{Dir: "/app", ManagePy: true}, []string{"78 cannot run WEB: no package in /app has a wsgi.py"}},
		"CRLF":                                {modes.Settings{}, environment(), withScript(component(), "container-web.sh", "#!/bin/sh\r\nexec x\r\n"), []string{"126 cannot run container-web.sh: it has Windows line ends (CRLF); save it with LF"}},
		"a byte order mark":                   {modes.Settings{}, environment(), withScript(component(), "container-web.sh", "\uFEFF#!/bin/sh\n"), []string{"126 cannot run container-web.sh: a byte order mark"}},
		"an empty command":                    {modes.Settings{Words: []string{"", "x"}}, environment(), bare, []string{`127 cannot run "": the command is empty`}},
		"two beats by flag":                   {byFlag(modes.Settings{Mode: modes.BEAT, Workers: modes.Workers{Count: 2}}, "workers"), environment(), component(), []string{"64 cannot use --workers: wanted: 1"}},
		"a port of Kubernetes' making":        {modes.Settings{}, environment("PORT=tcp://10.0.0.1:8000"), component(), []string{"78 cannot use PORT: wanted: a port number"}},
		"a port out of range":                 {modes.Settings{}, environment("PORT=70000"), component(), []string{"78 cannot use PORT"}},
		"none and an address":                 {byFlag(modes.Settings{BindNone: true, Bind: []command.Address{{Port: 1}}}, "bind"), environment(), component(), []string{"64 cannot use --bind: wanted: none alone"}},
		"a drain as long as the grace":        {byFlag(modes.Settings{Drain: 8 * time.Second}, "drain"), environment(), component(), []string{"64 cannot use --drain: wanted: less than the grace of 8s"}},
		"stages longer than the grace":        {byVariable(modes.Settings{Stop: stages(t, "TERM 6s, KILL"), Drain: 3 * time.Second}, "stop", "drain"), environment(), component(), []string{"78 cannot use ENTRYPOINT_STOP: wanted: waits of at most 5s together, which is the grace of 8s less the drain of 3s; they are 6s"}},
		"a socket for waitress":               {byFlag(modes.Settings{Words: []string{"waitress-serve", "a:b"}, Bind: []command.Address{{Port: 1}}}, "bind"), environment(), bare, []string{"64 cannot use --bind: waitress cannot take a socket that we hold; --strategy native"}},
		"http health of a command":            {byFlag(modes.Settings{Words: []string{"server"}, Health: command.Health{Kind: command.HealthHTTP, Target: "/"}}, "health"), environment(), bare, []string{"64 cannot use --health: http asks at an address that we hold"}},
		"http health of a worker":             {byFlag(modes.Settings{Mode: modes.WORKER, Health: command.Health{Kind: command.HealthHTTP, Target: "/"}}, "health"), environment(), component(), []string{"64 cannot use --health: http asks a server, and WORKER is none"}},
		"an open quote in a check":            {byFlag(modes.Settings{Health: command.Health{Kind: command.HealthExec, Target: "a 'b"}}, "health"), environment(), component(), []string{"64 cannot use --health: exec: wanted: quotes in pairs"}},
		"intervals of nothing":                {byVariable(modes.Settings{}, "health-interval", "health-timeout", "health-retries"), environment(), component(), []string{"78 cannot use ENTRYPOINT_HEALTH_INTERVAL", "78 cannot use ENTRYPOINT_HEALTH_TIMEOUT", "78 cannot use ENTRYPOINT_HEALTH_RETRIES"}},
		"all at once":                         {byFlag(modes.Settings{Mode: "X", BindNone: true, Bind: []command.Address{{Port: 1}}, InitTasks: tasks}, "mode", "bind"), environment(), bare, []string{"64 cannot use --bind", "78 cannot run X: there is no manage.py", "64 cannot use --mode"}},
		"nothing wrong":                       {modes.Settings{}, environment(), component(), nil},
		"a count in the environment for BEAT": {byVariable(modes.Settings{Mode: modes.BEAT, Workers: modes.Workers{Count: 2}}, "workers"), environment(), component(), nil},
		"two packages do not matter to TASK":  {modes.Settings{Mode: modes.TASK, Tasks: tasks}, environment(), two, nil},
		"an http check shared with a worker":  {byVariable(modes.Settings{Mode: modes.WORKER, Health: command.Health{Kind: command.HealthHTTP, Target: "/"}}, "health"), environment(), component(), nil},
		"the package that fits the mode":      {modes.Settings{Mode: modes.WORKER}, environment(), two, nil},
		"an application in __init__.py":       {byFlag(modes.Settings{Mode: modes.WORKER, App: "plain"}, "app"), environment(), modes.Facts{Dir: "/app", Packages: []modes.Package{{Name: "plain"}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := modes.New(c.settings, c.env, c.facts)
			got := lines(problems)
			fits := len(got) == len(c.want)
			for i := range min(len(got), len(c.want)) {
				fits = fits && strings.Contains(got[i], c.want[i])
			}
			if !fits {
				t.Errorf("problems:\n%s\nwanted:\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			for _, p := range problems {
				if (p.Code == 64) != p.FromFlag || strings.ContainsAny(p.String(), "\n\t") {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

// only is the one command of a plan without problems.
func only(t *testing.T, s modes.Settings, e env.Environment, f modes.Facts) command.Spec {
	t.Helper()
	plan, problems := modes.New(s, e, f)
	if len(problems) > 0 || len(plan.Commands) != 1 {
		t.Fatalf("%d commands, problems %v", len(plan.Commands), lines(problems))
	}
	return plan.Commands[0]
}

// gets is what a copy's environment holds for a name.
func gets(spec command.Spec, name string) string {
	for _, v := range spec.PerCopy {
		if v.Name == name {
			return v.Value
		}
	}
	return spec.Env.Get(name).Reveal()
}

func TestTheStopFitsIntoTheGrace(t *testing.T) {
	for _, c := range []struct {
		mode         modes.Mode
		platform     string
		grace, drain time.Duration // 0: the default
		want         string
		wantDrain    time.Duration
	}{
		{modes.WEB, "local", 0, 0, "TERM 8s, KILL", 0},
		{modes.WEB, "ecs", 0, 0, "TERM 25s, KILL", 0},
		{modes.WEB, "kubernetes", 0, 0, "TERM 20s, KILL", 5 * time.Second},
		{modes.WEB, "kubernetes", 4 * time.Second, 0, "TERM 2s, KILL", 2 * time.Second},
		{modes.WEB, "local", 20 * time.Second, 2 * time.Second, "TERM 18s, KILL", 2 * time.Second},
		{modes.WORKER, "local", 0, 0, "TERM 5.4s, QUIT 2.6s, KILL", 0},
		{modes.WORKER, "kubernetes", 0, 0, "TERM 20s, QUIT 5s, KILL", 0},
		{modes.WORKER, "local", 15 * time.Second, 0, "TERM 10s, QUIT 5s, KILL", 0},
		{modes.WORKER, "local", 14 * time.Second, 0, "TERM 9.4s, QUIT 4.6s, KILL", 0},
		{modes.WORKER, "local", 200 * time.Millisecond, 0, "TERM 200ms, KILL", 0},
		{modes.BEAT, "kubernetes", 0, 0, "TERM 25s, KILL", 0},
	} {
		s := modes.Settings{Mode: c.mode, Platform: c.platform, Grace: c.grace, Drain: c.drain}
		if c.grace > 0 {
			s = byFlag(s, "grace")
		}
		if c.drain > 0 {
			s = byFlag(s, "drain")
		}
		spec := only(t, s, environment("RABBITMQ_HOST=mq"), component())
		if spec.Stop.String() != c.want || spec.Drain != c.wantDrain || spec.Drain+spec.Stop.Length() != spec.Grace {
			t.Errorf("%s on %s, grace %s: drain %s, %s", c.mode, c.platform, spec.Grace, spec.Drain, spec.Stop)
		}
	}
}

func TestEachModeStopsAndRestartsInItsWay(t *testing.T) {
	web := only(t, modes.Settings{}, environment(), component())
	if web.Restart != command.Always || web.Once || !slices.Contains(web.Fatal, 3) || !slices.Contains(web.Clean, 143) || !slices.Contains(web.Unsent, syscall.SIGUSR2) || !web.Private {
		t.Errorf("WEB: %+v", web)
	}
	worker := only(t, modes.Settings{Mode: modes.WORKER}, environment(), component())
	if worker.Restart != command.Always || slices.Contains(worker.Fatal, 3) || worker.Unsent != nil || worker.Bind != nil || worker.Ready.After != 2*time.Second {
		t.Errorf("WORKER: %+v", worker)
	}
	task := only(t, modes.Settings{Mode: modes.TASK, Tasks: [][]string{{"check"}}}, environment(), component())
	if task.Restart != command.Never || !task.Once || task.Ready != (command.Readiness{}) {
		t.Errorf("TASK: %+v", task)
	}
	custom := only(t, modes.Settings{Mode: "ONCE"}, environment(), withScript(component(), "container-once.sh", "#!/bin/sh\n"))
	if custom.Restart != command.OnFailure {
		t.Errorf("a mode of the user's own: %+v", custom)
	}
	changed := only(t, byFlag(modes.Settings{Restart: command.Never, Stop: stages(t, "INT 1s, KILL")}, "restart", "stop"), environment(), component())
	if changed.Restart != command.Never || changed.Stop.String() != "INT 1s, KILL" {
		t.Errorf("the user's own rules: %+v", changed)
	}
	uwsgi := only(t, modes.Settings{Words: []string{"uwsgi", "app.ini"}}, environment(), modes.Facts{Temp: "/tmp"})
	if uwsgi.Stop.String() != "INT 8s, KILL" {
		t.Errorf("uwsgi reloads at TERM: %s", uwsgi.Stop)
	}
}

func TestBeatKnowsItsPIDFile(t *testing.T) {
	for _, c := range []struct {
		text, env, want string
	}{
		{"exec celery -A a beat --pidfile=/run/beat.pid", "", "/run/beat.pid"},
		{"exec celery -A a beat --pidfile beat.pid", "", "/app/src/beat.pid"},
		{"exec celery -A a beat", "beat.pid", "/app/src/beat.pid"},
		{"exec celery -A a beat", "", ""},
	} {
		f := withScript(component(), "container-beat.sh", "#!/bin/sh\n"+c.text+"\n")
		spec := only(t, modes.Settings{Mode: modes.BEAT}, environment("CELERY_BEAT_PIDFILE="+c.env), f)
		if spec.Stale != c.want || (c.want != "") != (spec.StaleCode == 73) {
			t.Errorf("%q and %q: %q, code %d", c.text, c.env, spec.Stale, spec.StaleCode)
		}
	}
}

func TestEachCopyIsOneProcess(t *testing.T) {
	three := byVariable(modes.Settings{Workers: modes.Workers{Count: 3}}, "workers")
	copies := only(t, three, environment("APP_WORKER_COUNT=3", "WEB_CONCURRENCY=4"), component())
	if got := gets(copies, "APP_WORKER_COUNT") + gets(copies, "APP_WORKER_TOTAL") + gets(copies, "APP_WORKER_INDEX") + gets(copies, "WEB_CONCURRENCY"); got != "13{index}1" || copies.Copies != 3 {
		t.Errorf("copies: %s", got)
	}
	three.Strategy = command.Native
	native := only(t, byFlag(three, "strategy"), environment("APP_WORKER_COUNT=3"), component())
	if got := gets(native, "APP_WORKER_COUNT") + gets(native, "APP_WORKER_TOTAL") + gets(native, "WEB_CONCURRENCY"); got != "313" || native.Copies != 1 {
		t.Errorf("native: %s", got)
	}
	three.Mode = modes.WORKER
	worker := only(t, byFlag(three, "strategy"), environment(), component())
	if want := []string{"celery", "-A", "app_dir.celery_app", "worker", "--concurrency", "3"}; !cmp.Equal(want, worker.Argv) {
		t.Errorf("native worker: %q", worker.Argv)
	}
}

// Over the file system two worker processes lose tasks; with a broker, or with
// one process that has several for its tasks, there is nothing to warn of.
func TestWorkersOverFilesAreOne(t *testing.T) {
	two := byVariable(modes.Settings{Mode: modes.WORKER, Workers: modes.Workers{Count: 2}}, "workers")
	named := component()
	named.SetsBroker = true
	for name, c := range map[string]struct {
		env    string
		facts  modes.Facts
		copies int
	}{
		"files":                 {"X=y", component(), 1},
		"an empty variable":     {"RABBITMQ_HOST=", component(), 1},
		"RabbitMQ":              {"RABBITMQ_HOST=mq", component(), 2},
		"a URL":                 {"CELERY_BROKER_URL=redis://r", component(), 2},
		"a URL of a platform":   {"CLOUDAMQP_URL=amqp://r", component(), 2},
		"in the application":    {"X=y", named, 2},
		"an application's name": {"MY_AMQP_URL=amqp://r", component(), 2},
	} {
		plan, problems := modes.New(two, environment(c.env), c.facts)
		if len(problems) > 0 || plan.Commands[0].Copies != c.copies || (len(plan.Warnings) > 0) != (c.copies == 1) {
			t.Errorf("%s: %d copies, warnings %q", name, plan.Commands[0].Copies, plan.Warnings)
		}
	}
}

func TestAutoIsDerivedFromTheLimits(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		cpus   float64
		memory int64
		async  bool
		want   int
	}{
		{1, 0, false, 3}, {2, 0, false, 5}, {0.5, 0, false, 3}, {1.5, 0, false, 5}, {64, 0, false, 12},
		{2, 512 * mb, false, 2}, {2, 100 * mb, false, 1}, {0, 0, false, 3},
		{2, 0, true, 2}, {1.5, 0, true, 2}, {64, 0, true, 12}, {8, 512 * mb, true, 2},
	} {
		if got := modes.Auto(c.cpus, c.memory, c.async); got != c.want {
			t.Errorf("%v CPUs, %d MB, async %v: %d, want %d", c.cpus, c.memory/mb, c.async, got, c.want)
		}
	}
	spec := only(t, byFlag(modes.Settings{Mode: modes.WORKER, Workers: modes.Workers{Auto: true}}, "workers"), environment("RABBITMQ_HOST=mq"), component())
	if spec.Copies != 2 {
		t.Errorf("celery on 2 CPUs: %d", spec.Copies)
	}
}

func TestTasksAreManagementCommands(t *testing.T) {
	plan, _ := modes.New(modes.Settings{Mode: modes.TASK, Tasks: [][]string{{"check"}, {"./manage.py", "migrate"}, {"python3", "manage.py", "greet", "--name", "a b"}, {"manage.py"}}, TaskTimeout: time.Minute}, environment(), component())
	var got []string
	for _, spec := range plan.Commands {
		got = append(got, spec.Name+": "+command.Line(spec.Argv[1:]))
	}
	if want := []string{"task 1: manage.py check", "task 2: manage.py migrate", "task 3: manage.py greet --name 'a b'", "task 4: manage.py manage.py"}; !cmp.Equal(want, got) || plan.Timeout != time.Minute {
		t.Errorf("%q, timeout %s", got, plan.Timeout)
	}
	none, problems := modes.New(modes.Settings{Mode: modes.TASK}, environment(), component())
	if len(none.Commands) != 0 || len(problems) != 0 || len(none.Warnings) != 1 {
		t.Errorf("no list: %d commands, %v, %q", len(none.Commands), problems, none.Warnings)
	}
}

func TestATaskScriptIsToldTheListOfTheFlag(t *testing.T) {
	f := withScript(component(), "container-task.sh", "#!/bin/sh\nexec python3 manage.py run_tasks\n")
	spec := only(t, byFlag(modes.Settings{Mode: modes.TASK, Tasks: [][]string{{"greet", "a;b"}, {"check"}}}, "task"), environment("APP_TASK_LIST=old"), f)
	if got := gets(spec, "APP_TASK_LIST"); got != "greet 'a;b'; check" || !spec.Once {
		t.Errorf("%q, once %v", got, spec.Once)
	}
}

func TestSocketsAreHeldAsTheTableSays(t *testing.T) {
	address := command.Address{Host: "127.0.0.1", Port: 9000}
	bound := byVariable(modes.Settings{Bind: []command.Address{address}}, "bind")
	for name, c := range map[string]struct {
		change func(*modes.Settings)
		env    string
		facts  modes.Facts
		want   string
	}{
		"the mode's own command":   {func(s *modes.Settings) { s.Bind = nil }, "", component(), "[0.0.0.0:8000]"},
		"PORT":                     {func(s *modes.Settings) { s.Bind = nil }, "PORT=80", component(), "[0.0.0.0:80]"},
		"--bind before PORT":       {func(*modes.Settings) {}, "PORT=80", component(), "[127.0.0.1:9000]"},
		"none":                     {func(s *modes.Settings) { s.Bind, s.BindNone = nil, true }, "", component(), "[]"},
		"a script":                 {func(s *modes.Settings) { s.Bind = nil }, "PORT=80", withScript(component(), "container-web.sh", webScript), "[]"},
		"a script with --bind":     {func(*modes.Settings) {}, "", withScript(component(), "container-web.sh", webScript), "[127.0.0.1:9000]"},
		"a command":                {func(s *modes.Settings) { s.Bind, s.Words = nil, []string{"server"} }, "PORT=80", component(), "[]"},
		"a command with --bind":    {func(s *modes.Settings) { s.Words = []string{"server"} }, "", component(), "[127.0.0.1:9000]"},
		"a worker":                 {func(s *modes.Settings) { s.Mode = modes.WORKER }, "", component(), "[]"},
		"a worker's script":        {func(s *modes.Settings) { s.Mode = modes.WORKER }, "", withScript(component(), "container-worker.sh", workerScript), "[]"},
		"beat":                     {func(s *modes.Settings) { s.Mode = modes.BEAT }, "", component(), "[]"},
		"a mode of the user's own": {func(s *modes.Settings) { s.Mode = "X" }, "", withScript(component(), "container-x.sh", webScript), "[127.0.0.1:9000]"},
		"native gunicorn of our own": {func(s *modes.Settings) {
			s.Bind, s.Strategy = nil, command.Native
			s.Origin["strategy"] = modes.FromFlag
		}, "", component(), "[0.0.0.0:8000]"},
		"a script, strategy copies":   {func(s *modes.Settings) { s.Bind = nil; s.Origin["strategy"] = modes.FromFlag }, "", withScript(component(), "container-web.sh", webScript), "[0.0.0.0:8000]"},
		"a script, copies, none":      {func(s *modes.Settings) { s.Bind, s.BindNone = nil, true; s.Origin["strategy"] = modes.FromFlag }, "", withScript(component(), "container-web.sh", webScript), "[]"},
		"a worker's script as copies": {func(s *modes.Settings) { s.Mode = modes.WORKER; s.Origin["strategy"] = modes.FromFlag }, "", withScript(component(), "container-worker.sh", workerScript), "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := byVariable(bound, "bind")
			c.change(&s)
			spec := only(t, s, environment(c.env), c.facts)
			if got := fmt.Sprint(spec.Bind); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if held := gets(spec, "LISTEN_FDS") != ""; held != (c.want != "[]") {
				t.Errorf("LISTEN_FDS=%s beside %s", gets(spec, "LISTEN_FDS"), c.want)
			}
			if len(spec.Bind) == 0 && spec.Ready.Check {
				t.Error("ready by an answer, and there is nobody to ask")
			}
		})
	}
}

func TestExecChangesNothing(t *testing.T) {
	words := []string{"sh", "-c", "exit 5"}
	spec := modes.Exec(byFlag(modes.Settings{Grace: time.Second}, "grace"), of("PATH=/bin", "ENTRYPOINT_GRACE=1s", "A=b"), words)
	if !cmp.Equal(spec.Argv, words) || !spec.Once || spec.Restart != command.Never || spec.Stop != nil || spec.Grace != time.Second || spec.Dir != "" {
		t.Errorf("%+v", spec)
	}
	if want := []string{"A=b", "PATH=/bin"}; !cmp.Equal(want, spec.Env.Block()) {
		t.Errorf("environment %q", spec.Env.Block())
	}
	if got := modes.Exec(byFlag(modes.Settings{Dir: "src"}, "dir"), of(), words); got.Dir != "src" || gets(got, "PATH") == "" || got.Grace != 8*time.Second {
		t.Errorf("%+v", got)
	}
}

func TestOursDoesNotReachTheApplication(t *testing.T) {
	spec := only(t, modes.Settings{}, environment("ENTRYPOINT_DECRYPT=auto", "KMS_PREFIX=x"), component())
	for _, name := range spec.Env.Names() {
		if strings.HasPrefix(name, "ENTRYPOINT_") {
			t.Error(name)
		}
	}
	if gets(spec, "KMS_PREFIX") != "x" || gets(spec, "APP_RUN_MODE") != "WEB" || gets(spec, "APP_PLATFORM") != "local" {
		t.Errorf("%q", spec.Env.Block())
	}
}
