package health

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// Result is what a Prober knows.
type Result struct {
	Up    bool
	Known bool      // false until the first success, or the failures that make it down
	Since time.Time // of Up and Known; zero before the first look

	Last     string        // the last look's error, empty after a success
	Duration time.Duration // of the last look
}

// Prober looks in the rhythm of a command.Health and remembers the result. The
// zero value is of no use; see NewProber.
type Prober struct {
	name     string
	check    Check
	health   command.Health
	onChange func(Result)
	result   atomic.Pointer[Result]
}

// NewProber makes one that has not looked yet. onChange, if not nil, is called
// from Run's goroutine when Up or Known changes, and may not block for long.
func NewProber(name string, check Check, h command.Health, onChange func(Result)) *Prober {
	p := &Prober{name: name, check: check, health: h, onChange: onChange}
	p.result.Store(&Result{})
	return p
}

// Name is what the check is called in /readyz and in metrics.
func (p *Prober) Name() string { return p.name }

// Result is the latest one. It costs a pointer and never waits.
func (p *Prober) Result() Result { return *p.result.Load() }

// Run looks until ctx ends. There is one look at a time: the next begins an
// interval after the last has ended.
func (p *Prober) Run(ctx context.Context) {
	pace := newPace(p.health, time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		err := p.look(ctx)
		if ctx.Err() != nil {
			return // the look was cut short and says nothing
		}
		now := time.Now()
		changed := pace.observe(now, now.Sub(began), err)
		result := pace.result
		p.result.Store(&result)
		if changed && p.onChange != nil {
			p.onChange(result)
		}
		timer.Reset(pace.nextPause())
	}
}

func (p *Prober) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.health.Timeout)
	defer cancel()
	err := p.check(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no result within %s", p.health.Timeout)
	}
	return err
}
