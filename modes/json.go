package modes

import (
	"encoding/json"
	"io"

	"github.com/codeontap/entrypoint/internal/command"
)

// The shapes of `plan --json` (interface.md, JSON).
type (
	planJSON struct {
		Mode        string         `json:"mode"`
		Modes       []string       `json:"modes"`
		Platform    string         `json:"platform"`
		Directory   string         `json:"directory"`
		Package     string         `json:"package"`
		WaitFor     []string       `json:"wait_for"`
		Init        []commandJSON  `json:"init"`
		Commands    []commandJSON  `json:"commands"`
		Timeout     string         `json:"timeout,omitempty"`
		Environment []variableView `json:"environment"`
		Warnings    []string       `json:"warnings"`
		Problems    []problemJSON  `json:"problems"`
	}
	commandJSON struct {
		Name     string      `json:"name"`
		Argv     []string    `json:"argv"`
		Dir      string      `json:"directory,omitempty"`
		Copies   int         `json:"copies"`
		Strategy string      `json:"strategy"`
		Why      string      `json:"why"`
		Bind     []string    `json:"bind"`
		Private  bool        `json:"private_socket"`
		Stop     []stageJSON `json:"stop"`
		Grace    string      `json:"grace"`
		Drain    string      `json:"drain"`
		Restart  string      `json:"restart"`
		Ready    string      `json:"ready"`
		Health   string      `json:"health"`
	}
	stageJSON struct {
		Signal string `json:"signal"`
		Wait   string `json:"wait,omitempty"`
	}
	problemJSON struct {
		Name    string `json:"name,omitempty"`
		Problem string `json:"problem"`
		Code    int    `json:"code"`
	}
)

// WriteJSON prints the plan for programs.
func (p Plan) WriteJSON(w io.Writer, v View) error {
	out := planJSON{
		Mode: p.Mode.String(), Modes: make([]string, len(p.Modes)), Platform: p.Platform, Directory: p.Dir, Package: p.Package,
		WaitFor: p.servers(), Init: commandsJSON(p.Init), Commands: commandsJSON(p.Commands),
		Environment: p.variables(v), Warnings: append([]string{}, p.Warnings...), Problems: make([]problemJSON, len(v.Problems)),
	}
	for i, m := range p.Modes {
		out.Modes[i] = m.String()
	}
	if p.Timeout > 0 {
		out.Timeout = short(p.Timeout)
	}
	for i, problem := range v.Problems {
		out.Problems[i] = problemJSON{problem.Name, problem.Message, problem.Code}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}

func commandsJSON(specs []command.Spec) []commandJSON {
	out := make([]commandJSON, len(specs))
	for i, spec := range specs {
		c := commandJSON{
			Name: spec.Name, Argv: spec.Argv, Dir: spec.Dir, Copies: spec.Copies, Strategy: spec.Strategy.String(), Why: spec.Why,
			Bind: make([]string, len(spec.Bind)), Private: spec.Private, Stop: make([]stageJSON, len(spec.Stop)),
			Grace: short(spec.Grace), Drain: short(spec.Drain), Restart: spec.Restart.String(), Ready: readiness(spec), Health: spec.Health.String(),
		}
		for j, address := range spec.Bind {
			c.Bind[j] = address.String()
		}
		for j, stage := range spec.Stop {
			c.Stop[j].Signal = command.SignalName(stage.Signal)
			if stage.Wait > 0 {
				c.Stop[j].Wait = short(stage.Wait)
			}
		}
		out[i] = c
	}
	return out
}

// readiness in words.
func readiness(spec command.Spec) string {
	switch {
	case spec.Ready.Check && spec.Health.Kind != command.HealthNone:
		return "when its check succeeds"
	case spec.Ready.Check && spec.Private:
		return "at the first HTTP answer on its private socket"
	case spec.Ready.Check:
		return "at the first HTTP answer on the shared socket"
	case spec.Ready.After > 0:
		return "after " + short(spec.Ready.After) + " of life"
	}
	return "while it runs"
}
