package modes_test

import (
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/modes"
)

func TestModesAreWords(t *testing.T) {
	for text, want := range map[string]modes.Mode{"WEB": modes.WEB, "web": modes.WEB, "Worker": modes.WORKER, "my_own-2": "MY_OWN-2"} {
		if got, err := modes.ParseMode(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "../etc", "a/b", "a b", "web.sh", "web\n", "wéb", "\x00"} {
		got, err := modes.ParseMode(text)
		if err == nil {
			t.Errorf("%q is mode %s", text, got)
		} else if text != "" && len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("the error quotes the value: %v", err)
		}
	}
}

func TestWorkersAreANumberOrAuto(t *testing.T) {
	for text, want := range map[string]modes.Workers{"1": {Count: 1}, "12": {Count: 12}, "auto": {Auto: true}} {
		if got, err := modes.ParseWorkers(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "+1", "banana", "1.5", "3 ", "99999999999999999999", "1001", "AUTO"} {
		if got, err := modes.ParseWorkers(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestOneTaskForEachFlag(t *testing.T) {
	if words, err := modes.ParseTask(`greet --name "a; b"`); err != nil || len(words) != 3 {
		t.Errorf("%q, %v", words, err)
	}
	for _, text := range []string{"", "  ", "check; migrate", `greet "a`, `''`} {
		if words, err := modes.ParseTask(text); err == nil {
			t.Errorf("%q is %q", text, words)
		}
	}
}

func FuzzParseTasks(f *testing.F) {
	for _, seed := range []string{"check; migrate --noinput", `greet --name "two words; one name"`, `a 'b`, ";;", `\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tasks, err := modes.ParseTasks(text)
		if err != nil {
			return
		}
		for _, words := range tasks {
			if len(words) == 0 || words[0] == "" {
				t.Errorf("%q: a task without a name: %q", text, tasks)
			}
		}
		plan, problems := modes.New(modes.Settings{Mode: modes.TASK, Tasks: tasks}, environment(), component())
		if len(problems) > 0 || len(plan.Commands) != len(tasks) {
			t.Errorf("%q: %d tasks, %d commands, %v", text, len(tasks), len(plan.Commands), problems)
		}
	})
}
