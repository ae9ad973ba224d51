package guides

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each link from one page to another leads to a file that is there, and to one of
// its headings.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(pages, root+"README.md", root+"CONTRIBUTING.md") {
		for _, target := range linksOf(t, page) {
			if strings.Contains(target, "://") {
				continue
			}
			links++
			if !leads(page, target) {
				t.Errorf("%s: the link %s leads nowhere", page, target)
			}
		}
	}
	if links < 20 {
		t.Errorf("%d links found", links)
	}
	for _, nowhere := range []string{"no-such.md", "settings.md#no-such-heading"} {
		if leads(root+"docs/settings.md", nowhere) {
			t.Errorf("%s leads somewhere", nowhere)
		}
	}
}

func linksOf(t *testing.T, page string) (targets []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllSubmatch(text, -1) {
		targets = append(targets, string(match[1]))
	}
	return targets
}

func leads(page, target string) bool {
	file, heading, named := strings.Cut(target, "#")
	path := page
	if file != "" {
		path = filepath.Join(filepath.Dir(page), file)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		info, err := os.Stat(path)
		return err == nil && info.IsDir() && !named
	}
	if !named {
		return true
	}
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") && anchor(title) == heading {
			return true
		}
	}
	return false
}

// anchor is the name that a heading has in a link.
func anchor(title string) string {
	title = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
	return strings.ReplaceAll(title, " ", "-")
}
