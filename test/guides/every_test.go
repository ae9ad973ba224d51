// Package guides runs the commands of README and docs as they stand there, on
// the machine itself; test/docker runs those that need an engine.
package guides

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/guide"
)

const root = "../../"

// Each command of the guides is run by the test that the page names, or the page
// says why not: a command that nothing runs is a promise that nobody keeps.
func TestDocumentationShowsNoCommandThatNothingRuns(t *testing.T) {
	pages, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, page := range append(pages, root+"README.md", root+"CONTRIBUTING.md") {
		blocks, err := guide.Read(page)
		if err != nil {
			t.Error(err)
		}
		for _, b := range blocks {
			if b.Language != "sh" {
				continue
			}
			commands++
			if b.NotRun == "" {
				isRun(t, b)
			}
		}
	}
	if commands < 4 {
		t.Errorf("%d blocks found", commands)
	}
}

// isRun looks for the test that a block names: it has to be there, and to read
// the page.
func isRun(t *testing.T, b guide.Block) {
	t.Helper()
	folder, test, ok := strings.Cut(b.RunBy, " ")
	if !ok {
		t.Errorf("%s: no test runs this; name it (<!-- run by: FOLDER TEST -->) or say why not (<!-- not run: WHY -->)", b)
		return
	}
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var there, reads bool
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		there = there || strings.Contains(string(content), "\nfunc "+test+"(t *testing.T)")
		reads = reads || strings.Contains(string(content), `"`+strings.TrimPrefix(b.Page, root)+`"`)
	}
	if !there || !reads {
		t.Errorf("%s: %s has no test %s that reads the page", b, folder, test)
	}
}
