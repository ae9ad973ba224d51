package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/contract"
	"github.com/codeontap/entrypoint/internal/env"
)

// repository is a folder with the files in which tables go.
func repository(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	put(t, root, "README.md", "# Title\n\n<!-- contract sets -->\nstale text\n<!-- end of contract sets -->\n\nafter\n")
	put(t, root, "docs/environment.md", "before\n<!-- contract variables -->\n<!-- end of contract variables -->")
	return root
}

func put(t *testing.T, root, path, content string) {
	t.Helper()
	path = filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, root, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestCheckFindsWhatGenerateMends(t *testing.T) {
	t.Parallel()
	root := repository(t)
	all := []string{"README.md", "docs/environment.md", "devops/docker/app.env.sample", "devops/docker-local/local-classic.env.example"}
	step := func(what string, write bool, want ...string) {
		t.Helper()
		changed, err := generate(root, write)
		if err != nil || !slices.Equal(changed, want) {
			t.Errorf("%s: %q, %v, want %q", what, changed, err, want)
		}
	}
	step("check at first", false, all...)
	step("check again: it has written nothing", false, all...)
	step("generate", true, all...)
	step("check what was generated", false)
	put(t, root, all[2], get(t, root, all[2])+"MORE=1\n")
	put(t, root, all[0], strings.Replace(get(t, root, all[0]), "SENTRY_DSN", "SENTRY_DNS", 1))
	step("check after an edit by hand", false, all[0], all[2])
	step("generate", true, all[0], all[2])
	step("check", false)
	if readme := get(t, root, "README.md"); !strings.HasPrefix(readme, "# Title\n\n<!--") || !strings.HasSuffix(readme, "-->\n\nafter\n") || strings.Contains(readme, "stale text") {
		t.Errorf("what stands around the table has changed, or the old one stayed:\n%s", readme)
	}
}

func TestAFileWithoutItsMarkersIsAnError(t *testing.T) {
	t.Parallel()
	root := repository(t)
	put(t, root, "README.md", "<!-- end of contract sets -->\n<!-- contract sets -->\n")
	if err := os.Remove(filepath.Join(root, "docs/environment.md")); err != nil {
		t.Fatal(err)
	}
	changed, err := generate(root, true)
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 || !strings.Contains(err.Error(), "cannot generate README.md") || !strings.Contains(err.Error(), "cannot generate docs/environment.md") {
		t.Errorf("want an error for each of the two, got %v", err)
	}
	if len(changed) != 2 {
		t.Errorf("the samples are written all the same, got %q", changed)
	}
}

func TestEveryVariableIsInEveryFile(t *testing.T) {
	t.Parallel()
	texts := map[string]string{"sets": setsTable(), "variables": variableTables()}
	for _, s := range samples() {
		texts[s.path] = s.text()
	}
	for _, s := range contract.Sets() {
		for _, v := range s.Variables {
			for name, text := range texts {
				if strings.Count(text, v.Name) == 0 {
					t.Errorf("%s: no %s", name, v.Name)
				}
			}
		}
	}
}

// A sample is copied and used: it has to keep the contract, and to mean the
// same to all that read such files.
func TestASampleIsUsableAsItStands(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		path := filepath.Join(t.TempDir(), "env")
		if err := os.WriteFile(path, []byte(s.text()), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := env.ReadDotenv(path, env.Environment{})
		if err != nil || len(d.Warnings) > 0 {
			t.Errorf("%s: %q, %v", s.path, d.Warnings, err)
		}
		got := map[string]string{}
		for _, v := range d.Variables {
			got[v.Name] = v.Value.Reveal()
		}
		// docker run --env-file: every line that is no comment, as it stands.
		docker := map[string]string{}
		for line := range strings.Lines(s.text()) {
			line = strings.TrimSuffix(line, "\n")
			if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				docker[name] = value
			}
		}
		if diff := cmp.Diff(docker, got); diff != "" {
			t.Errorf("%s means one thing to docker and another to python-dotenv:\n%s", s.path, diff)
		}
		if len(got) != len(s.set) {
			t.Errorf("%s sets %d variables, want %d", s.path, len(got), len(s.set))
		}
		for _, p := range contract.Check(env.Environment{}.With(d.Variables...), contract.Facts{Django: true}) {
			t.Errorf("%s: %s", s.path, p)
		}
	}
}
