package guides

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/guide"
)

const local = "docs/local-development.md"

// The classic way from its beginning to its end: a virtual environment, the
// site, a worker and a beat, first without and then with a RabbitMQ.
func TestTheClassicWay(t *testing.T) {
	t.Parallel()
	network := guide.NewNetwork(t)
	dir := guide.Checkout(t, root)
	site := guide.Open(t, dir, network)

	classic := blocks(t, local, "Without containers", 3)
	wants(t, site.Run(classic[0]), "Requirement already satisfied: Django")
	site.Begin(classic[1]) // it ends with questions
	for _, dialog := range [][2]string{
		{"Username", "ada"}, {"Email address:", "ada@example.org"},
		{"Password:", "correct horse"}, {"Password (again):", "correct horse"},
	} {
		wants(t, site.Says(dialog[0]), dialog[0])
		site.Type(dialog[1])
	}
	site.Says("Superuser created successfully.")
	site.Begin(classic[2])
	site.Page("http://127.0.0.1:8000/", "It works.")
	site.Page("http://127.0.0.1:8000/admin/login/", "password")
	template := filepath.Join(dir, "src/app_dir/templates/page.html")
	guide.Edit(t, template, "It works.", "It reloads.")
	site.Reloaded("http://127.0.0.1:8000/", "It reloads.", template)

	celery := blocks(t, local, "Celery", 3)
	worker, beat := inSource(t, dir, network), inSource(t, dir, network)
	worker.Begin(celery[0])
	worker.Says(" ready.")
	beat.Begin(celery[1])
	beat.Says("beat: Starting")
	site.Page("http://127.0.0.1:8000/", "<small>beat, ")
	for name, m := range map[string]*guide.Terminal{"worker": worker, "beat": beat, "site": site} {
		if said, code := m.CtrlC(); code != 0 {
			t.Errorf("%s: code %d after Ctrl-C\n%s", name, code, said)
		}
	}

	rabbitMQ(t, network)
	site.Run(celery[2])
	worker.Begin(celery[0])
	wants(t, worker.Says(" ready."), "amqp://guest:**@127.0.0.1:5672//")
	site.Run(guide.Block{Page: "a task", Text: "./manage.py shell -c \"from app_dir.tasks import greet; greet.delay('Grace')\"\n"})
	wants(t, worker.Says("succeeded"), "app_dir.tasks.greet")
	site.Begin(classic[2])
	site.Page("http://127.0.0.1:8000/status", `"rabbitmq": {"in_use": true, "reachable": true`)
	site.Page("http://127.0.0.1:8000/", "Grace")
	site.CtrlC()

	wants(t, site.Run(blocks(t, local, "Debugging", 1)[0]), "'broker': 'rabbitmq'")
	wants(t, site.Run(blocks(t, local, "Tests", 1)[0]), "OK")
}

// inSource is one more terminal, in src and with the environment active.
func inSource(t *testing.T, dir string, network *guide.Network) *guide.Terminal {
	t.Helper()
	m := guide.Open(t, dir, network)
	m.Run(guide.Block{Page: "another terminal", Text: ". .venv/bin/activate\ncd src\n"})
	return m
}

// rabbitMQ is Debian's, at its usual port of the network, with its usual user.
func rabbitMQ(t *testing.T, network *guide.Network) {
	t.Helper()
	// The one on PATH wants to be root and becomes the package's user, whose files
	// are the machine's own node's.
	const program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("rabbitmq-server is missing: apt-get install rabbitmq-server")
	}
	folder := guide.Folder(t)
	config := "listeners.tcp.default = 127.0.0.1:5672\ndisk_free_limit.absolute = 1MB\nlog.console = true\n"
	if err := os.WriteFile(filepath.Join(folder, "rabbitmq.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	var env []string
	for name, value := range map[string]string{
		"CONFIG_FILE": "rabbitmq.conf", "CONF_ENV_FILE": "none", "MNESIA_BASE": "mnesia", "LOG_BASE": "log", "PID_FILE": "pid", "ENABLED_PLUGINS_FILE": "plugins",
	} {
		env = append(env, fmt.Sprintf("RABBITMQ_%s=%s/%s", name, folder, value))
	}
	m := guide.Open(t, folder, network, append(env, "RABBITMQ_NODENAME=guide@localhost")...)
	// Its port mapper leaves the session: a namespace of processes ends it, too.
	m.Begin(guide.Block{Text: strings.Join([]string{"unshare --pid --fork --mount-proc --kill-child", program}, " ") + "\n"})
	m.Says("Server startup complete")
}
