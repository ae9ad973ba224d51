package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stage is what happens between the fork of the test and the exec of the
// binary: the namespace gets its own /proc, and the process the dispositions
// that the story wants it to inherit.
type stage struct {
	Own    bool // a /run of our own: the machine's other supervisors are not to be seen
	Proc   bool // a fresh /proc: we are the first process of a pid namespace
	Keeper bool // stay PID 1 and start the binary as a child of ours

	Path   string
	Argv   [][]byte // JSON's strings are UTF-8, words need not be
	Env    [][]byte // as it is, malformed and double entries included
	Dir    string
	Ignore []syscall.Signal
	Block  []syscall.Signal
	Close  []int
}

// The stage's own descriptors, after stdin, stdout and stderr.
const (
	// readyFD ends when the binary was executed; what is written there before
	// is why it was not.
	readyFD = 3
	// statusFD takes how the keeper's child has ended.
	statusFD = 4
)

// stageRole plays the stage; its word is the stage as JSON.
func stageRole(words []string) int {
	runtime.LockOSThread() // the mask is the thread's, and so is the exec
	ready := os.NewFile(readyFD, "ready")
	unix.CloseOnExec(readyFD)
	unix.CloseOnExec(statusFD)
	var s stage
	err := json.Unmarshal([]byte(words[0]), &s)
	if err == nil {
		err = s.mount()
	}
	if err == nil && s.Keeper {
		err = s.keep(ready)
	} else if err == nil {
		err = s.become()
	}
	fmt.Fprint(ready, err)
	return 1
}

func (s stage) mount() error {
	if !s.Own {
		return nil
	}
	// Private first: the mounts must not reach the machine's own folders.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make the mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("cannot mount /run: %w", err)
	}
	if !s.Proc {
		return nil
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	return nil
}

// become returns only with an error.
func (s stage) become() error {
	for _, sig := range s.Ignore {
		signal.Ignore(sig)
	}
	for _, fd := range s.Close {
		unix.Close(fd)
	}
	if s.Dir != "" {
		if err := os.Chdir(s.Dir); err != nil {
			return err
		}
	}
	// Last: Go's own threads must not be left without their signals for long.
	var mask unix.Sigset_t
	for _, sig := range s.Block {
		words := (*[unsafe.Sizeof(mask) / 8]uint64)(unsafe.Pointer(&mask))
		words[0] |= 1 << (sig - 1)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil); err != nil {
		return err
	}
	return fmt.Errorf("cannot execute %s: %w", s.Path, syscall.Exec(s.Path, stringsOf(s.Argv), stringsOf(s.Env)))
}

// keep is the other init of "not PID 1": it starts the binary, tells how it
// ended, and goes on reaping until the test kills the namespace, so that what
// the binary has left behind can be looked at. It returns only with an error.
func (s stage) keep(ready *os.File) error {
	// Ctrl-C and Ctrl-Z on a terminal are not meant for it; handlers, unlike
	// ignored signals, are not inherited.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGHUP)
	s.Keeper, s.Own, s.Proc = false, false, false
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	child, err := syscall.ForkExec("/proc/self/exe", []string{"stage", "stage", string(text)}, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2, readyFD},
	})
	if err != nil {
		return err
	}
	ready.Close()
	// The output must be able to end, and the terminal's end to be seen.
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for fd := range 3 {
		_ = unix.Dup3(null, fd, 0)
	}
	status := os.NewFile(statusFD, "status")
	for {
		var w syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &w, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err == syscall.ECHILD:
			select {} // until the test ends the namespace
		case err != nil:
			return err
		case pid == child:
			fmt.Fprintln(status, uint32(w))
			status.Close()
		}
	}
}

func bytesOf(list []string) [][]byte {
	all := make([][]byte, len(list))
	for i, s := range list {
		all[i] = []byte(s)
	}
	return all
}

func stringsOf(list [][]byte) []string {
	all := make([]string, len(list))
	for i, b := range list {
		all[i] = string(b)
	}
	return all
}
