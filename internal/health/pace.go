package health

import (
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

const (
	// firstPause follows the first look, when the program may become ready at
	// any moment. It doubles until the first verdict.
	firstPause = 100 * time.Millisecond
	// cheapPause bounds the pauses before the first verdict where a look costs
	// next to nothing. A command is an interpreter's start, and doubles on.
	cheapPause = time.Second
	// shortest keeps a rhythm of zeros from becoming a busy loop.
	shortest = 10 * time.Millisecond
)

// pace decides when to look and what the looks add up to: Docker's interval,
// retries and start period (docs.docker.com/reference/dockerfile/#healthcheck),
// with one addition. Until the first verdict it looks more often, so that a copy
// that is ready is soon known to be; of these looks one failure per interval
// counts, so that "down" takes as long as it does in Docker.
type pace struct {
	health  command.Health
	began   time.Time
	counted time.Time // when a failure counted last
	wasUp   bool      // once: the start period is over
	fails   int       // consecutive ones that counted
	pause   time.Duration
	result  Result
}

func newPace(h command.Health, now time.Time) *pace {
	h.Interval = max(h.Interval, shortest)
	h.Retries = max(h.Retries, 1)
	return &pace{health: h, began: now, counted: now, pause: firstPause}
}

// observe takes the outcome of a look and reports whether it changes the verdict.
func (p *pace) observe(now time.Time, took time.Duration, err error) (changed bool) {
	before := p.result
	p.result.Duration = took
	p.result.Last = ""
	if before.Since.IsZero() {
		p.result.Since = now
	}
	switch {
	case err == nil:
		p.fails, p.wasUp = 0, true
		p.result.Up, p.result.Known = true, true
	default:
		p.result.Last = err.Error()
		if p.counts(now) {
			p.fails++
			p.counted = now
		}
		if p.fails >= p.health.Retries {
			p.result.Up, p.result.Known = false, true
		}
	}
	changed = p.result.Up != before.Up || p.result.Known != before.Known
	if changed {
		p.result.Since = now
	}
	return changed
}

func (p *pace) counts(now time.Time) bool {
	if p.wasUp {
		return true
	}
	return now.Sub(p.began) >= p.health.StartPeriod && now.Sub(p.counted) >= p.health.Interval
}

// nextPause is the time until the next look; each call counts as one pause.
func (p *pace) nextPause() time.Duration {
	if p.result.Known {
		return p.health.Interval
	}
	pause := min(p.pause, p.health.Interval)
	if p.health.Kind != command.HealthExec {
		pause = min(pause, cheapPause)
	}
	if p.pause < p.health.Interval {
		p.pause *= 2
	}
	return pause
}
