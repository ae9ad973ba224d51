package main

import (
	"github.com/urfave/cli/v2"

	"github.com/codeontap/entrypoint/internal/kms"
	"github.com/codeontap/entrypoint/modes"
)

// planVerb prints what run would do. It starts nothing, asks no network,
// changes nothing, and shows no value unless told to, and then none that was
// encrypted.
func (p *program) planVerb(c *cli.Context) error {
	s := p.prepare(flagsGiven(c))
	plan, err := s.decide(c.Args().Slice())
	states := map[string]string{}
	for _, candidate := range kms.Classify(s.environment, kms.Auto) {
		states[candidate.Name] = candidate.State()
	}
	view := modes.View{
		State: func(name string) string {
			if state, ok := states[name]; ok {
				return state
			}
			return "plain"
		},
		Reveal: c.Bool("reveal"), Problems: s.list,
	}
	write := plan.WriteText
	if c.Bool("json") {
		write = plan.WriteJSON
	}
	if err := write(p.stdout, view); err != nil {
		return err
	}
	if err != nil {
		return silent(s.code())
	}
	return nil
}
