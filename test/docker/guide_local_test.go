//go:build engine

package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/guide"
)

const (
	startedPage = "docs/getting-started.md"
	localPage   = "docs/local-development.md"
)

// blocks are those of a section, as many as the test knows what to do with.
func blocks(t *testing.T, page, section string, number int) []guide.Block {
	t.Helper()
	found, err := guide.Section("../../"+page, section)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != number {
		t.Fatalf("%s: section %q has %d blocks to run, the test knows %d", page, section, len(found), number)
	}
	return found
}

// reader is the terminal of a page's reader, in a checkout.
func reader(t *testing.T, dir string, env ...string) *guide.Terminal {
	t.Helper()
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		env = append(env, "DOCKER_HOST="+host)
	}
	return guide.Open(t, dir, nil, env...)
}

// compile fills the builder's cache once: several guides build the same image. It
// takes the time that it takes, like the build of the image under test.
func compile(t *testing.T) {
	t.Helper()
	compiled.Do(func() {
		cmd := exec.Command("docker", "build", "--quiet", "--label", label+"=1", "--tag", "entrypoint-test:guide", ".")
		cmd.Dir = checkout
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("cannot build: %v\n%s", err, out)
		}
	})
}

var compiled sync.Once

// named is the image called component in the hands of one test, as the guides
// call it. What had the name before gets it back, and containers that are left
// are removed.
var named sync.Mutex

func component(t *testing.T) {
	t.Helper()
	compile(t)
	named.Lock()
	said := func(args ...string) string { // the test's own context is over at its cleanup
		out, _ := exec.Command("docker", args...).Output()
		return strings.TrimSpace(string(out))
	}
	images := func() string { return said("images", "--quiet", "--no-trunc", "component:latest") }
	containers := func() []string {
		return strings.Fields(said("ps", "--all", "--quiet", "--filter", "ancestor=component:latest"))
	}
	before := images()
	var running []string
	if before != "" {
		running = containers()
	}
	t.Cleanup(func() {
		defer named.Unlock()
		made := images()
		if made == "" {
			return
		}
		for _, id := range containers() {
			if !slices.Contains(running, id) {
				_ = exec.Command("docker", "rm", "--force", "--volumes", id).Run()
			}
		}
		switch before {
		case made:
		case "":
			_ = exec.Command("docker", "rmi", "component:latest").Run()
		default:
			_ = exec.Command("docker", "tag", before, "component:latest").Run()
			_ = exec.Command("docker", "rmi", made).Run()
		}
	})
}

// endsAsAsked types Ctrl-C, after which the container has stopped as asked.
func endsAsAsked(t *testing.T, m *guide.Terminal) {
	t.Helper()
	if said, code := m.CtrlC(); code != 0 || !strings.Contains(said, "ended: stopped as asked") {
		t.Errorf("Ctrl-C: code %d\n%s", code, said)
	}
}

func TestTheImageOfTheGuide(t *testing.T) {
	t.Parallel()
	component(t)
	port := freePort(t)
	m := reader(t, guide.Checkout(t, "../.."), "PORT="+port)
	build := blocks(t, startedPage, "Build the image", 2)
	m.Run(build[0])
	m.Begin(build[1])
	m.Page("http://127.0.0.1:"+port+"/", "It works.")
	endsAsAsked(t, m)
}

func TestTheGuideToOneContainer(t *testing.T) {
	t.Parallel()
	component(t)
	port, dir := freePort(t), guide.Checkout(t, "../..")
	m := reader(t, dir, "PORT="+port)
	m.Begin(blocks(t, localPage, "One container alone", 1)[0])
	m.Page("http://127.0.0.1:"+port+"/", "It works.")
	file := filepath.Join(dir, "src/app_dir/templates/page.html")
	guide.Edit(t, file, "It works.", "It reloads.")
	m.Reloaded("http://127.0.0.1:"+port+"/", "It reloads.", file)
	endsAsAsked(t, m)
}

func TestTheGuideToDockerCompose(t *testing.T) {
	t.Parallel()
	compile(t)
	dir := guide.Checkout(t, "../..")
	p := newProject(t, "local", dir)
	const built = "entrypoint-test:local"
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", built).Run() })
	env := []string{"COMPOSE_PROJECT_NAME=" + projectPrefix + "local", "COMPONENT_IMAGE=" + built, "PORT=" + p.port}
	one, two := reader(t, dir, env...), reader(t, dir, env...)
	steps := blocks(t, localPage, "With docker-compose", 6)

	one.Begin(steps[0])
	if page := one.Page(p.url("/"), "It works."); !strings.Contains(page, "postgresql") || !strings.Contains(page, "rabbitmq") {
		t.Errorf("the page: %s", page)
	}
	two.Begin(steps[1]) // it ends with questions
	two.Says("no issues")
	for _, dialog := range [][2]string{
		{"Username", "ada"}, {"Email address:", "ada@example.org"},
		{"Password:", "correct horse"}, {"Password (again):", "correct horse"},
	} {
		two.Says(dialog[0])
		two.Type(dialog[1])
	}
	two.Says("Superuser created successfully.")
	p.waitSQL("select count(*) from auth_user where is_superuser", "1")

	// An edit of a template and of the code is served; a worker takes it when it is
	// started again.
	template, code := filepath.Join(dir, "src/app_dir/templates/page.html"), filepath.Join(dir, "src/app_dir/views.py")
	guide.Edit(t, template, "It works.", "It reloads.")
	one.Reloaded(p.url("/"), "It reloads.", template)
	guide.Edit(t, code, "'the broker cannot be reached'", "'edited code'")
	one.Reloaded(p.url("/?failed=broker"), "edited code", code)
	p.waitRunning("worker", "beat") // they wait until web is healthy, which is a look later than the page
	guide.Edit(t, filepath.Join(dir, "src/app_dir/tasks.py"), "greet(name, Greeting.Source.WORKER)", "greet('edited ' + name, Greeting.Source.WORKER)")
	if said := two.Run(steps[2]); !strings.Contains(said, "worker") {
		t.Errorf("the worker's log: %s", said)
	}
	p.greet("Grace", "worker")
	p.waitSQL("select count(*) from app_dir_greeting where name = 'edited Grace' and source = 'worker'", "1")

	// A change of a model, as the user of the machine.
	guide.Edit(t, filepath.Join(dir, "src/app_dir/models.py"), "max_length=100", "max_length=120")
	two.Run(steps[3])
	if found, _ := filepath.Glob(filepath.Join(dir, "src/app_dir/migrations/0002_*.py")); len(found) != 1 {
		t.Errorf("the migrations that were made: %v", found)
	}

	two.Run(steps[4])
	if said, code := one.CtrlC(); code != 0 && (composeIs1(t) || code != 130) {
		t.Errorf("Ctrl-C: code %d\n%s", code, said)
	}
	two.Run(steps[5])
	if left := docker(t, "volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+projectPrefix+"local"); left != "" {
		t.Errorf("volumes are left: %s", left)
	}
}
