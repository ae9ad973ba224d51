package stage

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"
)

func (r *Running) ended() bool {
	select {
	case <-r.Done:
		return true
	default:
		return false
	}
}

// Until asks again and again for what no process announces: the condition
// decides, the deadline only ends the wait. So does the end of the binary.
func (r *Running) Until(what string, condition func() bool) {
	r.t.Helper()
	pause := time.Millisecond // then longer: a look costs the machine something
	r.until(what, condition, func() (_, _ <-chan struct{}, again <-chan time.Time) {
		again = time.After(pause)
		pause = min(2*pause, 25*time.Millisecond)
		return nil, nil, again
	})
}

// hears waits for a condition that only more output can bring about.
func (r *Running) hears(what string, condition func() bool) {
	r.t.Helper()
	r.until(what, condition, func() (more, moreErr <-chan struct{}, _ <-chan time.Time) {
		return r.Stdout.more(), r.Stderr.more(), nil
	})
}

func (r *Running) until(what string, condition func() bool, wake func() (more, moreErr <-chan struct{}, again <-chan time.Time)) {
	r.t.Helper()
	deadline := time.After(Patience)
	for {
		more, moreErr, again := wake() // before the look: what changes during it wakes us
		if condition() {
			return
		}
		select {
		case <-more:
		case <-moreErr:
		case <-again:
		case <-r.Done: // all of the output is there now
			if !condition() {
				r.t.Fatalf("ended with %d before %s\n%s", r.Code, what, r)
			}
			return
		case <-deadline:
			r.t.Fatalf("waited %s until %s\n%s", Patience, what, r)
		}
	}
}

// Says waits until stdout and stderr hold the text n times.
func (r *Running) Says(text string, n int) {
	r.t.Helper()
	r.hears(fmt.Sprintf("it says %q %d times", text, n), func() bool { return r.Count(text) >= n })
}

// Count is how often the output holds the text so far.
func (r *Running) Count(text string) int {
	return strings.Count(r.Stdout.String(), text) + strings.Count(r.Stderr.String(), text)
}

// Expect waits until the text stands on stdout behind what was expected before;
// it returns what stands between.
func (r *Running) Expect(text string) (between string) {
	r.t.Helper()
	seen := r.Stdout.String()[:r.heard]
	r.hears(fmt.Sprintf("it says %q behind %q", text, seen[max(0, len(seen)-60):]), func() bool {
		behind := r.Stdout.String()[r.heard:]
		i := strings.Index(behind, text)
		if i < 0 {
			return false
		}
		between = behind[:i]
		r.heard += i + len(text)
		return true
	})
	return between
}

// Say writes to the application's stdin, or types on its terminal.
func (r *Running) Say(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.stdin, text); err != nil {
		r.t.Fatalf("cannot write %q: %v\n%s", text, err, r)
	}
}

// HangUp closes the application's stdin, or takes its terminal away.
func (r *Running) HangUp() {
	r.TTY.Close()
	r.stdin.Close()
}

// Signal sends to the binary, from outside.
func (r *Running) Signal(s syscall.Signal) {
	r.t.Helper()
	// 0 and -1 are not processes to kill(2), but a crowd.
	if r.PID <= 1 {
		r.t.Fatalf("cannot send %v: the binary has ended before it was seen\n%s", s, r)
	}
	if err := syscall.Kill(r.PID, s); err != nil {
		r.t.Fatalf("cannot send %v: %v\n%s", s, err, r)
	}
}

// Exit waits for the end and returns the code.
func (r *Running) Exit() int {
	r.t.Helper()
	select {
	case <-r.Done:
	case <-time.After(Patience):
		r.t.Fatalf("no end within %s\n%s", Patience, r)
	}
	return r.Code
}

// WantExit waits for the end and compares the code.
func (r *Running) WantExit(want ...int) {
	r.t.Helper()
	if code := r.Exit(); !slices.Contains(want, code) {
		r.t.Errorf("exit code %d, not %v\n%s", code, want, r)
	}
}

// WantOut waits for the end and compares stdout.
func (r *Running) WantOut(want string) {
	r.t.Helper()
	r.Exit()
	if got := r.Stdout.String(); got != want {
		r.t.Errorf("stdout is %q, not %q\n%s", got, want, r)
	}
}

// WantSaid checks that stderr holds all of these.
func (r *Running) WantSaid(want ...string) {
	r.t.Helper()
	for _, w := range want {
		if !strings.Contains(r.Stderr.String(), w) {
			r.t.Errorf("it does not say %q\n%s", w, r)
		}
	}
}

// WantOneLine checks that an error is one line of ours that says all of want, and
// that there is no other.
func (r *Running) WantOneLine(want ...string) {
	r.t.Helper()
	if text := r.Stderr.String(); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "entrypoint: error: ") {
		r.t.Errorf("not one line of ours:\n%s", text)
	}
	r.WantSaid(want...)
}

// NoTrace fails a test of which any output holds what a Go program says when it
// dies of its own fault.
func (r *Running) NoTrace() {
	r.t.Helper()
	for _, text := range []string{r.Stdout.String(), r.Stderr.String()} {
		for _, trace := range []string{"goroutine ", "panic: ", "fatal error: ", "runtime error", "runtime: "} {
			if strings.Contains(text, trace) {
				r.t.Errorf("the output holds a Go trace:\n%s", text)
				return
			}
		}
	}
}

// AnyInstant waits for a random one, from 10 ms after exec on. Until then the
// binary has had a processor for so long, too, or has started or said something,
// or has ended: on a busy machine ten milliseconds may pass without one of them
// being its own.
func (r *Running) AnyInstant(within time.Duration) {
	r.t.Helper()
	const from = 10 * time.Millisecond
	<-time.After(from + rand.N(within))
	r.Until("it has run", func() bool {
		return r.onProcessor()-r.ran >= from || len(r.Children()) > 0 || r.Count("\n") > 0 || r.ended()
	})
}

// String is everything that is known of it, for a failure's message.
func (r *Running) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  as %s: %q\n", r.Place, r.Words)
	for _, out := range []struct{ name, text string }{{"stdout", r.Stdout.String()}, {"stderr", r.Stderr.String()}} {
		const most = 6000
		if len(out.text) > most {
			out.text = "...\n" + out.text[len(out.text)-most:]
		}
		for line := range strings.Lines(out.text) {
			fmt.Fprintf(&b, "  %s: %s\n", out.name, strings.TrimSuffix(line, "\n"))
		}
	}
	for _, p := range r.Processes() {
		fmt.Fprintf(&b, "  alive: %s\n", p)
	}
	return b.String()
}
