package command_test

import (
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

func TestDurationsHaveUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "0s": 0, "8s": 8 * time.Second, "500ms": 500 * time.Millisecond, "1m30s": 90 * time.Second, "1.5s": 1500 * time.Millisecond} {
		if got, err := command.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "8", "-1s", "s", "8 s", "8sec", "1d", "1h2", "9999999999h", "NaN", "1e3s"} {
		if got, err := command.ParseDuration(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestBackoffAndGiveUp(t *testing.T) {
	for text, want := range map[string]command.Backoff{
		"500ms..30s": {First: 500 * time.Millisecond, Cap: 30 * time.Second},
		"1s":         {First: time.Second, Cap: time.Second},
		"0s..1s":     {Cap: time.Second},
	} {
		if got, err := command.ParseBackoff(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "..", "1s..", "..1s", "30s..1s", "1s...2s", "1..2", "1s-2s", "-1s..2s"} {
		if got, err := command.ParseBackoff(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
	if got, err := command.ParseGiveUp("5/60s"); err != nil || got != (command.GiveUp{Deaths: 5, Window: time.Minute}) {
		t.Errorf("5/60s: %s, %v", got, err)
	}
	for _, text := range []string{"", "5", "/", "5/", "/60s", "0/60s", "-1/60s", "5/0s", "5/60", "5/60s/1", "five/60s", "+5/60s", "99999999999999999999/1s"} {
		if got, err := command.ParseGiveUp(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestRestartAndStrategyAreWords(t *testing.T) {
	for _, text := range []string{"always", "on-failure", "never"} {
		if got, err := command.ParseRestart(text); err != nil || got.String() != text {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"copies", "native"} {
		if got, err := command.ParseStrategy(text); err != nil || got.String() != text {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Always", "no", "unless-stopped"} {
		if got, err := command.ParseRestart(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
		if got, err := command.ParseStrategy(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func FuzzParseBackoff(f *testing.F) {
	for _, seed := range []string{"500ms..30s", "1s", "0s..1s", "1s..1h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := command.ParseBackoff(text)
		if err != nil {
			return
		}
		if b.First < 0 || b.Cap < b.First {
			t.Errorf("%q is %s", text, b)
		}
		if again, err := command.ParseBackoff(b.String()); err != nil || again != b {
			t.Errorf("%q: %s written down and read again is %s, %v", text, b, again, err)
		}
	})
}
