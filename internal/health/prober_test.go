package health

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
)

// docker is Docker's own defaults but for the interval.
func docker() command.Health {
	return command.Health{Kind: command.HealthHTTP, Interval: 10 * time.Second, Timeout: 3 * time.Second, Retries: 3}
}

var errDown = errors.New("down")

// watch runs a prober whose check asks well at the time since the start, for so
// long, and returns when it looked and what changed.
func watch(t *testing.T, h command.Health, length time.Duration, well func(since time.Duration) error) (looks []time.Duration, changes []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		p := NewProber("app", func(ctx context.Context) error {
			looks = append(looks, time.Since(start))
			return well(time.Since(start))
		}, h, func(r Result) {
			word := map[bool]string{true: "up", false: "down"}[r.Up]
			changes = append(changes, word+" at "+time.Since(start).String())
		})
		var running sync.WaitGroup
		running.Go(func() { p.Run(ctx) })
		<-time.After(length) // of the bubble's time
		cancel()
		running.Wait()
	})
	return looks, changes
}

func TestRhythm(t *testing.T) {
	from := func(up, down time.Duration) func(time.Duration) error {
		return func(since time.Duration) error {
			if since < up || since >= down {
				return errDown
			}
			return nil
		}
	}
	const never = time.Hour
	withStart := docker()
	withStart.StartPeriod = time.Minute
	for _, story := range []struct {
		name    string
		health  command.Health
		well    func(time.Duration) error
		changes []string
	}{
		{"well from the start", docker(), from(0, never), []string{"up at 0s"}},
		{"boots for two seconds", docker(), from(2*time.Second, never), []string{"up at 2.5s"}},
		{"never well: down when Docker would say so", docker(), from(never, never), []string{"down at 30.5s"}},
		{"never well, in its start period", withStart, from(never, never), []string{"down at 1m20.5s"}},
		{"slow, inside its start period", withStart, from(50*time.Second, never), []string{"up at 50.5s"}},
		{"the first success ends the start period", withStart, from(0, 15*time.Second), []string{"up at 0s", "down at 40s"}},
		{"down and up again", docker(), func(since time.Duration) error {
			if since >= 15*time.Second && since < 65*time.Second {
				return errDown
			}
			return nil
		}, []string{"up at 0s", "down at 40s", "up at 1m10s"}},
		{"two failures are not three", docker(), func(since time.Duration) error {
			if since%(30*time.Second) != 0 {
				return errDown
			}
			return nil
		}, []string{"up at 0s"}},
	} {
		t.Run(story.name, func(t *testing.T) {
			_, changes := watch(t, story.health, 2*time.Minute, story.well)
			if diff := cmp.Diff(story.changes, changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIntervalOnceKnown(t *testing.T) {
	looks, _ := watch(t, docker(), 35*time.Second, func(time.Duration) error { return nil })
	want := []time.Duration{0, 10 * time.Second, 20 * time.Second, 30 * time.Second}
	if !slices.Equal(looks, want) {
		t.Errorf("looked at %v, want %v", looks, want)
	}
}

// A command costs an interpreter's start: its pauses double up to the interval.
func TestCommandsAreNotRunEverySecond(t *testing.T) {
	h := docker()
	h.Kind = command.HealthExec
	down := func(time.Duration) error { return errDown }
	looks, _ := watch(t, h, time.Minute, down)
	if len(looks) > 14 {
		t.Errorf("a command was run %d times in a minute", len(looks))
	}
	if looks, _ := watch(t, docker(), 29*time.Second, down); len(looks) < 29 {
		t.Errorf("control: a cheap check has looked only %d times", len(looks))
	}
}

func TestZeroRhythmIsNoBusyLoop(t *testing.T) {
	looks, _ := watch(t, command.Health{Kind: command.HealthFile}, time.Second, func(time.Duration) error { return errDown })
	if len(looks) > 101 {
		t.Errorf("%d looks in a second", len(looks))
	}
}

func TestTimeoutAndNoOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		inside, most, looks := 0, 0, 0
		p := NewProber("app", func(ctx context.Context) error {
			inside++
			looks++
			most = max(most, inside)
			<-ctx.Done()
			<-time.After(20 * time.Second) // slower to end than the interval
			inside--
			return ctx.Err()
		}, docker(), nil)
		var running sync.WaitGroup
		running.Go(func() { p.Run(ctx) })
		<-time.After(5 * time.Minute)
		r := p.Result()
		if r.Up || !r.Known || r.Last != "no result within 3s" || r.Duration != 23*time.Second {
			t.Errorf("%+v", r)
		}
		cancel()
		running.Wait()
		if most != 1 || looks < 3 {
			t.Errorf("%d looks, %d at once", looks, most)
		}
	})
}

func TestResultIsReadWhileALookHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := NewProber("app", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, docker(), nil)
		if r := p.Result(); r.Known || r.Up || !r.Since.IsZero() {
			t.Errorf("before the first look: %+v", r)
		}
		var running sync.WaitGroup
		running.Go(func() { p.Run(ctx) })
		synctest.Wait() // the look hangs
		if r := p.Result(); r.Known || r.Last != "" {
			t.Errorf("%+v", r)
		}
		cancel() // ends the look, which then says nothing about the program
		running.Wait()
		if r := p.Result(); r.Last != "" {
			t.Errorf("the end of the prober was taken for a failure: %+v", r)
		}
	})
}
