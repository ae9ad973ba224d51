package supervisor

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/reap"
)

// terminal is the one that a command runs on, handed over to its process group
// while it runs, as a shell does with a job.
type terminal struct{ fd int }

// foregroundTerminal returns stdin's terminal, if it is one, if it controls our
// session, and if we have it now: a background job must not grab it.
func foregroundTerminal() (*terminal, bool) {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	if err != nil || group != unix.Getpgrp() {
		return nil, false
	}
	return &terminal{fd: 0}, true
}

// give makes a group the terminal's foreground group. From the background that
// is refused by TTOU, unless it is ignored.
func (t *terminal) give(group int) {
	signal.Ignore(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
}

func (t *terminal) takeBack() { t.give(unix.Getpgrp()) }

// suspended does what a shell does when its job was stopped (Ctrl-Z): the
// terminal is ours again, we stop as well, so that the shell above us sees it,
// and when it continues us we continue the job. A PID 1 cannot be stopped and
// has no shell above it: the job goes on at once instead of hanging for good.
// resumed says that a CONT has continued us, and that it is among the signals.
func (t *terminal) suspended(p *reap.Process, by syscall.Signal) (resumed bool) {
	switch by {
	case syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
	default:
		return false // somebody's SIGSTOP, and somebody's CONT to come
	}
	if os.Getpid() != 1 {
		t.takeBack()
		// To this very thread: a STOP to the process may be taken by another
		// one, and we would go on, and continue the job, before it holds us.
		runtime.LockOSThread()
		_ = unix.Tgkill(os.Getpid(), unix.Gettid(), syscall.SIGSTOP)
		runtime.UnlockOSThread()
		if group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err == nil && group == unix.Getpgrp() {
			t.give(p.Group().ID()) // fg, not bg
		}
	}
	_ = p.Group().Signal(syscall.SIGCONT)
	return os.Getpid() != 1
}
