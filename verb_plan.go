package main

import "github.com/urfave/cli/v2"

func (p *program) planVerb(c *cli.Context) error {
	s, err := p.prepare(c)
	if err != nil {
		return err
	}
	_, err = s.decide(c.Args().Slice())
	return err
}
