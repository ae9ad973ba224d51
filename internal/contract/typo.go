package contract

import (
	"slices"
	"strings"

	"github.com/codeontap/entrypoint/internal/env"
)

// typos returns a problem for every variable that is not known and one edit
// away from one that is known and not set. Most are warnings, since a variable
// may be called anything; it is more where the first variable of a set is
// missed and others of the set are there: the set would be off in silence.
func typos(sets []Set, e env.Environment) []Problem {
	type target struct {
		set  Set
		name string // of the contract's variable
		text string // the name itself, or with _FILE
	}
	var targets []target
	known := map[string]bool{}
	for _, s := range sets {
		for _, v := range s.Variables {
			targets = append(targets, target{s, v.Name, v.Name})
			known[v.Name] = true
			if hasFile(v.Name) {
				targets = append(targets, target{s, v.Name, v.Name + "_FILE"})
				known[v.Name+"_FILE"] = true
			}
		}
	}
	for _, name := range settings() {
		known[name] = true
	}
	var problems []Problem
	for _, name := range e.Names() {
		if known[name] || !e.Has(name) {
			continue
		}
		for _, t := range targets {
			if !isTypo(name, t.text) || e.Has(t.name) {
				continue
			}
			off := t.name == t.set.Variables[0].Name && !t.set.Always &&
				slices.ContainsFunc(t.set.Variables, func(v Variable) bool { return e.Has(v.Name) })
			problems = append(problems, Problem{Set: t.set.Name, Variable: name, Warning: !off,
				Problem: "not a variable of the contract", Hint: "did you mean " + t.text + "?"})
			break
		}
	}
	return problems
}

// isTypo reports whether name becomes known by one letter more, less or other,
// by two that change places, or by another case. A digit more is none:
// DATABASE2_HOST and DATABASE_HOST2 are other servers.
func isTypo(name, known string) bool {
	if name == known || len(name) > len(known)+1 || len(known) > len(name)+1 {
		return false
	}
	a, b := strings.ToUpper(name), strings.ToUpper(known)
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	switch {
	case len(a) == 1 && b == "":
		return a[0] < '0' || a[0] > '9'
	case len(a) <= 1 && len(b) <= 1:
		return true
	}
	return len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}
