package modes

import (
	"slices"

	"github.com/codeontap/entrypoint/internal/env"
)

// View is what a plan is printed with.
type View struct {
	Problems []Problem
	// State classifies a variable of the environment: plain, ciphertext or
	// damaged.
	State func(name string) string
	// Reveal prints the values of plain variables.
	Reveal bool
}

// variable is one of the environment that a copy gets.
type variableView struct {
	Name   string  `json:"name"`
	Source string  `json:"source"`
	State  string  `json:"state"`
	Value  *string `json:"value,omitempty"` // with --reveal, of plain ones
	Why    string  `json:"why,omitempty"`
}

// variables are what the first program gets, sorted by name. Where nothing runs
// there are none.
func (p Plan) variables(v View) []variableView {
	variables := []variableView{}
	specs := slices.Concat(p.Commands, p.Init)
	if len(specs) == 0 {
		return variables
	}
	add := func(name string, source env.Source, value env.Secret) {
		shown := variableView{Name: name, Source: source.String(), State: "plain"}
		if i := slices.IndexFunc(p.Injected, func(i Injection) bool { return i.Name == name }); i >= 0 {
			shown.Why, shown.Source = p.Injected[i].Why, p.Injected[i].Source.String()
		}
		if v.State != nil {
			shown.State = v.State(name)
		}
		if v.Reveal && shown.State == "plain" {
			text := value.Reveal()
			shown.Value = &text
		}
		variables = append(variables, shown)
	}
	e := specs[0].Env
	for _, each := range specs[0].PerCopy {
		e = e.Set(env.FromMode, each.Name, each.Value)
	}
	for _, variable := range e.Variables() {
		add(variable.Name, variable.Source, variable.Value)
	}
	return variables
}
