package modes

import (
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/codeontap/entrypoint/internal/command"
)

// The names of scripts; the first is today's, the second that of older forks.
func scriptPrefixes() []string { return []string{"container-", "entrypoint-"} }

// scriptMode is the mode that a file of this name is the script of.
func scriptMode(name string) (Mode, bool) {
	for _, prefix := range scriptPrefixes() {
		inner, ok := strings.CutPrefix(name, prefix)
		inner, isScript := strings.CutSuffix(inner, ".sh")
		if !ok || !isScript {
			continue
		}
		if mode, err := ParseMode(inner); err == nil {
			return mode, true
		}
	}
	return "", false
}

// scriptOf finds the mode's script: today's name before the older one, lower
// case before others.
func scriptOf(mode Mode, names []string) (string, bool) {
	for _, prefix := range scriptPrefixes() {
		if name := prefix + mode.lower() + ".sh"; slices.Contains(names, name) {
			return name, true
		}
		for _, name := range names {
			if m, ok := scriptMode(name); ok && m == mode && strings.HasPrefix(name, prefix) {
				return name, true
			}
		}
	}
	return "", false
}

// firstLine of the script, its line end cut but for a carriage return.
func (s *Script) firstLine() string {
	line, _, _ := strings.Cut(s.Text, "\n")
	return line
}

// argv is how the script is started; why is said where that is not by its name.
func (s *Script) argv() (argv []string, why string) {
	name := "./" + s.Name
	interpreter, hasInterpreter := strings.CutPrefix(s.firstLine(), "#!")
	words := strings.Fields(interpreter)
	switch {
	case hasInterpreter && len(words) > 0 && s.Runnable:
		return []string{name}, ""
	case !hasInterpreter || len(words) == 0:
		return []string{"sh", name}, "it does not begin with #!"
	case path.Base(words[0]) == "sh":
		return []string{"sh", name}, "it has no run bit (chmod +x)"
	}
	return append(words, name), "it has no run bit (chmod +x)"
}

// launch is how a script starts its server, as far as its text says.
type launch struct {
	words []string // the server's command line, unexpanded
	exec  bool     // it replaces the shell, and is the copy's main process
}

// launch finds the command of the script that starts a server that we know, the
// last if there are several.
func (s *Script) launch() launch {
	var found launch
	text := strings.ReplaceAll(s.Text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		for words := range simpleCommands(roughWords(line)) {
			l := launch{words: words}
			for len(l.words) > 0 && (l.words[0] == "exec" || isAssignment(l.words[0])) {
				l.exec = l.exec || l.words[0] == "exec"
				l.words = l.words[1:]
			}
			if _, ok := serverOf(l.words); ok {
				found = l
			}
		}
	}
	return found
}

// simpleCommands are the commands of a shell line: "cd src && exec gunicorn" has
// two.
func simpleCommands(words []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		start := 0
		for i, word := range words {
			switch word {
			case "&&", "||", "|", "&", ";", "if", "then", "else", "do", "{", "(":
				if !yield(words[start:i]) {
					return
				}
				start = i + 1
			}
			if strings.HasSuffix(word, ";") && word != ";" {
				if !yield(append(slices.Clone(words[start:i]), strings.TrimSuffix(word, ";"))) {
					return
				}
				start = i + 1
			}
		}
		yield(words[start:])
	}
}

// roughWords are the words of a shell line without the shell: its quotes may
// hold $, and where they do not pair the words are what the spaces part.
func roughWords(line string) []string {
	if words, err := command.Words(line); err == nil {
		return words
	}
	return strings.Fields(line)
}

func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	return ok && importable(name)
}
