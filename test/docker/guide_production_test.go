//go:build engine

package docker

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/guide"
)

// The pages whose commands are run here, and whose messages are compared.
const (
	production      = "docs/production.md"
	secretsPage     = "docs/secrets.md"
	troubleshooting = "docs/troubleshooting.md"
)

// ofGuide are a section's blocks as they stand, as many as the test knows what to
// do with.
func ofGuide(t *testing.T, page, section string, number int) []guide.Block {
	t.Helper()
	blocks, err := guide.Section(filepath.Join("../..", page), section)
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) != number {
		t.Fatalf("%s: section %q has %d blocks to run, the test knows %d", page, section, len(blocks), number)
	}
	return blocks
}

// called is a block with names that are the reader's own to choose in place of
// the page's: an image, a stack. Each has to stand in it.
func called(t *testing.T, b guide.Block, names ...string) guide.Block {
	t.Helper()
	for i := 0; i < len(names); i += 2 {
		if !strings.Contains(b.Text, names[i]) {
			t.Fatalf("%s: it has no %q", b, names[i])
		}
		b.Text = strings.ReplaceAll(b.Text, names[i], names[i+1])
	}
	return b
}

// runBlock runs a block in the copy of the checkout; the first command that fails
// ends it.
func runBlock(t *testing.T, b guide.Block, env ...string) outcome {
	t.Helper()
	return command(t, "env", append(env, "sh", "-e", "-c", b.Text)...)
}

// succeed is runBlock that has to.
func succeed(t *testing.T, b guide.Block, env ...string) string {
	t.Helper()
	o := runBlock(t, b, env...)
	if o.code != 0 {
		t.Fatalf("%s: %v", b, o)
	}
	return o.stdout
}

// wantQuote compares what a page quotes with what was said.
func wantQuote(t *testing.T, page, name, said string) {
	t.Helper()
	quotes, err := guide.Quotes(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	quote, ok := quotes[name]
	if !ok {
		t.Fatalf("%s has no quote %s", page, name)
	}
	if line := quote.Unsaid(said); line != "" {
		t.Errorf("%s: nobody says\n%s\nwhat is said:\n%s", quote, line, said)
	}
}

// names are the variables that make a start of compose this test's own.
func (p project) names() (env []string) {
	for _, variable := range p.env {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "COMPO") || strings.HasPrefix(name, "DOCKER_") || name == "PORT" {
			env = append(env, variable)
		}
	}
	return env
}

// operator is a terminal of one who follows the page with compose.
func (p project) operator() *guide.Terminal {
	p.t.Helper()
	return guide.Open(p.t, p.dir, nil, p.names()...)
}

// composeIs1 reports whether it is the compose whose words the page quotes.
func composeIs1(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command("docker-compose", "version", "--short").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(strings.TrimPrefix(string(out), "v"), "1.")
}
