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

func TestHelpListsTheTargets(t *testing.T) {
	out, err := exec.Command("make", "help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, target := range []string{"build", "run", "check", "test", "test-engine", "bench", "soak", "demo-kms", "generate"} {
		if !strings.Contains(string(out), "  make "+target+" ") {
			t.Errorf("make help does not list %s:\n%s", target, out)
		}
	}
}
