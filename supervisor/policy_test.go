package supervisor

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

func TestJudge(t *testing.T) {
	always, onFailure, never := webSpec(), webSpec(), webSpec()
	onFailure.Restart, never.Restart = command.OnFailure, command.Never
	always.Fatal = []int{3, 4}
	one := Exit{Code: 1, Reason: ByExit}
	zero := Exit{Reason: ByExit}
	for _, test := range []struct {
		name   string
		spec   command.Spec
		before []death
		death  death
		next   State
		wait   time.Duration
	}{
		{"always: 0 is not what a server does", always, nil, death{exit: zero, wasReady: true}, Backoff, 500 * time.Millisecond},
		{"always: a failure", always, nil, death{exit: one}, Backoff, 500 * time.Millisecond},
		{"on-failure: 0 is finished", onFailure, nil, death{exit: zero}, Stopped, 0},
		{"on-failure: a failure", onFailure, nil, death{exit: one}, Backoff, 500 * time.Millisecond},
		{"on-failure: a signal", onFailure, nil, death{exit: Exit{Code: 137, Signal: syscall.SIGKILL, Reason: BySignal}}, Backoff, 500 * time.Millisecond},
		{"on-failure: 0 of a copy that we replace is not finished", onFailure, nil, death{exit: Exit{Reason: Unhealthy}, wasReady: true}, Backoff, 500 * time.Millisecond},
		{"never: 0", never, nil, death{exit: zero}, Stopped, 0},
		{"never: a failure", never, nil, death{exit: one}, Failed, 0},
		{"127 at once", always, nil, death{exit: Exit{Code: 127, Reason: NotStarted}}, Failed, 0},
		{"126 at once", always, nil, death{exit: Exit{Code: 126, Reason: NotStarted}}, Failed, 0},
		{"a shell's 127 at once", always, nil, death{exit: Exit{Code: 127, Reason: ByExit}}, Failed, 0},
		{"a busy kernel is asked again", always, nil, death{exit: Exit{Code: 1, Reason: NotStarted}}, Backoff, 500 * time.Millisecond},
		{"and again and again: nothing has died", always, deaths(Exit{Code: 1, Reason: NotStarted}, 0, 1, 2, 3, 4, 5), death{exit: Exit{Code: 1, Reason: NotStarted}, now: at(6)}, Backoff, 30 * time.Second},
		{"gunicorn's 3 before it was ready", always, nil, death{exit: Exit{Code: 3, Reason: ByExit}}, Failed, 0},
		{"gunicorn's 3 after it has served", always, nil, death{exit: Exit{Code: 3, Reason: ByExit}, wasReady: true}, Backoff, 500 * time.Millisecond},
		{"gunicorn's 3 after an earlier life has served", always, []death{{exit: one, wasReady: true}}, death{exit: Exit{Code: 3, Reason: ByExit}}, Backoff, time.Second},
		{"131 is a signal, not a code of 3", always, nil, death{exit: Exit{Code: 131, Signal: 3, Reason: BySignal}}, Backoff, 500 * time.Millisecond},
		{"on trial there is no second try", always, nil, death{exit: one, trial: true}, Failed, 0},
		{"on trial 0 is a failure too", onFailure, nil, death{exit: zero, trial: true}, Failed, 0},
		{"the fifth within the window", always, deaths(one, 0, 10, 20, 30), death{exit: one, now: at(59)}, Failed, 0},
		{"the fifth just outside of it", always, deaths(one, 0, 10, 20, 30), death{exit: one, now: at(60)}, Backoff, 8 * time.Second},
		{"a healthy minute begins the backoff anew", always, deaths(one, 0, 10, 20), death{exit: one, now: at(100), lived: time.Minute}, Backoff, 500 * time.Millisecond},
		{"nearly one does not", always, deaths(one, 0, 10, 20), death{exit: one, now: at(100), lived: time.Minute - 1}, Backoff, 4 * time.Second},
	} {
		var h history
		for _, d := range test.before {
			if v := h.judge(test.spec, d, 0); v.next != Backoff {
				t.Fatalf("%s: given up before: %+v", test.name, v)
			}
		}
		v := h.judge(test.spec, test.death, 0)
		if v.next != test.next || v.wait != test.wait {
			t.Errorf("%s: %s after %s (%s), not %s after %s", test.name, v.next, v.wait, v.why, test.next, test.wait)
		}
		if v.next != Backoff && v.why == "" {
			t.Errorf("%s: no reason given", test.name)
		}
	}
}

// at is a moment so many seconds into the test.
func at(seconds int) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(seconds) * time.Second)
}

func deaths(exit Exit, seconds ...int) []death {
	var all []death
	for _, s := range seconds {
		all = append(all, death{exit: exit, now: at(s)})
	}
	return all
}

func TestBackoffDoublesToItsCap(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		first, last time.Duration
		want        []time.Duration
	}{
		{500 * ms, 30000 * ms, []time.Duration{500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 16000 * ms, 30000 * ms, 30000 * ms}},
		{0, 1000 * ms, []time.Duration{0, 50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms}},
		{0, 0, []time.Duration{0, 0, 0}},
		{2000 * ms, 2000 * ms, []time.Duration{2000 * ms, 2000 * ms}},
	} {
		b := command.Backoff{First: test.first, Cap: test.last}
		for steps, want := range test.want {
			if got := backoff(b, steps); got != want {
				t.Errorf("%s, step %d: %s, not %s", b, steps, got, want)
			}
		}
	}
	if got := backoff(command.Backoff{First: time.Second, Cap: 1 << 62}, 1000); got != 1<<62 {
		t.Errorf("a thousand doublings: %s", got)
	}
}

// The wait is between half of the step and all of it, and not always the same.
func TestJitterStaysWithinItsBounds(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 1000 {
		var h history
		v := h.judge(webSpec(), death{exit: Exit{Code: 1, Reason: ByExit}}, jitter())
		if v.wait <= 250*time.Millisecond || v.wait > 500*time.Millisecond {
			t.Fatalf("%s", v.wait)
		}
		seen[v.wait] = true
	}
	if len(seen) < 500 {
		t.Errorf("only %d different waits of 1000", len(seen))
	}
}

func FuzzJudgeAlwaysDecides(f *testing.F) {
	f.Add(int64(5e8), int64(3e10), 5, int64(6e10), 1, int64(0), 0.5)
	f.Add(int64(0), int64(0), 1, int64(1), 0, int64(7e10), 0.0)
	f.Fuzz(func(t *testing.T, first, last int64, deaths int, window int64, code int, lived int64, jitter float64) {
		if first < 0 || last < first || deaths < 1 || window < 1 || jitter < 0 || jitter >= 1 {
			t.Skip("no backoff, limit or jitter that can be set")
		}
		spec := webSpec()
		spec.Backoff = command.Backoff{First: time.Duration(first), Cap: time.Duration(last)}
		spec.GiveUp = command.GiveUp{Deaths: deaths, Window: time.Duration(window)}
		var h history
		for range min(deaths, 100) {
			v := h.judge(spec, death{exit: Exit{Code: code, Reason: ByExit}, lived: time.Duration(lived)}, jitter)
			if !slices.Contains([]State{Backoff, Stopped, Failed}, v.next) || v.wait < 0 || v.wait > spec.Backoff.Cap {
				t.Fatalf("%+v", v)
			}
		}
		if deaths <= 100 && h.judge(spec, death{exit: Exit{Code: code, Reason: ByExit}}, jitter).next != Failed {
			t.Error("not given up at the limit")
		}
	})
}
