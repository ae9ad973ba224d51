//go:build engine

package docker

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// project is one start of a compose file from a copy of the checkout.
type project struct {
	t       *testing.T
	program string
	dir     string // where docker-compose is called
	file    []string
	env     []string
	port    string
}

// projectPrefix begins the name of every project here: compose puts it on what
// it makes, and sweep finds it by that.
const projectPrefix = "entrypoint-test-"

// newProject prepares a start with the image under test, on a free port of its
// own. files are compose files relative to dir; none is docker-compose.yml.
func newProject(t *testing.T, name, dir string, files ...string) project {
	t.Helper()
	return newProjectOf(t, "docker-compose", name, dir, files...)
}

// newProjectOf is one of that compose.
func newProjectOf(t *testing.T, program, name, dir string, files ...string) project {
	t.Helper()
	servers(t)
	p := project{t: t, program: program, dir: dir, port: freePort(t)}
	for _, f := range files {
		p.file = append(p.file, "-f", f)
	}
	p.env = append(os.Environ(), "COMPOSE_PROJECT_NAME="+projectPrefix+name, "COMPONENT_IMAGE="+image, "PORT="+p.port)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := p.command("logs", "--no-color", "--tail", "30").CombinedOutput()
			t.Logf("%s", out)
		}
		out, err := p.command("down", "--volumes", "--remove-orphans", "--timeout", "15").CombinedOutput()
		if err != nil {
			t.Errorf("docker-compose down: %v\n%s", err, out)
		}
	})
	return p
}

func (p project) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.program, append(p.file, args...)...)
	cmd.Dir, cmd.Env = p.dir, p.env
	return cmd
}

// try is docker-compose with its code.
func (p project) try(args ...string) outcome {
	p.t.Helper()
	cmd := p.command(args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// do is docker-compose that has to succeed.
func (p project) do(args ...string) string {
	p.t.Helper()
	o := p.try(args...)
	if o.code != 0 {
		p.t.Fatalf("docker-compose %s: %v", strings.Join(args, " "), o)
	}
	return strings.TrimSpace(o.stdout)
}

func (p project) url(path string) string { return "http://127.0.0.1:" + p.port + path }

// greet posts a greeting, by "web" itself or by a "worker".
func (p project) greet(name, by string) int {
	p.t.Helper()
	answer, err := http.PostForm(p.url("/api/greetings"), url.Values{"name": {name}, "by": {by}})
	if err != nil {
		p.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// sql asks the database itself.
func (p project) sql(query string) string {
	p.t.Helper()
	return p.do("exec", "-T", "database", "psql", "--username", "app", "--tuples-only", "--no-align", "--command", query, "app")
}

// waitSQL asks until the answer is as wanted.
func (p project) waitSQL(query, want string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for got := p.sql(query); got != want; got = p.sql(query) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: %s, wanted %s", query, got, want)
		}
	}
}

// waitRunning waits until compose has started the services.
func (p project) waitRunning(services ...string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for _, service := range services {
		for p.do("ps", "--quiet", service) == "" {
			if time.Now().After(deadline) {
				p.t.Fatalf("%s is not started", service)
			}
		}
	}
}

// servers has the images that the compose files name.
func servers(t *testing.T) {
	t.Helper()
	if o := command(t, "test/images/make"); o.code != 0 {
		t.Fatal(o)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}

// copyFile copies within the checkout's copy, as a user does with cp, and
// replaces.
func copyFile(t *testing.T, from, to string, replace ...string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(checkout, from))
	if err == nil {
		text := strings.NewReplacer(replace...).Replace(string(content))
		err = os.WriteFile(filepath.Join(checkout, to), []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// From nothing to a page through nginx, and down again with nothing lost, by the
// commands of the page.
func TestProductionCompose(t *testing.T) {
	t.Parallel()
	const password = "correct-horse/%@:battery" // nothing that a version of compose reads as more than a letter
	blocks := ofGuide(t, production, "Compose", 6)
	p := newProject(t, "production", checkout, "devops/docker/docker-compose.yml")
	one := p.operator()
	one.Run(blocks[0])
	for _, name := range []string{"app", "database", "rabbitmq"} { // the reader's editor
		file := "devops/docker/" + name + ".env"
		copyFile(t, file, file, "=change-me\n", "="+password+"\n")
	}
	one.Begin(blocks[1])

	// Nothing waits for nginx, the last one.
	waitPage(t, p.url("/"))
	status, body := get(t, p.url("/"))
	if status != http.StatusOK || !strings.Contains(body, "postgresql") {
		t.Errorf("the page: %d %s", status, body)
	}
	if status, body := get(t, p.url("/static/admin/css/base.css")); status != http.StatusOK || body == "" {
		t.Errorf("a static file: %d", status)
	}
	if log := p.do("logs", "--no-color", "nginx"); !strings.Contains(log, "GET / HTTP/1.") {
		t.Errorf("nginx does not log to its stdout: %s", log)
	}
	p.allReachable()
	p.inOrder()
	if strings.Contains(p.do("exec", "-T", "web", "sh", "-c", "echo $DJANGO_DEBUG"), "True") {
		t.Error("debugging is on")
	}

	// Three copies of web, two of worker, and one beat.
	for service, copies := range map[string]int{"web": 3, "worker": 2, "beat": 1} {
		c := container{t: t, id: p.do("ps", "--quiet", service)}
		if s := c.status(); len(s.Copies) != copies || s.State != "ready" {
			t.Errorf("%s: %+v", service, s)
		}
	}

	// What is written stands in PostgreSQL; what a worker does came to it by
	// RabbitMQ; beat's job is among it.
	if code := p.greet("Ada", "web"); code != http.StatusCreated {
		t.Errorf("greeting: %d", code)
	}
	if code := p.greet("Grace", "worker"); code != http.StatusAccepted {
		t.Errorf("greeting by a worker: %d", code)
	}
	p.waitSQL("select count(*) from app_dir_greeting where name = 'Ada' and source = 'web'", "1")
	p.waitSQL("select count(*) from app_dir_greeting where name = 'Grace' and source = 'worker'", "1")
	p.waitSQL("select count(*) > 0 from app_dir_greeting where source = 'beat'", "t")

	// The work of an operator, from this folder and from the other.
	two := p.operator()
	two.Begin(blocks[2])
	lines := strings.Split(strings.TrimSpace(blocks[3].Text), "\n")
	if len(lines) != 3 {
		t.Fatalf("%s: %d lines, the test knows three", blocks[3], len(lines))
	}
	two.Type(lines[0])
	two.Says("System check identified no issues")
	two.Type(lines[1])
	two.Says("No migrations to apply.")
	two.Type(lines[2])
	for _, answer := range [][2]string{{"Username", "ada"}, {"Email address: ", "ada@example.org"}, {"Password: ", password}, {"Password (again): ", password}} {
		two.Says(answer[0])
		two.Type(answer[1])
	}
	two.Says("Superuser created successfully.")
	two.Type("exit")
	inside := p
	inside.dir, inside.file = filepath.Join(checkout, "devops/docker"), nil
	if inside.do("ps", "--quiet", "web") != p.do("ps", "--quiet", "web") {
		t.Error("from its folder it is another project")
	}

	// The copies of web are replaced, and nobody is refused.
	load := startLoad(p.url("/"))
	said := succeed(t, blocks[4], p.names()...) // with nobody at its stdin, which exec would read
	load.stop()
	for _, wanted := range []string{"WEB on local: ready", "restarting 3 copies of web"} {
		if !strings.Contains(said, wanted) {
			t.Errorf("it does not say %q:\n%s", wanted, said)
		}
	}
	if failed := load.failures(); len(failed) > 0 || load.sent.Load() < 10 {
		t.Errorf("%d of %d requests failed during the restart: %q", len(failed), load.sent.Load(), failed)
	}

	// RabbitMQ goes away with jobs in it, and comes back: none is lost.
	p.do("stop", "worker")
	for i := range 3 {
		if code := p.greet(fmt.Sprint("job ", i), "worker"); code != http.StatusAccepted {
			t.Errorf("job %d: %d", i, code)
		}
	}
	p.do("stop", "rabbitmq")
	if code := p.greet("nobody", "worker"); code != http.StatusServiceUnavailable {
		t.Errorf("a job without a broker: %d", code)
	}
	if status, _ := get(t, p.url("/")); status != http.StatusOK {
		t.Errorf("without a broker the page is %d", status)
	}
	worker := container{t: t, id: p.do("ps", "--all", "--quiet", "worker")}
	docker(t, "start", worker.id) // compose 2 would start the broker, too
	worker.waitLog("Trying again in")
	wantQuote(t, troubleshooting, "broker-away", worker.log())
	p.do("start", "rabbitmq")
	p.waitSQL("select count(*) from app_dir_greeting where name like 'job _'", "3")

	// Ctrl-C: all stop by themselves, and what was stored is there afterwards.
	if said, _ := one.CtrlC(); !strings.Contains(said, "top") {
		t.Errorf("at Ctrl-C it says:\n%s", said)
	}
	for _, service := range []string{"web", "worker", "beat", "task"} {
		if code := docker(t, "inspect", "--format", "{{.State.ExitCode}}", p.do("ps", "--all", "--quiet", service)); code != "0" {
			t.Errorf("%s ended with %s", service, code)
		}
	}
	one.Run(blocks[5])
	p.do("up", "--detach")
	if got := p.sql("select count(*) from app_dir_greeting where name = 'Ada'"); got != "1" {
		t.Errorf("after down and up there are %s greetings of Ada", got)
	}
}

// allReachable asks the component about every server that it uses here.
func (p project) allReachable() {
	p.t.Helper()
	_, body := get(p.t, p.url("/status"))
	var all map[string]struct {
		InUse     bool `json:"in_use"`
		Reachable bool
	}
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		p.t.Fatalf("%v: %s", err, body)
	}
	for _, set := range []string{"database", "rabbitmq", "session", "cache"} {
		if one := all[set]; !one.InUse || !one.Reachable {
			p.t.Errorf("%s is not in use or not reachable: %s", set, body)
		}
	}
}

// inOrder compares who waited for whom: the migration was over before the
// application began, and web was there before nginx.
func (p project) inOrder() {
	p.t.Helper()
	when := func(service, field string) time.Time {
		text := docker(p.t, "inspect", "--format", "{{.State."+field+"}}", p.do("ps", "--all", "--quiet", service))
		moment, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			p.t.Fatal(err)
		}
		return moment
	}
	migrated := when("task", "FinishedAt")
	for _, service := range []string{"web", "worker", "beat"} {
		if !when(service, "StartedAt").After(migrated) {
			p.t.Errorf("%s was started before the migration was over", service)
		}
	}
	if !when("nginx", "StartedAt").After(when("web", "StartedAt")) || !when("task", "StartedAt").After(when("database", "StartedAt")) {
		p.t.Error("nginx did not wait for web, or task not for the database")
	}
}

// What a user sees who forgot a step or mistyped.
func TestComposeBadInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if o := command(t, "cp", "-r", "devops", dir); o.code != 0 {
		t.Fatal(o)
	}
	if o := command(t, "sh", "-c", "rm -f "+dir+"/devops/docker/*.env"); o.code != 0 {
		t.Fatal(o)
	}
	p := newProject(t, "bad", filepath.Join(dir, "devops/docker"))
	if o := p.try("config"); o.code == 0 || !strings.Contains(o.stderr, ".env") {
		t.Errorf("without the env files: %v", o)
	} else if composeIs1(t) {
		wantQuote(t, troubleshooting, "compose-env", o.stderr)
	} else {
		t.Log("NOT TESTED: the page's words for a missing env file: they are docker-compose 1's")
	}
	for _, name := range []string{"app", "database", "rabbitmq"} {
		if o := command(t, "cp", p.dir+"/"+name+".env.sample", p.dir+"/"+name+".env"); o.code != 0 {
			t.Fatal(o)
		}
	}

	// As it comes: on this machine alone. Quotes and Windows line ends are taken
	// off, as the page says.
	asItComes := p
	asItComes.env = slices.DeleteFunc(slices.Clone(p.env), func(v string) bool { return strings.HasPrefix(v, "PORT=") })
	if o := command(t, "sh", "-c", `printf 'QUOTED="two words"\r\nPLAIN=word\r\n' >>`+p.dir+`/app.env`); o.code != 0 {
		t.Fatal(o)
	}
	config := asItComes.do("config")
	published := `published: "%s"`
	if composeIs1(t) {
		published = "127.0.0.1:%s:80/tcp"
	}
	if config := p.do("config"); !strings.Contains(config, fmt.Sprintf(published, p.port)) {
		t.Errorf("PORT is not taken: %s", config)
	}
	for _, wanted := range []string{fmt.Sprintf(published, "8888"), "QUOTED: two words\n", "PLAIN: word\n"} {
		if !strings.Contains(config, wanted) {
			t.Errorf("the file as it comes has no %q: %s", wanted, config)
		}
	}

	// The database's own password is another one.
	const wrong = "wr0ng-passw0rd"
	if o := command(t, "sed", "-i", "s/^DATABASE_PASSWORD=.*/DATABASE_PASSWORD="+wrong+"/", p.dir+"/app.env"); o.code != 0 {
		t.Fatal(o)
	}
	if o := p.try("up", "--detach", "task"); o.code != 0 {
		t.Fatal(o)
	}
	c := container{t: t, id: p.do("ps", "--all", "--quiet", "task")}
	if code := c.wait(); code == 0 {
		t.Error("with a wrong password the migration succeeds")
	}
	if log := c.log(); !strings.Contains(log, "DATABASE_PASSWORD") || strings.Contains(log, wrong) || strings.Contains(log, "Traceback") {
		t.Errorf("with a wrong password: %s", log)
	} else {
		wantQuote(t, troubleshooting, "wrong-password", log)
	}
}
