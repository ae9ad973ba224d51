package supervisor

import (
	"os"
	"syscall"

	"github.com/codeontap/entrypoint/internal/command"
)

// Forward turns what arrives on signals into calls, until stop is closed: the
// rewrite first, then TERM, INT and QUIT ask for the stop, restart for a rolling
// restart, and everything else goes to the copies as it is.
func (s *Supervisor) Forward(signals <-chan os.Signal, rewrite command.SignalMap, restart func(), stop <-chan struct{}) {
	for {
		select {
		case arrived := <-signals:
			s.dispatch(arrived.(syscall.Signal), rewrite, restart)
		case <-stop:
			return
		}
	}
}

func (s *Supervisor) dispatch(sig syscall.Signal, rewrite command.SignalMap, restart func()) {
	name := command.SignalName(sig)
	if r, ok := rewrite[sig]; ok {
		switch {
		case r.Restart:
			s.counters.signalled(name, "restart")
			restart()
			return
		case r.To == 0:
			s.counters.signalled(name, "dropped")
			return
		}
		s.counters.signalled(name, "rewritten")
		sig, name = r.To, command.SignalName(r.To)
	}
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
		s.config.Log.Info("stop requested", "signal", name)
		s.counters.signalled(name, "stop")
		s.Stop()
	default:
		s.Signal(sig)
	}
}
