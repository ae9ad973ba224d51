package guides

import (
	"testing"

	"github.com/codeontap/entrypoint/test/internal/guide"
)

const modesPage = "docs/run-modes.md"

// Each mode runs as the page says, one after the other in one terminal.
func TestRunModes(t *testing.T) {
	t.Parallel()
	m := guide.Open(t, guide.Checkout(t, root), guide.NewNetwork(t))
	section := func(name string, number int) []guide.Block { return blocks(t, modesPage, name, number) }

	try := section("Try it", 2)
	m.Run(try[0])
	wants(t, m.Run(try[1]), "WEB on local, in src", "./container-web.sh", "WORKER on local, in src", "native: started once and told to run 2")

	site := "http://127.0.0.1:8000/"
	m.Begin(section("WEB", 1)[0])
	wants(t, m.Page(site, "It works."), "of 2")
	ends(t, m)

	tasks := section("TASK", 2)
	wants(t, m.Run(tasks[0]), "no issues", "Hello, Ada", "Hello, two words; one name")
	if said := m.Run(tasks[1]); !contains(said, "no_such_command", "exit code 1") || contains(said, "Hello, nobody") {
		t.Errorf("a task that fails: %s", said)
	}

	celery := section("WORKER and BEAT", 3)
	m.Begin(celery[0])
	m.Says("worker is ready")
	ends(t, m)
	m.Begin(celery[1])
	m.Says("beat: Starting")
	m.Says("beat is ready") // in the midst of its imports celery cannot be stopped cleanly
	ends(t, m)
	wants(t, m.Run(celery[2]), "BEAT is exactly one", "exit code 64")

	wants(t, m.Run(section("A mode of your own", 1)[0]), "2 greetings", "exit code 0")
	wants(t, m.Run(section("Who makes the copies, and who binds", 1)[0]), "native: started once and told to run 3", "copies: we start each", "we hold 0.0.0.0:8000")
	wants(t, m.Run(section("Before the first copy", 1)[0]), "database, rabbitmq, cache.example.org:6379", "migrate --noinput")

	m.Begin(section("Servers other than gunicorn", 1)[0])
	m.Page(site, "It works.")
	ends(t, m)

	m.Begin(section("Scripts of the ancestor", 1)[0])
	m.Says("in the background")
	m.Page(site, "It works.")
	ends(t, m)
}
