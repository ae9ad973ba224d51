package main

import (
	"strings"
	"testing"
)

// Docker's habits: what a user types after the image's name.
func TestTheFirstWordDecides(t *testing.T) {
	for typed, want := range map[string]string{
		"":                         "run",
		"--mode TASK --task check": "run --mode TASK --task check",
		"-m TASK":                  "run -m TASK",
		"status --json":            "status --json",
		"run -- status":            "run -- status",
		"bash":                     "exec -- bash",
		"sh -c exit":               "exec -- sh -c exit",
		"-- status":                "exec -- status",
		"-- --help":                "exec -- --help",
		"help":                     "exec -- help",
		"h":                        "exec -- h",
		"-":                        "exec -- -",
		"python3 manage.py run":    "exec -- python3 manage.py run",
		"--help":                   "--help",
	} {
		if got := strings.Join(firstWord(strings.Fields(typed)), " "); got != want {
			t.Errorf("%q becomes %q, not %q", typed, got, want)
		}
	}
}

func TestAFlagBeforeAVerbIsRefused(t *testing.T) {
	for _, test := range []struct {
		typed, words string
		refused      bool
	}{
		{"--grace 5s status", "status", true},
		{"--grace=5s status --json", "status --json", true},
		{"--grace 5s -- status", "status", false},
		{"--grace 5s sleep 3", "sleep 3", false},
		{"run status", "status", false},
		{"--mode TASK", "", false},
	} {
		if _, refused := misplaced(strings.Fields(test.typed), strings.Fields(test.words)); refused != test.refused {
			t.Errorf("%q: refused %v", test.typed, refused)
		}
	}
}
