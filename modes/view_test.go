package modes_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/modes"
)

func printed(t *testing.T, p modes.Plan, v modes.View) (text, asJSON string) {
	t.Helper()
	var a, b bytes.Buffer
	if err := p.WriteText(&a, v); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteJSON(&b, v); err != nil {
		t.Fatal(err)
	}
	return a.String(), b.String()
}

func TestOnlyRevealPrintsValuesAndOnlyPlainOnes(t *testing.T) {
	e := environment("COLOUR=crimson", "DATABASE_PASSWORD=hunter2").With(env.Variable{Name: "FROM_FILE", Value: env.NewSecret("parchment"), Source: env.FromFile})
	plan, problems := modes.New(modes.Settings{}, e, component())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	state := func(name string) string {
		switch name {
		case "DJANGO_SECRET_KEY":
			return "ciphertext"
		case "DATABASE_PASSWORD":
			return "damaged"
		}
		return "plain"
	}
	hidden := func(s string) bool { return strings.Contains(s, "sesame") || strings.Contains(s, "hunter2") }
	text, asJSON := printed(t, plan, modes.View{State: state})
	for _, s := range []string{text, asJSON} {
		if hidden(s) || strings.Contains(s, "crimson") || strings.Contains(s, "parchment") {
			t.Errorf("values without --reveal:\n%s", s)
		}
	}
	text, asJSON = printed(t, plan, modes.View{State: state, Reveal: true})
	for _, s := range []string{text, asJSON} {
		if hidden(s) || !strings.Contains(s, "crimson") || !strings.Contains(s, "parchment") || !strings.Contains(s, "damaged") {
			t.Errorf("--reveal shows plain values and no other:\n%s", s)
		}
	}
}

func TestJSONHasTheFormThatIsPromised(t *testing.T) {
	plan, problems := modes.New(byFlag(modes.Settings{Dir: "src", Workers: modes.Workers{Count: 3}, Mode: "X"}, "workers", "mode"), environment(), component())
	_, asJSON := printed(t, plan, modes.View{Problems: problems})
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(asJSON), &all); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"modes", "wait_for", "init", "commands", "environment", "problems"} {
		if !strings.HasPrefix(string(all[list]), "[") {
			t.Errorf("%s is %s and not a list", list, all[list])
		}
	}
	if string(all["directory"]) != `"src"` || string(all["package"]) != `"app_dir"` || len(problems) != 1 {
		t.Errorf("%s", asJSON)
	}
	var web struct {
		Commands []struct {
			Name, Strategy, Why, Drain, Restart, Health string
			Argv, Bind                                  []string
			Copies                                      int
			Stop                                        []struct{ Signal, Wait string }
		}
		Environment []struct{ Name, Source, State string }
	}
	plan, problems = modes.New(byFlag(modes.Settings{Workers: modes.Workers{Count: 3}}, "workers"), environment(), component())
	_, asJSON = printed(t, plan, modes.View{Problems: problems})
	if err := json.Unmarshal([]byte(asJSON), &web); err != nil {
		t.Fatal(err)
	}
	c := web.Commands[0]
	if c.Name != "web" || c.Copies != 3 || c.Strategy != "copies" || c.Why == "" || c.Drain != "0s" || c.Restart != "always" || c.Health != "none" ||
		!slices.Equal(c.Bind, []string{"0.0.0.0:8000"}) || c.Stop[0].Signal != "TERM" || c.Stop[0].Wait != "8s" || c.Stop[1].Signal != "KILL" || c.Stop[1].Wait != "" {
		t.Errorf("%+v", c)
	}
	for _, v := range web.Environment {
		if !slices.Contains([]string{"environment", "dotenv", "file", "mode", "injected"}, v.Source) || v.State != "plain" {
			t.Errorf("%+v", v)
		}
	}
}

// What is printed stays on its line and, where its words allow, within 80 columns.
func TestTextFitsATerminal(t *testing.T) {
	for _, s := range stories(t) {
		plan, problems := modes.New(s.settings, s.env, s.facts)
		text, _ := printed(t, plan, modes.View{Problems: problems})
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(line) > 81 {
				t.Errorf("%s: %s", s.name, line)
			}
		}
	}
	evil := byFlag(modes.Settings{Words: []string{"a\x1b[31m\nproblems: none", "b"}, Health: command.Health{Kind: command.HealthExec, Target: "x\ry"}}, "health")
	plan, problems := modes.New(evil, environment("A=\x1b[2J\n"), modes.Facts{Temp: "/tmp"})
	if text, _ := printed(t, plan, modes.View{Problems: problems, Reveal: true}); strings.ContainsAny(text, "\x1b\r") || strings.Contains(text, "\nproblems") {
		t.Errorf("a word moves the cursor or forges a line:\n%q", text)
	}
}
