package supervisor

import (
	"context"
	"log/slog"
	"os"
	"syscall"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/reap"
)

// Exec runs one command once, as tini(1) would: every signal goes to it as it
// came, with no stop sequence of ours; its code is the answer. On a terminal it
// gets the terminal. When it has ended, the rest of its group (as PID 1:
// everything) is ended within the grace period.
//
// A stop that has arrived on signals before the fork ends in CodeStoppedEarly.
// The error says why the command could not be started; the outcome's code is
// right in either case.
func Exec(start *Starter, spec command.Spec, signals <-chan os.Signal, rewrite command.SignalMap, log *slog.Logger) (Outcome, error) {
	early, stopped := drain(signals, rewrite)
	if stopped {
		return Outcome{Code: CodeStoppedEarly, Why: "stopped before anything ran", Stopped: true}, nil
	}
	tty, interactive := foregroundTerminal()
	l, err := start.start(spec, 0, interactive)
	if err != nil {
		return Outcome{Code: exitOfError(err).Code, Why: err.Error()}, err
	}
	defer l.Close()
	log.Debug("started", "pid", l.PID())
	pass := func(s syscall.Signal) {
		if r, ok := rewrite[s]; ok {
			if s = r.To; s == 0 || r.Restart {
				return
			}
		}
		_ = l.process.Signal(s) // ESRCH: it has just ended
	}
	for _, s := range early {
		pass(s)
	}
	resumed := false
	for running := true; running; {
		select {
		case <-l.Ended():
			running = false
		case s := <-signals:
			if s == syscall.SIGCONT && resumed {
				resumed = false // this one was for us; again it would undo the next Ctrl-Z
				continue
			}
			pass(s.(syscall.Signal))
		case by := <-l.process.Stopped():
			if interactive {
				resumed = tty.suspended(l.process, by)
			}
		}
	}
	if interactive {
		tty.takeBack()
	}
	exit := exitOf(l.Status())
	outcome := Outcome{Code: exit.Code, Why: exit.String()}
	var rest reap.Crowd = l.process.Group()
	if os.Getpid() == 1 {
		rest = start.Reaper.Leftover()
	}
	if !rest.Empty() {
		log.Debug("ending what the command left behind", "grace", spec.Grace)
		ctx, cancel := context.WithTimeout(context.Background(), spec.Grace)
		defer cancel()
		outcome.Killed = start.Reaper.Sweep(ctx, rest)
	}
	return outcome, nil
}

// drain reads what has arrived before the fork.
func drain(signals <-chan os.Signal, rewrite command.SignalMap) (early []syscall.Signal, stopped bool) {
	for {
		select {
		case s := <-signals:
			sig := s.(syscall.Signal)
			to := sig
			if r, ok := rewrite[sig]; ok {
				to = r.To
			}
			stopped = stopped || to == syscall.SIGTERM || to == syscall.SIGINT || to == syscall.SIGQUIT
			early = append(early, sig)
		default:
			return early, stopped
		}
	}
}
