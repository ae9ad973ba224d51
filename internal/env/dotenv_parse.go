package env

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The grammar is that of python-dotenv's parser.py (0.21 to 1.2), quirks
// included, because the application reads the same file with it:
//
//	export NAME = value # comment
//	'NAME'="a\tvalue\nof two lines"
//
// A name is anything without white space, # and =, or in single quotes. # starts
// a comment after white space only, and not as a value's first character. In
// double quotes \\ \' \" \a \b \f \n \r \t \v are escapes, in single quotes \\
// and \'. A quote behind a backslash ends the value all the same if no other
// one follows in the file.

// binding is one statement of the file.
type binding struct {
	line  int // of its name, from 1
	name  string
	value string
	set   bool // false for a name without "=", which sets nothing
}

// fault is a statement that does not parse. It holds nothing of the content
// but the name, and that only where it is sure to be one.
type fault struct {
	line int
	name string // may be empty
	what string
}

// parseDotenv reads a file whose line ends are all "\n". A quote without an
// end is the last fault that it finds: whether the lines after it are the
// value's or statements cannot be told.
func parseDotenv(text string) (bindings []binding, faults []fault) {
	s := scanner{text: text, line: 1}
	astray := false // a quote ended where it was not meant to: what follows may be a value's rest
	for {
		s.skip(isSpace)
		if s.done() {
			return bindings, faults
		}
		b, what := s.statement()
		if what == "" {
			if b.name != "" {
				bindings = append(bindings, b)
			}
			continue
		}
		f := fault{line: b.line, what: what}
		if b.set && isIdentifier(b.name) && !astray {
			f.name = b.name
		}
		faults = append(faults, f)
		if what == openQuote {
			return bindings, faults
		}
		astray = astray || what == afterQuote
		s.skip(func(r rune) bool { return r != '\n' })
	}
}

const (
	noName     = "there is no name; wanted: NAME=value"
	openName   = "the quote around the name is not closed on this or a later line; wanted: NAME=value"
	noEqual    = "there is text after the name and no '='; wanted: NAME=value"
	equalSign  = "the name holds an '=', which no variable's name can; wanted: NAME=value"
	openQuote  = "the quote before the value is not closed; close it, and write a quote inside it with a backslash before it"
	afterQuote = "there is text after the closing quote; write a quote inside the value with a backslash before it"
	tooLong    = "the value with its name is longer than the 131071 bytes that a program can be given"
	tooMuch    = "the values up to here are longer than the 6 MB that a program can be given"
)

type scanner struct {
	text string
	pos  int
	line int // of pos
}

func (s *scanner) done() bool   { return s.pos == len(s.text) }
func (s *scanner) rest() string { return s.text[s.pos:] }

func (s *scanner) at(c byte) bool { return !s.done() && s.text[s.pos] == c }

// to moves to a later position, and returns what it passed.
func (s *scanner) to(pos int) string {
	passed := s.text[s.pos:pos]
	s.line += strings.Count(passed, "\n")
	s.pos = pos
	return passed
}

// skip moves past the runes that are so.
func (s *scanner) skip(so func(rune) bool) string {
	n := strings.IndexFunc(s.rest(), func(r rune) bool { return !so(r) })
	if n < 0 {
		n = len(s.rest())
	}
	return s.to(s.pos + n)
}

// statement reads one, or says what is wrong with it; the line's rest is then
// left. A comment is a statement without a name.
func (s *scanner) statement() (b binding, wrong string) {
	b.line = s.line
	if export := "export"; strings.HasPrefix(s.rest(), export) {
		if after, _ := utf8.DecodeRuneInString(s.rest()[len(export):]); isBlank(after) {
			s.to(s.pos + len(export))
			s.skip(isBlank)
		}
	}
	switch {
	case s.at('#'):
	case s.at('\''):
		end := strings.IndexByte(s.rest()[1:], '\'')
		if end < 0 {
			return b, openName
		}
		if end == 0 {
			return b, noName
		}
		name := s.to(s.pos + 1 + end + 1)
		b.name = name[1 : len(name)-1]
	default:
		if b.name = s.skip(func(r rune) bool { return r != '=' && r != '#' && !isSpace(r) }); b.name == "" {
			return b, noName
		}
	}
	s.skip(isBlank)
	quoted := false
	if s.at('=') {
		b.set = true
		s.to(s.pos + 1)
		s.skip(isBlank)
		if quoted = s.at('\'') || s.at('"'); quoted {
			var closed bool
			if b.value, closed = s.quoted(); !closed {
				return b, openQuote
			}
		} else {
			b.value = unquoted(s.skip(func(r rune) bool { return r != '\n' }))
		}
	}
	s.skip(isBlank)
	if s.at('#') {
		s.skip(func(r rune) bool { return r != '\n' })
	}
	switch ended := s.done() || s.at('\n'); {
	case !ended && quoted:
		return b, afterQuote
	case !ended:
		return b, noEqual
	case b.set && strings.Contains(b.name, "="): // in quotes; python-dotenv ends with an exception
		return b, equalSign
	}
	return b, ""
}

// unquoted is the value on the rest of a line.
func unquoted(rest string) string {
	space := false
	for i, r := range rest {
		if r == '#' && space {
			rest = rest[:i]
			break
		}
		space = isSpace(r)
	}
	return strings.TrimRightFunc(rest, isSpace)
}

// quoted reads a value in quotes, which may have several lines.
func (s *scanner) quoted() (value string, closed bool) {
	quote := s.text[s.pos]
	start := s.pos + 1
	end := -1
	for i := start; i < len(s.text); i++ {
		if s.text[i] != quote {
			continue
		}
		end = i // behind a backslash: the end only if it is the last one
		if i == start || s.text[i-1] != '\\' {
			break
		}
	}
	if end < 0 {
		return "", false
	}
	s.to(end + 1)
	return unescape(s.text[start:end], quote), true
}

// unescape resolves the escapes of a value between these quotes; any other
// backslash stands for itself.
func unescape(s string, quote byte) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	known, meant := `\'`, "\\'"
	if quote == '"' {
		known, meant = `\'"abfnrtv`, "\\'\"\a\b\f\n\r\t\v"
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if n := strings.IndexByte(known, s[i+1]); n >= 0 {
				out.WriteByte(meant[n])
				i++
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// isSpace is \s of Python's re: white space as Unicode has it, and the four
// separators 0x1c to 0x1f.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// isBlank is white space within a line.
func isBlank(r rune) bool { return r != '\n' && isSpace(r) }

// isIdentifier reports whether it is a name as every shell takes it.
func isIdentifier(name string) bool {
	for i, r := range name {
		switch {
		case r == '_', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z':
		case r >= '0' && r <= '9' && i > 0:
		default:
			return false
		}
	}
	return name != "" && len(name) <= 64
}
