//go:build engine

package docker

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// project is one start of a compose file from a copy of the checkout.
type project struct {
	t    *testing.T
	dir  string // where docker-compose is called
	file []string
	env  []string
	port string
}

// projectPrefix begins the name of every project here: compose puts it on what
// it makes, and sweep finds it by that.
const projectPrefix = "entrypoint-test-"

// newProject prepares a start with the image under test, on a free port of its
// own. files are compose files relative to dir; none is docker-compose.yml.
func newProject(t *testing.T, name, dir string, files ...string) project {
	t.Helper()
	servers(t)
	p := project{t: t, dir: dir, port: freePort(t)}
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
	cmd := exec.Command("docker-compose", append(p.file, args...)...)
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

// From nothing to a page through nginx, and down again with nothing lost.
func TestProductionCompose(t *testing.T) {
	t.Parallel()
	const password = "correct horse $battery #staple"
	for _, name := range []string{"app", "database", "rabbitmq"} {
		copyFile(t, "devops/docker/"+name+".env.sample", "devops/docker/"+name+".env", "=change-me\n", "="+password+"\n")
	}
	p := newProject(t, "production", checkout, "devops/docker/docker-compose.yml")
	p.do("up", "--detach")

	// Nothing waits for nginx, the last one.
	waitPage(t, p.url("/"))
	status, body := get(t, p.url("/"))
	if status != http.StatusOK || !strings.Contains(body, "postgresql") {
		t.Errorf("the page: %d %s", status, body)
	}
	if status, body := get(t, p.url("/static/admin/css/base.css")); status != http.StatusOK || body == "" {
		t.Errorf("a static file: %d", status)
	}
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
	for _, task := range []string{"check", "migrate --check", "createsuperuser --noinput --username ada --email ada@example.org"} {
		p.do("exec", "-T", "-e", "DJANGO_SUPERUSER_PASSWORD="+password, "web", "bash", "-c", "./manage.py "+task)
	}
	inside := p
	inside.dir, inside.file = filepath.Join(checkout, "devops/docker"), nil
	if inside.do("ps", "--quiet", "web") != p.do("ps", "--quiet", "web") {
		t.Error("from its folder it is another project")
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
	p.do("start", "worker")
	p.do("start", "rabbitmq")
	p.waitSQL("select count(*) from app_dir_greeting where name like 'job _'", "3")

	// All stop by themselves, and what was stored is there afterwards.
	p.do("stop", "--timeout", "12")
	for _, service := range []string{"web", "worker", "beat", "task"} {
		if code := docker(t, "inspect", "--format", "{{.State.ExitCode}}", p.do("ps", "--all", "--quiet", service)); code != "0" {
			t.Errorf("%s ended with %s", service, code)
		}
	}
	p.do("down")
	p.do("up", "--detach")
	if got := p.sql("select count(*) from app_dir_greeting where name = 'Ada'"); got != "1" {
		t.Errorf("after down and up there are %s greetings of Ada", got)
	}
}

// The steps of the file's own comment.
func TestLocalCompose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// A checkout of its own: docker-compose.yml goes to its root.
	if o := command(t, "cp", "-r", "src", "devops", "Dockerfile", dir); o.code != 0 {
		t.Fatal(o)
	}
	for _, line := range []string{
		"cp devops/docker-local/docker-compose.yml devops/docker-local/*.sample .",
		"cp local-docker-compose.env.sample local-docker-compose.env",
		// What a checkout is where umask is 077: nobody in the container could
		// read it.
		"chmod -R a+rX .",
	} {
		if o := command(t, "sh", "-c", "cd "+dir+" && "+line); o.code != 0 {
			t.Fatalf("%s: %v", line, o)
		}
	}
	p := newProject(t, "local", dir)
	p.do("up", "--detach")
	waitPage(t, p.url("/"))
	status, body := get(t, p.url("/"))
	if status != http.StatusOK || !strings.Contains(body, "postgresql") {
		t.Errorf("the page: %d %s", status, body)
	}
	if code := p.greet("Grace", "worker"); code != http.StatusAccepted {
		t.Errorf("greeting by a worker: %d", code)
	}
	p.waitSQL("select count(*) from app_dir_greeting where name = 'Grace' and source = 'worker'", "1")

	// An edit, of a template and of the code, is served.
	for name, edit := range map[string][2]string{
		"src/app_dir/templates/page.html": {"</body>", "edited template</body>"},
		"src/app_dir/views.py":            {"'the broker cannot be reached'", "'edited code'"},
	} {
		file := filepath.Join(dir, name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), edit[0]) {
			t.Fatalf("%s has no %q", name, edit[0])
		}
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), edit[0], edit[1])), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(patience)
	for !strings.Contains(body, "edited template") || !strings.Contains(body, "edited code") {
		if time.Now().After(deadline) {
			t.Fatalf("the edits are not served: %s", body)
		}
		// While the server reloads it may refuse.
		if answer, err := http.Get(p.url("/?failed=broker")); err == nil {
			var text strings.Builder
			_ = answer.Write(&text)
			answer.Body.Close()
			body = text.String()
		}
	}
	for _, task := range []string{"check", "migrate --check", "makemigrations --check --dry-run"} {
		p.do("exec", "-T", "web", "bash", "-c", "./manage.py "+task)
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
	if o := p.try("config"); o.code == 0 || !strings.Contains(o.stderr, "app.env") {
		t.Errorf("without the env files: %v", o)
	}
	for _, name := range []string{"app", "database", "rabbitmq"} {
		if o := command(t, "cp", p.dir+"/"+name+".env.sample", p.dir+"/"+name+".env"); o.code != 0 {
			t.Fatal(o)
		}
	}
	p.do("config", "--quiet")

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
	}
}
