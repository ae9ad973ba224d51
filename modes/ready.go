package modes

import (
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// upFor is when a program that nobody can ask counts as ready.
const upFor = 2 * time.Second

// ready: by its check or an HTTP answer where somebody can be asked, else by time.
func (p *planner) ready(spec *command.Spec) {
	spec.Health = p.Health
	if p.Health.Kind == command.HealthHTTP && len(spec.Bind) == 0 {
		p.askOwn(spec)
	}
	none := p.given("health") && p.Health.Kind == command.HealthNone
	if spec.Health.Kind != command.HealthNone || len(spec.Bind) > 0 && !none {
		spec.Ready.Check = true
	} else {
		spec.Ready.After = upFor
	}
}

// askOwn finds where an http check asks a program that binds by itself: at
// $PORT, as the program does, or where gunicorn and the scripts have their
// default. Who does not serve cannot be asked: a check in an environment that
// containers share is not for this one.
func (p *planner) askOwn(spec *command.Spec) {
	serves := p.Mode == WEB && (len(p.Words) == 0 || p.env.Has("PORT"))
	if addresses := p.portAddress(); serves && len(addresses) > 0 {
		spec.Asked = command.Address{Host: "127.0.0.1", Port: addresses[0].Port}
		return
	}
	switch {
	case p.Mode == WEB:
	case p.byFlag("health"):
		p.fault("health", "http asks a server, and %s is none; wanted: exec:command, file:path<30s or tcp:host:port", p.Mode)
		return
	default:
		p.warn("%s is ignored: http asks a server, and %s is none", p.called("health"), p.Mode)
		spec.Health.Kind, spec.Health.Target = command.HealthNone, ""
		return
	}
	p.fault("health", "http asks at an address that we hold, or at $PORT, and there is neither; wanted: tcp:host:port or exec:command, or --bind")
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
