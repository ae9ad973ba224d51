package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/stage"
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
func signalled(t *testing.T, p stage.Place, o stage.Story) *stage.Running {
	t.Helper()
	o.Talk = true
	o.Words = append(append(o.Words, "env", "GODEBUG=asyncpreemptoff=1"), app("signalled")...)
	r := start(t, p, o)
	r.Says("ready\n", 1)
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
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := signalled(t, p, stage.Story{})
		for _, s := range forwarded() {
			r.Signal(s)
			r.Says(got(s), 1)
		}
		r.HangUp()
		r.WantExit(0)
		r.WantOut("ready\n" + got(forwarded()...) + "bye\n")
	})
}

func TestSignalsThatAreOursAreNotPassedOn(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := signalled(t, p, stage.Story{})
		for range 20 {
			r.Signal(syscall.SIGURG)
			r.Signal(syscall.SIGCHLD)
			r.Signal(syscall.SIGPIPE)
		}
		r.Signal(syscall.SIGUSR1) // behind them
		r.Says(got(syscall.SIGUSR1), 1)
		r.HangUp()
		r.WantExit(0)
		r.WantOut("ready\n" + got(syscall.SIGUSR1) + "bye\n")
	})
}

// The control: the same application, signalled itself, prints the three.
func TestControlTheApplicationHearsEverySignal(t *testing.T) {
	r := start(t, stage.BesideInit, stage.Story{
		Program: stage.Self, Words: []string{"signalled"}, Env: []string{"GODEBUG=asyncpreemptoff=1"}, Talk: true,
	})
	r.Says("ready\n", 1)
	for _, s := range []syscall.Signal{syscall.SIGURG, syscall.SIGCHLD, syscall.SIGPIPE} {
		r.Signal(s)
		r.Says(got(s), 1)
	}
	r.HangUp()
	r.WantExit(0)
}

// A burst while we cannot look: the kernel merges signals of one number, and
// none of the different ones may be lost. Those that stop are not among them,
// because the CONT that wakes us makes the kernel forget them.
func TestABurstOfSignalsLosesNone(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := signalled(t, p, stage.Story{})
		burst := slices.DeleteFunc(forwarded(), func(s syscall.Signal) bool {
			return s == syscall.SIGCONT || s == syscall.SIGTSTP || s == syscall.SIGTTIN || s == syscall.SIGTTOU
		})
		r.Signal(syscall.SIGSTOP) // from outside even a PID 1 can be stopped
		for range 100 {
			for _, s := range burst {
				r.Signal(s)
			}
		}
		r.Signal(syscall.SIGCONT)
		for _, s := range burst {
			r.Says(got(s), 1)
		}
		r.HangUp()
		r.WantExit(0)
	})
}

func TestSignalsAreRewritten(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := signalled(t, p, stage.Story{Words: []string{"exec", "--signals", "TERM:QUIT, USR1:0, RTMIN+3:TERM, HUP:USR2", "--"}})
		r.Signal(syscall.SIGUSR1) // dropped
		for from, to := range map[syscall.Signal]syscall.Signal{
			syscall.SIGTERM: syscall.SIGQUIT, 37: syscall.SIGTERM, syscall.SIGHUP: syscall.SIGUSR2, syscall.SIGINT: syscall.SIGINT,
		} {
			r.Signal(from)
			r.Says(got(to), 1)
		}
		r.HangUp()
		r.WantExit(0)
		if n := strings.Count(r.Stdout.String(), "got "); n != 4 {
			t.Errorf("%d signals arrived, not 4\n%s", n, r)
		}
	})
}

// The signals go to the command alone: its children are its own affair, as
// celery's running tasks are.
func TestSignalsGoToTheCommandAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Talk: true, Words: sh(`
			exec 3<&0 # the background's stdin is /dev/null
			sh -c 'trap "echo child heard it" TERM; echo child ready; read x; echo child ends' <&3 &
			trap 'echo parent heard it' TERM
			echo parent ready
			wait; wait
			exit 4`)})
		r.Says("child ready", 1)
		r.Says("parent ready", 1)
		r.Signal(syscall.SIGTERM)
		r.Says("parent heard it", 1)
		r.HangUp()
		r.WantExit(4)
		if strings.Contains(r.Stdout.String(), "child heard it") {
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
	stage.Write(t, slow, ".env", b.String(), 0o600)
	for _, test := range []struct {
		name   string
		o      stage.Story
		within time.Duration
		want   []int
	}{
		{"a command that dies of it", stage.Story{Words: []string{"sleep", "1000"}}, 20 * time.Millisecond, []int{143}},
		{"a command with a code of its own", stage.Story{Words: sh(`trap 'exit 7' TERM; sleep 1000 & wait`)}, 20 * time.Millisecond, []int{7, 143}},
		{"a slow start", stage.Story{Words: []string{"sleep", "1000"}, Dir: slow}, 100 * time.Millisecond, []int{143}},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p stage.Place) {
				codes := map[int]int{}
				for range 35 {
					r := start(t, p, test.o)
					r.AnyInstant(test.within)
					r.Signal(syscall.SIGTERM)
					code := r.Exit()
					if codes[code]++; !slices.Contains(test.want, code) {
						t.Errorf("code %d, not one of %v\n%s", code, test.want, r)
					}
				}
				t.Logf("codes: %v", codes)
			})
		})
	}
}
