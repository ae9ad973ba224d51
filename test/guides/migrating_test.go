package guides

import (
	"testing"

	"github.com/codeontap/entrypoint/test/internal/guide"
)

const migrating = "docs/migrating.md"

// What the page claims of entrypoint beside the other tools is so.
func TestMigrating(t *testing.T) {
	t.Parallel()
	m := guide.Open(t, guide.Checkout(t, root), guide.NewNetwork(t), "DJANGO_DEBUG=True")
	m.Run(guide.Block{Page: "what the page takes for granted", Text: "make build\n"})
	said := func(section string) string { return m.Run(blocks(t, migrating, section, 1)[0]) }

	wants(t, said("tini, and docker's --init"), "exit code 5")
	wants(t, said("dumb-init"), "got INT")
	wants(t, said("supervisord"), "command.0 is given up", "exit code 3\n")
	wants(t, said("A shell entrypoint"), "WEB on local, in src", "wait for  database", "migrate --noinput", "native: started once and told to run 3")
	wants(t, said("honcho and foreman"), "copy 0 of 2", "copy 1 of 2", "ended: finished")
}
