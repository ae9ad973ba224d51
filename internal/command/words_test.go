package command_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
)

func TestTasksAreSplitAsAShellWould(t *testing.T) {
	for _, c := range []struct {
		text string
		want [][]string
	}{
		{"", nil},
		{" ; ;; ", nil},
		{"check", [][]string{{"check"}}},
		{"check; migrate --noinput;", [][]string{{"check"}, {"migrate", "--noinput"}}},
		{`greet --name "two words; one name"`, [][]string{{"greet", "--name", "two words; one name"}}},
		{`greet 'it''s' "a\"b" c\ d \;`, [][]string{{"greet", "its", `a"b`, "c d", ";"}}},
		{"a 'x\ny'\n  b\tc", [][]string{{"a", "x\ny", "b", "c"}}},
		{"a \\\n b", [][]string{{"a", "b"}}},
		{`a "" ''`, [][]string{{"a", "", ""}}},
		{`shell -c "print(1); print('$HOME')"`, [][]string{{"shell", "-c", "print(1); print('$HOME')"}}},
		{`a $HOME *.py ~ #no & "\n"`, [][]string{{"a", "$HOME", "*.py", "~", "#no", "&", `\n`}}},
	} {
		got, err := command.Tasks(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		if len(got) == 0 {
			got = nil
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q: (-want +got)\n%s", c.text, d)
		}
	}
}

func TestTasksThatCannotBeSplit(t *testing.T) {
	for _, text := range []string{`greet "two`, `greet 'two`, `greet "two\"`, `greet \`, "a\x00b", `"" check`, `check; '' x`} {
		if got, err := command.Tasks(text); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got, err := command.Words("check; migrate"); err == nil {
		t.Errorf("two commands became the words of one: %q", got)
	}
	if got, err := command.Words(`echo "a;b" c\;d`); err != nil || !cmp.Equal(got, []string{"echo", "a;b", "c;d"}) {
		t.Errorf("a quoted ; ended the command: %q, %v", got, err)
	}
}

func FuzzTasks(f *testing.F) {
	for _, seed := range []string{"check; migrate --noinput", `greet --name "two words; one name"`, `a 'b`, `a\`, `'\''`, "\r\n;", `"\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tasks, err := command.Tasks(text)
		if err != nil {
			return
		}
		again, err := command.Tasks(command.List(tasks))
		if err != nil || !cmp.Equal(tasks, again) {
			t.Errorf("%q: %q written down and read again is %q, %v", text, tasks, again, err)
		}
	})
}
