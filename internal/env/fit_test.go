package env_test

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/internal/env"
)

// The limit is the kernel's: what fits is run, what does not is refused by
// execve, which does not say what it was.
func TestTheKernelDrawsTheSameLine(t *testing.T) {
	t.Parallel()
	for length, fits := range map[int]bool{131071: true, 131072: false} {
		v := env.Variable{Name: "LONG", Value: env.NewSecret(strings.Repeat("x", length-len("LONG=")))}
		cmd := exec.Command("/bin/true")
		cmd.Env = env.Environment{}.With(v).Block()
		err := cmd.Run()
		if fits && err != nil || !fits && !errors.Is(err, syscall.E2BIG) {
			t.Errorf("%d bytes: the kernel says %v", length, err)
		}
		if (v.Fit() == nil) != fits {
			t.Errorf("%d bytes: we say %v", length, v.Fit())
		}
	}
}

func TestWhatDoesNotFitIsNamed(t *testing.T) {
	t.Parallel()
	e := env.Environment{}.
		Set(env.FromEnvironment, "GOOD", "a\nb").
		Set(env.FromEnvironment, "NUL", canary+"\x00").
		Set(env.FromFile, "LONG", strings.Repeat(canary, 20000)).
		Set(env.FromEnvironment, "BAD\x00NAME", canary)
	err := e.Fit()
	if err == nil || leaks(err.Error()) {
		t.Fatalf("want three lines without a value, got %v", err)
	}
	lines := strings.Split(err.Error(), "\n")
	want := []string{`"BAD\x00NAME"`, "LONG", "NUL"}
	if len(lines) != len(want) {
		t.Fatalf("want %d lines, got %v", len(want), err)
	}
	for i, name := range want {
		if !strings.HasPrefix(lines[i], "cannot pass ") || !strings.Contains(lines[i], name) {
			t.Errorf("%s: %s", name, lines[i])
		}
	}
	if err := e.Without(func(name string) bool { return name != "GOOD" }).Fit(); err != nil {
		t.Error(err)
	}
}
