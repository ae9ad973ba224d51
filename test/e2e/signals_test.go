package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// forwarded are the signals that can be passed on. The others: KILL and STOP
// cannot be caught; CHLD, URG (Go's own preemption) and PIPE are ours; the
// faults end whom they hit; Go's runtime cannot deliver PROF and 32 to 34.
func forwarded() []syscall.Signal {
	var all []syscall.Signal
	for s := syscall.Signal(1); s <= 64; s++ {
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE,
			syscall.SIGPROF, 32, 33, 34:
		default:
			all = append(all, s)
		}
	}
	return all
}

// signalled starts the application that prints its signals. Its own runtime
// must not send itself URG.
func signalled(t *testing.T, p place, o opts) *running {
	t.Helper()
	o.stdin = true
	o.args = append(append(o.args, "env", "GODEBUG=asyncpreemptoff=1"), app("signalled")...)
	r := start(t, p, o)
	r.waitFor("ready\n")
	return r
}

func got(signals ...syscall.Signal) string {
	var b strings.Builder
	for _, s := range signals {
		fmt.Fprintf(&b, "got %d.\n", s)
	}
	return b.String()
}

// Each one arrives as it was sent, once: TTIN, TTOU and TSTP too, which are
// gunicorn's "one worker more, one less", and the real-time ones (STOPSIGNAL
// RTMIN+3 is systemd's).
func TestEverySignalArrivesAsItIsOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := signalled(t, p, opts{})
		for _, s := range forwarded() {
			r.signal(s)
			r.waitFor(got(s))
		}
		r.hangUp()
		r.wantExit(0)
		if got, want := r.stdout.String(), "ready\n"+got(forwarded()...)+"bye\n"; got != want {
			t.Errorf("the application got\n%s, not\n%s", got, want)
		}
	})
}

func TestSignalsThatAreOursAreNotPassedOn(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := signalled(t, p, opts{})
		for range 20 {
			r.signal(syscall.SIGURG)
			r.signal(syscall.SIGCHLD)
			r.signal(syscall.SIGPIPE)
		}
		r.signal(syscall.SIGUSR1) // behind them
		r.waitFor(got(syscall.SIGUSR1))
		r.hangUp()
		r.wantExit(0)
		if text, want := r.stdout.String(), "ready\n"+got(syscall.SIGUSR1)+"bye\n"; text != want {
			t.Errorf("the application got\n%s", text)
		}
	})
}

// The control: the same application, signalled itself, prints the three.
func TestControlTheApplicationHearsEverySignal(t *testing.T) {
	r := start(t, besideInit, opts{
		path: self, args: []string{"signalled"}, env: []string{"GODEBUG=asyncpreemptoff=1"}, stdin: true,
	})
	r.waitFor("ready\n")
	for _, s := range []syscall.Signal{syscall.SIGURG, syscall.SIGCHLD, syscall.SIGPIPE} {
		r.signal(s)
		r.waitFor(got(s))
	}
	r.hangUp()
	r.wantExit(0)
}

// A burst while we cannot look: the kernel merges signals of one number, and
// none of the different ones may be lost. Those that stop are not among them,
// because the CONT that wakes us makes the kernel forget them.
func TestABurstOfSignalsLosesNone(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := signalled(t, p, opts{})
		burst := slices.DeleteFunc(forwarded(), func(s syscall.Signal) bool {
			return s == syscall.SIGCONT || s == syscall.SIGTSTP || s == syscall.SIGTTIN || s == syscall.SIGTTOU
		})
		r.signal(syscall.SIGSTOP) // from outside even a PID 1 can be stopped
		for range 100 {
			for _, s := range burst {
				r.signal(s)
			}
		}
		r.signal(syscall.SIGCONT)
		for _, s := range burst {
			r.waitFor(got(s))
		}
		r.hangUp()
		r.wantExit(0)
	})
}

func TestSignalsAreRewritten(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := signalled(t, p, opts{args: []string{"exec", "--signals", "TERM:QUIT, USR1:0, RTMIN+3:TERM, HUP:USR2", "--"}})
		r.signal(syscall.SIGUSR1) // dropped
		for from, to := range map[syscall.Signal]syscall.Signal{
			syscall.SIGTERM: syscall.SIGQUIT, 37: syscall.SIGTERM, syscall.SIGHUP: syscall.SIGUSR2, syscall.SIGINT: syscall.SIGINT,
		} {
			r.signal(from)
			r.waitFor(got(to))
		}
		r.hangUp()
		r.wantExit(0)
		if n := strings.Count(r.stdout.String(), "got "); n != 4 {
			t.Errorf("%d signals arrived, not 4\n%s", n, r)
		}
	})
}

// The signals go to the command alone: its children are its own affair, as
// celery's running tasks are.
func TestSignalsGoToTheCommandAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{stdin: true, args: sh(`
			exec 3<&0 # the background's stdin is /dev/null
			sh -c 'trap "echo child heard it" TERM; echo child ready; read x; echo child ends' <&3 &
			trap 'echo parent heard it' TERM
			echo parent ready
			wait; wait
			exit 4`)})
		r.waitFor("child ready")
		r.waitFor("parent ready")
		r.signal(syscall.SIGTERM)
		r.waitFor("parent heard it")
		r.hangUp()
		r.wantExit(4)
		if strings.Contains(r.stdout.String(), "child heard it") {
			t.Errorf("the child was signalled as well\n%s", r)
		}
	})
}

// TERM at any instant from 10 ms after exec on is the default action of the
// command, its own code, or our early stop: never Go's 2, never a hang. The
// instants are random; what follows them is not.
func TestTERMAtAnyInstantOfTheStart(t *testing.T) {
	// Reading this takes most of the time, so that the stop often comes first.
	slow := t.TempDir()
	var b strings.Builder
	for i := range 12000 {
		fmt.Fprintf(&b, "VARIABLE_%05d='a value of ${HOME:-nobody}'\n", i)
	}
	write(t, slow, ".env", b.String(), 0o600)
	for _, test := range []struct {
		name   string
		o      opts
		within time.Duration
		want   []int
	}{
		{"a command that dies of it", opts{args: []string{"sleep", "1000"}}, 20 * time.Millisecond, []int{143}},
		{"a command with a code of its own", opts{args: sh(`trap 'exit 7' TERM; sleep 1000 & wait`)}, 20 * time.Millisecond, []int{7, 143}},
		{"a slow start", opts{args: []string{"sleep", "1000"}, dir: slow}, 100 * time.Millisecond, []int{143}},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p place) {
				codes := map[int]int{}
				for range 35 {
					r := start(t, p, test.o)
					<-time.After(10*time.Millisecond + randomUpTo(test.within))
					r.hasRun(10 * time.Millisecond)
					r.signal(syscall.SIGTERM)
					code := r.exit()
					if codes[code]++; !slices.Contains(test.want, code) {
						t.Errorf("code %d, not one of %v\n%s", code, test.want, r)
					}
				}
				t.Logf("codes: %v", codes)
			})
		})
	}
}

// hasRun waits until the binary has really run for so long since its exec, or
// has started its command: on a busy machine ten milliseconds may pass without
// one of them being ours.
func (r *running) hasRun(wanted time.Duration) {
	r.t.Helper()
	r.eventually("it has run", func() bool {
		ran, started := r.usage()
		return started || ran-r.before >= wanted
	})
}

// usage is the time that the binary's threads have had on a processor, the
// stage's included, and whether it has a child.
func (r *running) usage() (ran time.Duration, started bool) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", r.pid))
	for _, thread := range threads {
		var ns int64
		_, _ = fmt.Sscan(read(r.t, thread+"/schedstat"), &ns)
		ran += time.Duration(ns)
		started = started || read(r.t, thread+"/children") != ""
	}
	return ran, started
}

func randomUpTo(d time.Duration) time.Duration { return rand.N(d) }
