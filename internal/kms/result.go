package kms

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/codeontap/entrypoint/internal/env"
)

// The codes that the container ends with under Exit.
const (
	exitTemporary     = 75 // another start may do better
	exitConfiguration = 78 // somebody has to change something
)

// Verdict is what became of a value, in the words of `check --json` and of the
// metric entrypoint_env_values_total.
type Verdict string

// The verdicts.
const (
	OK                 Verdict = "ok"
	Invalid            Verdict = "invalid"
	Denied             Verdict = "denied"
	WrongKey           Verdict = "wrong_key"
	KeyState           Verdict = "key_state"
	Unavailable        Verdict = "unavailable"
	WithoutCredentials Verdict = "no_credentials"
	BadlyDamaged       Verdict = "damaged"
	NotAsked           Verdict = "not asked"
)

// Outcome is what became of one candidate.
type Outcome struct {
	Name    string
	Verdict Verdict
	Value   env.Secret // the plaintext, if the verdict is OK
	KeyID   string     // of the key that decrypted it
	Twice   bool       // it was base64 of base64

	Problem  string     // why it stays as it is, in one line without a value
	Hint     string     // what to do about it
	Level    slog.Level // of the line that says so; LevelDebug for base64 that was none of ours
	ExitCode int        // that this asks for under Exit: 0, 75 or 78

	// Group is what outcomes have in common that share one line of the log: a
	// key, or nothing but their problem.
	Group string
}

// Result is what became of a batch.
type Result struct {
	Outcomes []Outcome // one for each candidate, in the candidates' order
	Stopped  bool      // by TERM, INT or QUIT: start nothing, end with 143
	Requests map[string]int
	Elapsed  time.Duration
}

// ExitCode is what the container ends with under Exit: 78 if somebody has to
// change something, else 75 if another start may help, else 0.
func (r Result) ExitCode() int {
	code := 0
	for _, o := range r.Outcomes {
		code = max(code, o.ExitCode)
	}
	return code
}

// Counts is the number of outcomes by verdict.
func (r Result) Counts() map[Verdict]int {
	counts := map[Verdict]int{}
	for _, o := range r.Outcomes {
		counts[o.Verdict]++
	}
	return counts
}

// Apply returns the environment with what was decrypted in place of its
// ciphertexts. Everything else stays as it is, markers included.
func Apply(e env.Environment, r Result) env.Environment {
	var changed []env.Variable
	for _, o := range r.Outcomes {
		if v, ok := e.Lookup(o.Name); ok && o.Verdict == OK {
			v.Value = o.Value
			changed = append(changed, v)
		}
	}
	return e.With(changed...)
}

// Log says what became of the batch: an INFO for each key with the names that
// it decrypted, and every variable that stays a ciphertext in some ERROR, one
// line for all that have the same problem.
func (r Result) Log(log *slog.Logger) {
	for _, m := range r.messages() {
		log.Log(context.Background(), m.level, m.text)
	}
}

type message struct {
	level slog.Level
	text  string
}

func (r Result) messages() []message {
	if r.Stopped {
		left := 0
		for _, o := range r.Outcomes {
			if o.Verdict != OK {
				left++
			}
		}
		return []message{{slog.LevelInfo, fmt.Sprintf("asked to stop while decrypting, %d values left", left)}}
	}
	const twice = "twice"
	type line struct {
		level                slog.Level
		group, problem, hint string
		names                []string
	}
	var lines []line
	add := func(l line, name string) {
		i := slices.IndexFunc(lines, func(o line) bool {
			return o.level == l.level && o.group == l.group
		})
		if i < 0 {
			i, lines = len(lines), append(lines, l)
		}
		lines[i].names = append(lines[i].names, name)
	}
	for _, o := range r.Outcomes {
		if o.Verdict == NotAsked && o.Problem == "" { // Offline
			continue
		}
		add(line{level: o.Level, group: o.Group, problem: o.Problem, hint: o.Hint}, o.Name)
		if o.Twice && o.Verdict == OK {
			add(line{level: slog.LevelWarn, group: twice}, o.Name)
		}
	}
	messages := make([]message, len(lines))
	for i, l := range lines {
		names := strings.Join(l.names, ", ")
		var text string
		switch {
		case l.group == twice:
			text = names + ": base64 of base64, encode it once"
		case l.level == slog.LevelInfo:
			text = "decrypted " + names + " " + l.group
		case l.level == slog.LevelError:
			text = "cannot decrypt " + names + ": " + l.problem
		case l.level == slog.LevelWarn:
			text = "stopped asking KMS about base64 that may be no ciphertext, " + names + " stay as they are: " + l.problem
		default:
			text = names + ": base64 and no ciphertext: " + l.problem
		}
		if l.hint != "" {
			text += ": " + l.hint
		}
		messages[i] = message{l.level, text}
	}
	return messages
}

// longestString is the longest string that execve(2) takes, less its NUL:
// MAX_ARG_STRLEN is 32 pages of 4 KiB.
const longestString = 32*4096 - 1

// succeeded is the outcome of a candidate that KMS decrypted.
func succeeded(c Candidate, p Plaintext) Outcome {
	o := Outcome{Name: c.Name, Verdict: OK, KeyID: p.KeyID, Twice: c.Twice, Level: slog.LevelInfo}
	text := p.Text.Reveal()
	switch {
	case strings.ContainsRune(text, 0):
		o.Problem = "its plaintext holds a NUL, which no environment can"
	case len(c.Name)+1+len(text) > longestString:
		o.Problem = fmt.Sprintf("its plaintext of %d bytes is longer than a variable can be (execve takes %d, the name included)", len(text), longestString)
	default:
		o.Value = p.Text
		o.Group = "with a key that KMS did not name"
		if p.KeyID != "" {
			o.Group = "with " + p.KeyID
		}
		return o
	}
	o.Verdict, o.Level, o.ExitCode, o.Group = Invalid, slog.LevelError, exitConfiguration, o.Problem
	o.Hint = "encrypt the text itself"
	if c.Shape == Guess {
		o.Level, o.ExitCode = slog.LevelDebug, 0
	}
	return o
}

// failed is the outcome of a candidate that was not decrypted.
func failed(c Candidate, f *Failure, cfg Config) Outcome {
	o := Outcome{Name: c.Name, Verdict: verdictOf(f, c), Level: slog.LevelError}
	o.Problem, o.Hint = explain(f, c, cfg)
	o.Group = o.Problem
	if f.Code == "AccessDeniedException" { // a policy is written for a key
		o.Group += fmt.Sprintf(" %x", c.Fingerprint)
	}
	if f.Cause != Busy && f.Cause != Stopped {
		o.Problem += " (" + f.reference() + ")"
	}
	switch f.Cause {
	case Refused, Misconfigured:
		o.ExitCode = exitConfiguration
	case Stopped:
	default:
		o.ExitCode = exitTemporary
	}
	// Base64 that may be anything is no reason to end; who listens in is.
	if c.Shape == Guess && f.Cause != Untrusted {
		o.ExitCode, o.Level, o.Hint = 0, slog.LevelWarn, ""
		if f.Cause == Refused {
			o.Level = slog.LevelDebug
		}
	}
	return o
}

// unasked is the outcome of a candidate that no KMS could help.
func unasked(c Candidate) Outcome {
	return Outcome{
		Name: c.Name, Verdict: BadlyDamaged, Level: slog.LevelError, ExitCode: exitConfiguration,
		Problem: c.Damage, Hint: "take the value from its source again", Group: c.Damage,
	}
}
