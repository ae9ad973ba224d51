package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/codeontap/entrypoint/internal/contract"
	"github.com/codeontap/entrypoint/internal/early"
	"github.com/codeontap/entrypoint/internal/kms"
)

// report is what check prints, as text or JSON.
type report struct {
	Problems    []contract.Problem `json:"problems"`
	Ciphertexts []kms.Inspection   `json:"ciphertexts"`
}

// checkVerb names everything that is wrong in one list and changes nothing: the
// settings, the files, every ciphertext, the contract on plaintext.
func (p *program) checkVerb(c *cli.Context) error {
	if c.NArg() > 0 {
		return fail(codeUsage, "cannot check %d words: check takes none; see entrypoint check --help", c.NArg())
	}
	s := p.prepare(flagsGiven(c))
	s.how = s.readHow()
	s.readSettings(nil)
	if s.code() == codeUsage {
		return s.settled()
	}
	code := 0
	r := report{Problems: []contract.Problem{}}
	add := func(set, variable, problem, hint string) {
		r.Problems = append(r.Problems, contract.Problem{Set: set, Variable: variable, Problem: problem, Hint: hint})
		code = codeConfiguration
	}
	for _, problem := range s.list {
		if problem.Name == "" {
			add("files", "", problem.Message, "")
			continue
		}
		add("settings", problem.Name, "not usable", problem.Message)
	}
	candidates := kms.Classify(s.environment, s.how.mode)
	result := kms.Offline(candidates)
	if !c.Bool("offline") && len(candidates) > 0 {
		reaper, err := p.startReaper(s)
		if err != nil {
			return err
		}
		_, ctx := relay(early.Signals(), nil)
		result = kms.Ask(ctx, s.how.config, s.environment, candidates, spawnDecrypter(reaper), s.log)
		if result.Stopped {
			return silent(codeStopped)
		}
		s.environment = kms.Apply(s.environment, result)
	}
	r.Ciphertexts = kms.Inspect(candidates, result)
	for _, o := range result.Outcomes {
		if o.ExitCode != 0 {
			r.Problems = append(r.Problems, contract.Problem{Set: "kms", Variable: o.Name, Problem: o.Problem, Hint: o.Hint})
			code = max(code, o.ExitCode) // 78 wins over 75
		}
	}
	encrypted := kms.Encrypted(s.environment)
	for _, problem := range contract.Check(s.environment, contract.Facts{
		Django:     exists(filepath.Join(s.dir, "manage.py")),
		Ciphertext: func(name string) bool { return slices.Contains(encrypted, name) },
	}) {
		r.Problems = append(r.Problems, problem)
		if !problem.Warning {
			code = codeConfiguration
		}
	}
	if err := s.environment.Fit(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			add("environment", "", line, "")
		}
	}
	if err := p.printReport(r, c.Bool("json")); err != nil {
		return err
	}
	if code != 0 {
		return silent(code)
	}
	return nil
}

func (p *program) printReport(r report, asJSON bool) error {
	if asJSON {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, string(text))
		return err
	}
	var errs []error
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(p.stdout, format+"\n", args...)
		errs = append(errs, err)
	}
	for _, c := range r.Ciphertexts {
		line := fmt.Sprintf("ciphertext  %s: %s", c.Variable, c.Result)
		if c.KeyGroup != "" && c.PlaintextLength > 0 {
			line += fmt.Sprintf(", %s layout, key %s, %d bytes of plaintext", c.Generation, c.KeyGroup, c.PlaintextLength)
		}
		say("%s", line)
	}
	for _, problem := range r.Problems {
		kind := "problem"
		if problem.Warning {
			kind = "warning"
		}
		say("%-10s  %s", kind, oneLine(sentence(problem)))
	}
	if len(r.Problems) == 0 {
		say("ok")
	}
	return errors.Join(errs...)
}

func sentence(p contract.Problem) string {
	text := p.Problem
	switch {
	case p.Set == "kms":
		text = p.Variable + ": " + text
	case p.Variable != "":
		text = p.Variable + " is " + text
	}
	if p.Hint != "" {
		text += ": " + p.Hint
	}
	if p.Set != "" && p.Variable != "" {
		text += " [" + p.Set + "]"
	}
	return text
}
