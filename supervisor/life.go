package supervisor

import (
	"syscall"

	"github.com/codeontap/entrypoint/internal/command"
)

// Life is one started program: its main process and its process group. A copy
// has one after the other.
type Life interface {
	// PID is the main process's.
	PID() int
	// Ended is closed when the main process has ended; Status says how.
	Ended() <-chan struct{}
	Status() syscall.WaitStatus
	// Adopt makes the group's oldest process the main one. Ended, Status and
	// PID are that one's from then on. It reports false where there is none.
	Adopt() bool
	// Signal sends to the main process alone.
	Signal(syscall.Signal) error
	// Kill sends KILL to the whole group. It reports false where none was left. It
	// may take the second that a process needs to die.
	Kill() bool
	// Empty is closed when no process of the group is left.
	Empty() <-chan struct{}
	// Private is the path of the unix socket that this life alone listens on, or
	// "".
	Private() string
	// Holds reports whether a process of the group has the socket of this inode
	// open, as far as that is seen.
	Holds(inode uint64) (holds, seen bool)
	// Survivors names the processes of the group for the log.
	Survivors() []string
	// Close frees what the life has held beside its processes. It returns the last
	// lines that were written, where we have seen them.
	Close() []string
}

// Launcher starts a copy. Its error says why not; a *reap.NotStarted carries the
// code.
type Launcher interface {
	Launch(spec command.Spec, index int) (Life, error)
}
