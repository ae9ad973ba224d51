package command

import (
	"errors"
	"strings"
)

// The errors of Words and Tasks say where by what, never by the text: a task
// may hold a password.
var (
	errQuote     = errors.New("wanted: quotes in pairs; one is opened and never closed")
	errBackslash = errors.New("wanted: something after the last backslash")
	errNUL       = errors.New("wanted: text without a NUL byte")
	errSemicolon = errors.New("wanted: one command; a ; that belongs to a word stands in quotes")
	errEmpty     = errors.New("wanted: a command's name first; it is an empty word")
)

// Words splits a command line into words with the shell's quoting (POSIX 2.2)
// and nothing else of a shell: $, *, ~, # and & are letters. An unquoted ; is an
// error, because it is meant as an end and would become an argument.
func Words(s string) ([]string, error) {
	commands, err := split(s)
	switch {
	case err != nil:
		return nil, err
	case len(commands) > 1:
		return nil, errSemicolon
	}
	return commands[0], nil
}

// Tasks splits a list of command lines at each ; outside quotes, and each into
// its words. Empty ones between two ; are dropped: a list often ends in one.
func Tasks(s string) ([][]string, error) {
	commands, err := split(s)
	if err != nil {
		return nil, err
	}
	tasks := commands[:0]
	for _, words := range commands {
		if len(words) == 0 {
			continue
		}
		if words[0] == "" {
			return nil, errEmpty
		}
		tasks = append(tasks, words)
	}
	return tasks, nil
}

// split returns at least one list of words, which may be empty.
func split(s string) ([][]string, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, errNUL
	}
	commands := [][]string{nil}
	var word strings.Builder
	inWord := false // also of an empty one: ''
	end := func() {
		if inWord {
			last := len(commands) - 1
			commands[last] = append(commands[last], word.String())
			word.Reset()
			inWord = false
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\r':
			end()
		case ';':
			end()
			commands = append(commands, nil)
		case '\\':
			i++
			if i == len(s) {
				return nil, errBackslash
			}
			if s[i] == '\n' {
				continue // a line that goes on
			}
			word.WriteByte(s[i])
			inWord = true
		case '\'', '"':
			closing, err := quoted(s[i:], &word)
			if err != nil {
				return nil, err
			}
			i += closing
			inWord = true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	end()
	return commands, nil
}

// quoted reads a quotation from its first quote and returns where the closing
// one stands.
func quoted(s string, word *strings.Builder) (closing int, err error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return i, nil
		case s[i] == '\\' && quote == '"' && i+1 < len(s) && strings.IndexByte("$`\"\\\n", s[i+1]) >= 0:
			i++
			if s[i] != '\n' {
				word.WriteByte(s[i])
			}
		default:
			word.WriteByte(s[i])
		}
	}
	return 0, errQuote
}

// Line is the inverse of Words: one line that Words and a shell read as these
// words.
func Line(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	return strings.Join(quoted, " ")
}

// List is the inverse of Tasks.
func List(tasks [][]string) string {
	lines := make([]string, len(tasks))
	for i, words := range tasks {
		lines[i] = Line(words)
	}
	return strings.Join(lines, "; ")
}

func quote(word string) string {
	plain := word != "" && strings.IndexFunc(word, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_-./:=,@%+{}", c))
	}) < 0
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
