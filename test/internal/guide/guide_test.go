package guide

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func page(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "'''", "```")), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBlocksKnowWhoRunsThem(t *testing.T) {
	path := page(t, `# Page
## One
<!-- run by: test/guides TestOne -->
'''sh
make run
# a comment, not a heading
'''

<!-- not run: needs an account -->

'''sh
aws login
'''

'''dockerfile
FROM scratch
'''
## Two
'''sh
nobody
'''
`)
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{
		{Page: path, Line: 5, Section: "One", Language: "sh", Text: "make run\n# a comment, not a heading\n", RunBy: "test/guides TestOne"},
		{Page: path, Line: 12, Section: "One", Language: "sh", Text: "aws login\n", RunBy: "test/guides TestOne", NotRun: "needs an account"},
		{Page: path, Line: 16, Section: "One", Language: "dockerfile", Text: "FROM scratch\n", RunBy: "test/guides TestOne"},
		{Page: path, Line: 20, Section: "Two", Language: "sh", Text: "nobody\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if blocks, err := Section(path, "One"); err != nil || len(blocks) != 1 || blocks[0].Text != want[0].Text {
		t.Errorf("%v, %v", blocks, err)
	}
	if _, err := Section(path, "Three"); err == nil {
		t.Error("a section that is not there has blocks")
	}
}

func TestPagesThatAreWrong(t *testing.T) {
	for name, text := range map[string]string{
		"a block without an end":     "'''sh\nmake\n",
		"a reason without its block": "<!-- not run: why -->\nsome text\n'''sh\nmake\n'''\n",
	} {
		if _, err := Read(page(t, text)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
