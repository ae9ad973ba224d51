package modes

import (
	"strings"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// stages derives a stop from the time there is for it.
func stages(first syscall.Signal, budget time.Duration) command.Stages {
	return command.Stages{{Signal: first, Wait: budget}, {Signal: syscall.SIGKILL}}
}

// workerStages gives celery time to finish its tasks, and time to hand back what
// it could not finish: QUIT after TERM returns acks_late tasks to the queue at
// once, KILL leaves them unacknowledged for as long as the broker's patience.
func workerStages(budget time.Duration) command.Stages {
	last := 5 * time.Second
	if budget < 15*time.Second {
		last = (budget / 3).Truncate(100 * time.Millisecond)
	}
	if last == 0 {
		return stages(syscall.SIGTERM, budget)
	}
	return command.Stages{{Signal: syscall.SIGTERM, Wait: budget - last}, {Signal: syscall.SIGQUIT, Wait: last}, {Signal: syscall.SIGKILL}}
}

// stopping fills in how the program is stopped within the grace. drains is for
// programs that serve requests; derive makes the stages of the time that is left.
func (p *planner) stopping(spec *command.Spec, drains bool, derive func(time.Duration) command.Stages) {
	spec.Grace = p.Grace
	if drains {
		spec.Drain = p.Drain
	}
	if spec.Drain > 0 && spec.Drain >= p.Grace {
		p.fault("drain", "wanted: less than the grace of %s, which holds the drain and every stage", short(p.Grace))
		return
	}
	budget := p.Grace - spec.Drain
	if !p.given("stop") {
		spec.Stop = derive(budget)
		return
	}
	spec.Stop = p.Stop
	if p.Stop.Length() > budget {
		what := "the grace of " + short(p.Grace)
		if spec.Drain > 0 {
			what += " less the drain of " + short(spec.Drain)
		}
		p.fault("stop", "wanted: waits of at most %s together, which is %s; they are %s", short(budget), what, short(p.Stop.Length()))
	}
	if !p.Stop.EndsInKill() {
		p.warn("%s does not end in KILL: what ignores its signals holds up the stop until the grace is over", p.called("stop"))
	}
}

// firstSignal asks the server to stop. uwsgi 2.0 with a master reloads at TERM,
// and without one does not hear QUIT; INT ends both (measured with 2.0.21).
func firstSignal(s server) syscall.Signal {
	if s.stopsBy != 0 {
		return s.stopsBy
	}
	return syscall.SIGTERM
}

// short is a duration as people write it: 1m and not 1m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
