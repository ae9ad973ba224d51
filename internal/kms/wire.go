package kms

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"

	"github.com/codeontap/entrypoint/internal/env"
)

// What parent and child send each other is JSON, once each way. It has types of
// its own, because a Secret cannot be encoded, and shall not.

// maxMessage bounds what is read of either: an environment of the size that
// execve(2) takes, four times over.
const maxMessage = 8 << 20

type request struct {
	Config  Config
	Values  []requestValue `json:",omitempty"`
	Encrypt *toEncrypt     `json:",omitempty"`
}

type requestValue struct {
	Name        string
	Shape       Shape
	Generation  Generation
	Fingerprint []byte
	Damage      string
	Twice       bool
	Ciphertext  []byte
}

type toEncrypt struct {
	KeyID  string
	Values [][]byte
}

type answer struct {
	Outcomes  []answerOutcome `json:",omitempty"`
	Encrypted [][]byte        `json:",omitempty"`
	Problem   string          `json:",omitempty"` // why nothing was encrypted
	Temporary bool            `json:",omitempty"` // and whether another try may help
	Stopped   bool
	Requests  map[string]int
	Elapsed   time.Duration
}

type answerOutcome struct {
	Name     string
	Verdict  Verdict
	Value    []byte
	KeyID    string
	Twice    bool
	Problem  string
	Hint     string
	Level    slog.Level
	ExitCode int
	Group    string
}

func requestOf(cfg Config, candidates []Candidate) request {
	r := request{Config: cfg, Values: make([]requestValue, len(candidates))}
	for i, c := range candidates {
		r.Values[i] = requestValue{
			Name: c.Name, Shape: c.Shape, Generation: c.Generation, Fingerprint: c.Fingerprint[:],
			Damage: c.Damage, Twice: c.Twice, Ciphertext: []byte(c.Ciphertext.Reveal()),
		}
	}
	return r
}

func (r request) candidates() []Candidate {
	candidates := make([]Candidate, len(r.Values))
	for i, v := range r.Values {
		candidates[i] = Candidate{Name: v.Name, Blob: Blob{
			Shape: v.Shape, Generation: v.Generation, Damage: v.Damage, Twice: v.Twice,
			Ciphertext: env.NewSecret(string(v.Ciphertext)),
		}}
		copy(candidates[i].Fingerprint[:], v.Fingerprint)
	}
	return candidates
}

func answerOf(r Result) answer {
	a := answer{Outcomes: make([]answerOutcome, len(r.Outcomes)), Stopped: r.Stopped, Requests: r.Requests, Elapsed: r.Elapsed}
	for i, o := range r.Outcomes {
		a.Outcomes[i] = answerOutcome{
			Name: o.Name, Verdict: o.Verdict, Value: []byte(o.Value.Reveal()), KeyID: o.KeyID, Twice: o.Twice,
			Problem: o.Problem, Hint: o.Hint, Level: o.Level, ExitCode: o.ExitCode, Group: o.Group,
		}
	}
	return a
}

// result is the answer as a Result, if it answers what was asked.
func (a answer) result(candidates []Candidate) (Result, error) {
	if len(a.Outcomes) != len(candidates) {
		return Result{}, fmt.Errorf("it answered about %d values of %d", len(a.Outcomes), len(candidates))
	}
	r := Result{Outcomes: make([]Outcome, len(candidates)), Stopped: a.Stopped, Requests: maps.Clone(a.Requests), Elapsed: a.Elapsed}
	for i, o := range a.Outcomes {
		if o.Name != candidates[i].Name {
			return Result{}, errors.New("it answered about other variables")
		}
		r.Outcomes[i] = Outcome{
			Name: o.Name, Verdict: o.Verdict, Value: env.NewSecret(string(o.Value)), KeyID: o.KeyID, Twice: o.Twice,
			Problem: o.Problem, Hint: o.Hint, Level: o.Level, ExitCode: o.ExitCode, Group: o.Group,
		}
	}
	return r, nil
}

// read decodes one message. The error says nothing of its content.
func read(from io.Reader, message any) error {
	limited := &io.LimitedReader{R: from, N: maxMessage + 1}
	b, err := io.ReadAll(limited)
	switch {
	case err != nil:
		return fmt.Errorf("cannot read: %w", err)
	case limited.N == 0:
		return fmt.Errorf("over %d bytes", maxMessage)
	case len(b) == 0:
		return errors.New("nothing came")
	case json.Unmarshal(b, message) != nil:
		return errors.New("not the message that was expected")
	}
	return nil
}
