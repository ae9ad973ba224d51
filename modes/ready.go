package modes

import (
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// upFor is when a program that nobody can ask counts as ready.
const upFor = 2 * time.Second

// ready: by its check or an HTTP answer where somebody can be asked, else by time.
func (p *planner) ready(spec *command.Spec, asked bool) {
	spec.Health = p.Health
	explicitNone := p.given("health") && p.Health.Kind == command.HealthNone
	switch {
	case p.Health.Kind == command.HealthHTTP && len(spec.Bind) == 0:
		p.fault("health", "http asks at an address that we hold, and there is none here; wanted: tcp:host:port or exec:command, or --bind")
	case p.Health.Kind != command.HealthNone, asked && !explicitNone:
		spec.Ready.Check = true
	default:
		spec.Ready.After = upFor
	}
}

// rhythm checks what a prober cannot work with, and the words of a command.
func (p *planner) rhythm() {
	if p.given("health-interval") && p.Health.Interval <= 0 {
		p.fault("health-interval", "wanted: more than 0s")
	}
	if p.given("health-timeout") && p.Health.Timeout <= 0 {
		p.fault("health-timeout", "wanted: more than 0s")
	}
	if p.given("health-retries") && p.Health.Retries < 1 {
		p.fault("health-retries", "wanted: a number from 1 on")
	}
	if p.Health.Kind == command.HealthExec {
		if _, err := command.Words(p.Health.Target); err != nil {
			p.fault("health", "exec: %v", err)
		}
	}
}
