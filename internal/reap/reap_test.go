package reap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds what a test waits for an event; it decides no result unless
// the event never comes.
const patience = 60 * time.Second

func newReaper(t *testing.T) *Reaper {
	t.Helper()
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func shell(script string) Program {
	return Program{
		Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"},
		Files: []uintptr{0, 1, 2},
	}
}

func (r *Reaper) mustStart(t *testing.T, p Program) *Process {
	t.Helper()
	started, err := r.Start(p)
	if err != nil {
		t.Fatal(err)
	}
	return started
}

func awaitDone(t *testing.T, p *Process) syscall.WaitStatus {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatalf("process %d did not end", p.PID())
	}
	return p.Status()
}

// Each child leaves an orphan behind and ends with a code of its own.
const crowdSize = 2000

func crowdScript(i int) string { return fmt.Sprintf("sh -c : & exit %d", i%256) }

func TestNoStatusIsLostInACrowd(t *testing.T) {
	r := newReaper(t)
	var wg sync.WaitGroup
	wrong := make(chan string, crowdSize)
	for i := range crowdSize {
		wg.Go(func() {
			p, err := r.Start(shell(crowdScript(i)))
			if err != nil {
				wrong <- fmt.Sprintf("child %d: %v", i, err)
				return
			}
			<-p.Done()
			if got := p.Status().ExitStatus(); got != i%256 {
				wrong <- fmt.Sprintf("child %d: code %d, not %d", i, got, i%256)
			}
		})
	}
	wg.Wait()
	close(wrong)
	for w := range wrong {
		t.Error(w)
	}
	deadline := time.After(patience)
	for {
		next := r.Next()
		if r.Orphans() == crowdSize {
			break
		}
		select {
		case <-next:
		case <-deadline:
			t.Fatalf("%d orphans reaped, not %d", r.Orphans(), crowdSize)
		}
	}
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("children are left: wait4 says %v", err)
	}
}

// The control: the same assertion fails for wait4(-1) in a loop beside os/exec,
// which is what most inits written in Go do.
func TestControlNaiveReaperLosesStatuses(t *testing.T) {
	stop := make(chan struct{})
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			}
		}
	})
	lost := 0
	for i := range 500 {
		var exit *exec.ExitError
		err := exec.Command("/bin/sh", "-c", fmt.Sprintf("exit %d", 1+i%255)).Run()
		if !errors.As(err, &exit) || exit.ExitCode() != 1+i%255 {
			lost++
		}
	}
	close(stop)
	loop.Wait()
	if lost == 0 {
		t.Error("the naive reaper lost no status: the test above proves nothing")
	}
}

func TestNoSignalAfterTheEnd(t *testing.T) {
	r := newReaper(t)
	p := r.mustStart(t, shell("exit 3"))
	if code := awaitDone(t, p).ExitStatus(); code != 3 {
		t.Errorf("code %d", code)
	}
	if err := p.Signal(syscall.SIGKILL); err != syscall.ESRCH {
		t.Errorf("signal after the end: %v", err)
	}
	if !p.Group().Empty() {
		t.Error("the group lives on")
	}
	if err := p.Group().Signal(syscall.SIGKILL); err != syscall.ESRCH {
		t.Errorf("signal to an empty group: %v", err)
	}
}

// A script that starts its server in the background and ends: the server is the
// main process from then on, its status is not lost.
func TestTheGroupsOldestIsAdopted(t *testing.T) {
	r := newReaper(t)
	fifo := filepath.Join(t.TempDir(), "go")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p := r.mustStart(t, shell(fmt.Sprintf("(read x < %s; exit 7) & sleep 1000 & exit 0", fifo)))
	awaitDone(t, p)
	main, ok := p.Group().Oldest()
	if !ok {
		t.Fatal("nobody to adopt")
	}
	if again, _ := p.Group().Oldest(); again != main {
		t.Error("a second look registers the process again")
	}
	if err := os.WriteFile(fifo, []byte("go\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := awaitDone(t, main).ExitStatus(); code != 7 {
		t.Errorf("code %d, not the adopted server's 7", code)
	}
	if p.Group().Empty() {
		t.Error("the sleep is gone")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if r.Sweep(ctx, p.Group()) {
		t.Error("a sleep had to be killed")
	}
}

func TestSweepKillsWhatIgnoresTERM(t *testing.T) {
	r := newReaper(t)
	ready := filepath.Join(t.TempDir(), "ready")
	if err := syscall.Mkfifo(ready, 0o600); err != nil {
		t.Fatal(err)
	}
	p := r.mustStart(t, shell(fmt.Sprintf("trap '' TERM; sleep 1000 & echo > %s; wait; wait; sleep 1000", ready)))
	if _, err := os.ReadFile(ready); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if !r.Sweep(ctx, p.Group()) {
		t.Error("a process that ignores TERM ended without KILL")
	}
	if status := awaitDone(t, p); status.Signal() != syscall.SIGKILL {
		t.Errorf("ended by %v", status.Signal())
	}
	ctx, cancel = context.WithTimeout(context.Background(), patience)
	defer cancel()
	if !r.Wait(ctx, p.Group()) {
		t.Error("the group outlives KILL")
	}
}

// A stopped process cannot see TERM before CONT.
func TestSweepWakesTheStopped(t *testing.T) {
	r := newReaper(t)
	p := r.mustStart(t, shell("kill -STOP $$; sleep 1000"))
	select {
	case <-p.Stopped():
	case <-time.After(patience):
		t.Fatal("not told of the stop")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if r.Sweep(ctx, p.Group()) {
		t.Error("a stopped process had to be killed")
	}
	if status := awaitDone(t, p); status.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v", status)
	}
}

func TestLookPathAndExplain(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "#!/bin/sh\n", 0o644)
	write("crlf", "#!/bin/sh\r\necho\r\n", 0o755)
	write("lost", "#!/no/such/interpreter\n", 0o755)
	write("text", "hello", 0o755)
	write("good", "#!/bin/sh\nexit 0\n", 0o755)
	r := newReaper(t)
	for _, test := range []struct {
		name    string
		code    int
		problem string
	}{
		{"good", 0, ""},
		{"./good", 0, ""},
		{"", 127, "the command is empty"},
		{"missing", 127, "not found in PATH"},
		{"./missing", 127, "no such file"},
		{"plain", 126, "it is not executable (chmod +x)"},
		{"./plain", 126, "it is not executable (chmod +x)"},
		{"./", 126, "it is a directory"},
		{"crlf", 126, "the script has Windows line ends (CRLF); save it with LF"},
		{"lost", 126, `its interpreter "/no/such/interpreter" is missing`},
		{"text", 126, "it is neither a program for this machine nor a script with #!"},
	} {
		path, err := LookPath(test.name, dir, dir)
		if err == nil {
			var p *Process
			if p, err = r.Start(Program{Path: path, Argv: []string{test.name}, Files: []uintptr{0, 1, 2}}); err != nil {
				err = Explain(path, err)
			} else {
				awaitDone(t, p)
			}
		}
		var not *NotStarted
		switch {
		case test.code == 0 && err != nil:
			t.Errorf("%q: %v", test.name, err)
		case test.code != 0 && !errors.As(err, &not):
			t.Errorf("%q: %v", test.name, err)
		case test.code != 0 && (not.Code != test.code || not.Problem != test.problem):
			t.Errorf("%q: %d %s", test.name, not.Code, not.Problem)
		}
	}
}

// A health check that hangs is killed with all that it has started.
func TestRunLeavesNothingBehind(t *testing.T) {
	r := newReaper(t)
	status, err := r.Run(context.Background(), Program{Path: "/bin/sh", Argv: []string{"sh", "-c", "sleep 1000 & exit 4"}, Env: []string{"PATH=/bin"}})
	if err != nil || status.ExitStatus() != 4 {
		t.Errorf("%v, code %d", err, status.ExitStatus())
	}
	fifo := filepath.Join(t.TempDir(), "pid")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = os.ReadFile(fifo) // it runs
		cancel()
	}()
	script := fmt.Sprintf("trap '' TERM; sleep 1000 & echo > %s; wait", fifo)
	if _, err := r.Run(ctx, Program{Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("children are left: wait4 says %v", err)
	}
}
