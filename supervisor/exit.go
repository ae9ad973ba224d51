package supervisor

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/reap"
)

// Reason says why a copy ended, beside its code.
type Reason string

// The reasons, as status and metrics name them.
const (
	ByExit     Reason = "exit"        // it ended by itself
	BySignal   Reason = "signal"      // somebody else's signal ended it
	ByOOM      Reason = "oom"         // the kernel killed it for memory
	ByStop     Reason = "stopped"     // we asked it to end
	ByKill     Reason = "killed"      // it had to be killed at the end of the grace period
	Unhealthy  Reason = "unhealthy"   // its own check failed and it is replaced
	NotStarted Reason = "not-started" // it could not be started
)

// Exit is the end of one life of a copy.
type Exit struct {
	Code   int            // 128+n for a signal n
	Signal syscall.Signal // 0 if it exited
	Reason Reason
	Detail string   // one line for people, or nothing
	Output []string // the last lines that it wrote, where we have seen them
}

func exitOf(status syscall.WaitStatus) Exit {
	if status.Signaled() { // before ExitStatus, which says -1 then
		return Exit{Code: 128 + int(status.Signal()), Signal: status.Signal(), Reason: BySignal}
	}
	return Exit{Code: status.ExitStatus(), Reason: ByExit}
}

// exitOfError is the end of a life that never began.
func exitOfError(err error) Exit {
	var not *reap.NotStarted
	if errors.As(err, &not) && !not.Temporary {
		return Exit{Code: not.Code, Reason: NotStarted, Detail: err.Error()}
	}
	return Exit{Code: 1, Reason: NotStarted, Detail: err.Error()}
}

func (e Exit) String() string {
	switch {
	case e.Reason == NotStarted:
		return e.Detail
	case e.Reason == ByOOM:
		return "killed for memory (the container's limit)"
	case e.Signal != 0:
		return fmt.Sprintf("killed by %s", command.SignalName(e.Signal))
	default:
		return fmt.Sprintf("exit code %d", e.Code)
	}
}
