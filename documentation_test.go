package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated parts of the documentation")

const (
	begin = "<!-- generated: settings, by make generate -->\n"
	end   = "<!-- end of generated -->\n"
)

// settingsTable is the table that code knows.
func settingsTable() string {
	var b strings.Builder
	b.WriteString("| flag | variable | default | meaning |\n|---|---|---|---|\n")
	for _, s := range settings() {
		flag := "`--" + s.flag + "`"
		if s.short != "" {
			flag += ", `-" + s.short + "`"
		}
		if s.repeat {
			flag += " (repeatable)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", flag, s.variable, s.fallback, strings.ReplaceAll(s.wanted, "|", `\|`))
	}
	return b.String()
}

func TestDocumentationOfSettingsIsFresh(t *testing.T) {
	const file = "docs/settings.md"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(content), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has lost its marks: %s%s", file, begin, end)
	}
	fresh := head + begin + settingsTable() + end + tail
	if *update {
		if err := os.WriteFile(file, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if fresh != string(content) {
		t.Errorf("%s is not what the code says: make generate", file)
	}
}

// runBy says which test runs each command of the guides' code blocks. A command
// that nothing runs is a promise that nobody keeps.
var runBy = map[string]string{
	"make run":         "test/run TestMakeRun",
	"make test":        ".ci/run",
	"make test-engine": ".ci/run",
	"make check":       "test/check.sh, by make test",
	"make help":        ". TestHelpListsTheTargets",
	"make build":       "test/e2e TestMain",
	"make bench":       "by hand: it writes docs/benchmarks.md",
	"git tag":          "by hand: a release",
	"docker build":     "test/docker TestBinaryImage",
}

func TestDocumentationShowsNoCommandThatNothingRuns(t *testing.T) {
	blocks := 0
	for _, file := range []string{"README.md", "CONTRIBUTING.md", "docs/operations.md", "docs/troubleshooting.md", "docs/settings.md"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		inBlock := false
		for line := range strings.Lines(string(content)) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "```"):
				inBlock = line == "```sh"
			case inBlock && line != "":
				blocks++
				words := strings.Fields(line)
				if _, known := runBy[strings.Join(words[:2], " ")]; !known {
					t.Errorf("%s: no test runs %q", file, line)
				}
			}
		}
	}
	if blocks < 5 {
		t.Errorf("%d commands found", blocks)
	}
}

func TestHelpListsTheTargets(t *testing.T) {
	out, err := exec.Command("make", "help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for command := range runBy {
		target, ok := strings.CutPrefix(command, "make ")
		if ok && target != "help" && !strings.Contains(string(out), "  make "+target+" ") {
			t.Errorf("make help does not list %s:\n%s", target, out)
		}
	}
}
