// Package early catches signals before main: a Go program that gets TERM
// before signal.Notify exits 2, and the kernel drops what is sent to a PID 1
// that has no handler. Package initialisation of the libraries takes
// milliseconds; this package depends on os/signal alone and is initialised
// before them.
package early

import (
	"os"
	"os/signal"
	"syscall"
)

// signals holds what arrives until somebody listens. Its room is for bursts: a
// full channel drops signals, as the kernel merges those of one number.
var signals = make(chan os.Signal, 256)

// discard takes SIGPIPE: signal.Ignore would be inherited by the application,
// and without a handler a closed stderr would end a PID 1.
var discard = make(chan os.Signal, 1)

// first are caught before main; each costs about 20 us, so the rest waits until
// the first process was started.
var first = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}

// ignored are the signals that we were started with as ignored.
var ignored []syscall.Signal

func init() {
	for s := syscall.Signal(1); s <= 64; s++ {
		if s >= 32 && s <= 34 {
			// The C library's own, which glibc's posix_spawn leaves ignored (make
			// starts everything so). Go's runtime does not touch them: they are
			// inherited by themselves.
			continue
		}
		if ignoredAtEntry(s) || (s == syscall.SIGHUP || s == syscall.SIGINT) && signal.Ignored(s) {
			ignored = append(ignored, s)
		}
	}
	signal.Notify(signals, first...)
	signal.Notify(discard, syscall.SIGPIPE)
}

// Signals is the one channel that every caught signal arrives at.
func Signals() <-chan os.Signal { return signals }

// Ignored are the signals that were ignored when we started (nohup(1), a
// shell's background job): the application has to start with them ignored.
func Ignored() []syscall.Signal { return ignored }

// CatchRest catches all that can be passed on and is not caught yet. Not among
// them: CHLD, which the reaper listens to; URG, which is Go's own preemption;
// PIPE; KILL and STOP; and PROF and 32 to 34, which Go does not deliver. ABRT and
// its kind are the application's when somebody sends them; a fault of our own is
// still a crash.
func CatchRest() {
	rest := make([]os.Signal, 0, 64)
	for s := syscall.Signal(1); s <= 64; s++ {
		switch s {
		case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE, syscall.SIGKILL, syscall.SIGSTOP,
			syscall.SIGPROF, 32, 33, 34:
		default:
			rest = append(rest, s)
		}
	}
	signal.Notify(signals, rest...)
}

// Release gives the signals their usual meaning back, for verbs that start
// nothing. It reports a stop that has already been asked for.
func Release() (stopped bool) {
	signal.Reset(first...) // all 64 would cost a millisecond
	signal.Notify(discard, syscall.SIGPIPE)
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT {
				stopped = true
			}
		default:
			return stopped
		}
	}
}
