package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/listen"
	"github.com/codeontap/entrypoint/internal/reap"
)

// patience bounds what a test waits for an event; it decides no result unless
// the event never comes.
const patience = 60 * time.Second

// kernel is a supervisor of real processes.
type kernel struct {
	*Supervisor
	t     *testing.T
	dir   string
	start *Starter
	log   *lines
	over  chan Outcome
	// told is what the children write to the FIFO $FIFO, line by line.
	told chan string
}

func newKernel(t *testing.T, addresses ...string) *kernel {
	t.Helper()
	reaper, err := reap.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		reaper.Close()
		if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
			t.Errorf("children are left: wait4 says %v", err)
		}
	})
	k := &kernel{t: t, dir: t.TempDir(), log: newLines(), over: make(chan Outcome, 1), told: make(chan string, 1000)}
	k.start = &Starter{Reaper: reaper, PrivateDir: k.dir, Log: slog.New(k.log)}
	config := Config{Launcher: k.start, Log: slog.New(k.log)}
	if len(addresses) > 0 {
		var all []command.Address
		for _, a := range addresses {
			address, err := command.ParseAddress(a)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, address)
		}
		sockets, err := listen.BindAll(all)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sockets.Close)
		k.start.Sockets, config.Sockets = sockets, sockets
	}
	k.Supervisor = New(config)
	k.openFIFO()
	return k
}

func (k *kernel) openFIFO() {
	path := filepath.Join(k.dir, "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		k.t.Fatal(err)
	}
	fifo, err := os.OpenFile(path, os.O_RDWR, 0) // a writer of our own: no end of file between two children
	if err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		scanner := bufio.NewScanner(fifo)
		for scanner.Scan() {
			k.told <- scanner.Text()
		}
	}()
	k.t.Cleanup(func() { fifo.Close(); <-ended })
}

// shell is a spec that runs a script.
func (k *kernel) shell(script string) command.Spec {
	spec := webSpec()
	spec.Argv = []string{"sh", "-c", script}
	spec.Dir = k.dir
	spec.Ready = command.Readiness{}
	spec.Backoff = command.Backoff{First: time.Millisecond, Cap: time.Millisecond}
	spec.Stop = command.Stages{{Signal: syscall.SIGTERM, Wait: patience}, {Signal: syscall.SIGKILL}}
	spec.Env, _ = env.Parse([]string{"PATH=/usr/bin:/bin", "FIFO=" + filepath.Join(k.dir, "fifo")})
	spec.PerCopy = []command.PerCopy{{Name: "INDEX", Value: "{index}"}, {Name: "NAME", Value: "w{index}@%h"}}
	return spec
}

func (k *kernel) run(specs ...command.Spec) { go func() { k.over <- k.Supervisor.Run(specs, 0) }() }

// finish stops and returns the outcome; every child is gone then.
func (k *kernel) finish() Outcome {
	k.t.Helper()
	k.Stop()
	return k.outcome()
}

func (k *kernel) outcome() Outcome {
	k.t.Helper()
	select {
	case o := <-k.over:
		return o
	case <-time.After(patience):
		k.t.Fatalf("the group does not end: %+v\n%s", k.Status(), strings.Join(k.log.said(), "\n"))
		return Outcome{}
	}
}

// hear waits for a line from a child.
func (k *kernel) hear() string {
	k.t.Helper()
	select {
	case line := <-k.told:
		return line
	case <-time.After(patience):
		k.t.Fatalf("no child says anything: %+v\n%s", k.Status(), strings.Join(k.log.said(), "\n"))
		return ""
	}
}

// hearPID waits for a line that is a number.
func (k *kernel) hearPID() int {
	k.t.Helper()
	line := k.hear()
	pid, err := strconv.Atoi(line)
	if err != nil {
		k.t.Fatalf("no pid: %q", line)
	}
	return pid
}

// logged waits for the n-th line of the log with that in it.
func (k *kernel) logged(part string, n int) {
	k.t.Helper()
	if !k.log.await(part, n, patience) {
		k.t.Fatalf("%q is not said %d times:\n%s", part, n, strings.Join(k.log.said(), "\n"))
	}
}

func (k *kernel) gone(pid int) {
	k.t.Helper()
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		k.t.Errorf("process %d is there: %v", pid, err)
	}
}

const serve = `echo $$ > $FIFO; exec sleep 1000`

func TestKernelCopiesAreStartedRestartedAndStopped(t *testing.T) {
	k := newKernel(t)
	k.run(copies(3, k.shell(`echo "$INDEX $NAME $PWD $$" > $FIFO; exec sleep 1000`)))
	pids := map[string]int{}
	for range 3 {
		words := strings.Fields(k.hear())
		if words[1] != "w"+words[0]+"@%h" || words[2] != k.dir {
			t.Errorf("%q", words)
		}
		pids[words[0]], _ = strconv.Atoi(words[3])
	}
	if len(pids) != 3 || pids["0"] == 0 || pids["1"] == 0 || pids["2"] == 0 {
		t.Fatalf("%v", pids)
	}
	k.logged("started", 3)
	for i, c := range k.Status().Copies {
		if c.PID != pids[strconv.Itoa(i)] || c.State != Ready {
			t.Errorf("%+v, said: %v", c, pids)
		}
	}
	if err := syscall.Kill(pids["1"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(k.hear())
	fresh, _ := strconv.Atoi(words[3])
	if words[0] != "1" || fresh == pids["1"] {
		t.Errorf("%q", words)
	}
	k.gone(pids["1"])
	k.logged("web.1 ended: killed by KILL", 1)
	if o := k.finish(); o.Code != 0 || !o.Stopped || o.Killed {
		t.Errorf("%+v", o)
	}
	for _, pid := range []int{pids["0"], pids["2"], fresh} {
		k.gone(pid)
	}
	if counts := k.Counts(); counts.Starts != 4 || counts.Exits[ExitKey{143, "TERM", ByStop}] != 3 || counts.Exits[ExitKey{137, "KILL", BySignal}] != 1 {
		t.Errorf("%+v", counts)
	}
}

func TestKernelWhatIgnoresTERMIsKilled(t *testing.T) {
	k := newKernel(t)
	spec := k.shell(`trap '' TERM; sleep 1000 & echo $! > $FIFO; echo $$ > $FIFO; wait; wait; exec sleep 1000`)
	spec.Stop = command.Stages{{Signal: syscall.SIGTERM, Wait: 100 * time.Millisecond}, {Signal: syscall.SIGQUIT, Wait: 0}, {Signal: syscall.SIGKILL}}
	spec.Argv[2] = `trap '' QUIT; ` + spec.Argv[2]
	k.run(spec)
	child, main := k.hearPID(), k.hearPID()
	if o := k.finish(); o.Code != 137 || !o.Killed {
		t.Errorf("%+v", o)
	}
	k.gone(child)
	k.gone(main)
}

// sh -c 'sleep 1000 & sleep 1000': the shell hears TERM and ends, its children
// are asked after it, one by one.
func TestKernelTheWholeGroupIsEnded(t *testing.T) {
	k := newKernel(t)
	k.run(k.shell(`sleep 1000 & echo $! > $FIFO; sleep 1000 & echo $! > $FIFO; wait`))
	first, second := k.hearPID(), k.hearPID()
	if o := k.finish(); o.Code != 0 || o.Killed {
		t.Errorf("%+v", o)
	}
	k.gone(first)
	k.gone(second)
}

func TestKernelTheBackgroundServerIsAdopted(t *testing.T) {
	k := newKernel(t)
	k.run(k.shell(`sleep 1000 & echo $! > $FIFO; exit 0`))
	server := k.hearPID()
	k.logged("has started its server in the background", 1)
	if c := k.Status().Copies[0]; c.PID != server || c.State != Ready || c.Restarts != 0 {
		t.Errorf("%+v, the server is %d", c, server)
	}
	// Its end is the copy's end.
	if err := syscall.Kill(server, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := k.hearPID()
	k.logged("has started its server in the background", 2)
	if c := k.Status().Copies[0]; c.PID != second || c.Restarts != 1 || c.LastExit.Signal != syscall.SIGKILL {
		t.Errorf("%+v", c)
	}
	if o := k.finish(); o.Code != 0 || o.Killed {
		t.Errorf("%+v", o)
	}
	k.gone(second)
}

// A crash leaves processes: they are ended before the next start.
func TestKernelARestInTheGroupIsEndedFirst(t *testing.T) {
	k := newKernel(t)
	k.run(k.shell(`if test -e once; then echo $$ > $FIFO; exec sleep 1000; fi; : > once; sleep 1000 & echo $! > $FIFO; exit 1`))
	rest := k.hearPID()
	k.hearPID()
	k.gone(rest)
	if o := k.finish(); o.Code != 0 {
		t.Errorf("%+v", o)
	}
}

func TestKernelAStoppedProcessIsWoken(t *testing.T) {
	k := newKernel(t)
	k.run(k.shell(`echo $$ > $FIFO; kill -STOP $$; exec sleep 1000`))
	pid := k.hearPID()
	k.untilState(pid, 'T')
	if o := k.finish(); o.Code != 0 || o.Killed {
		t.Errorf("%+v", o)
	}
}

// untilState waits until a process is in that state (proc(5)).
func (k *kernel) untilState(pid int, want byte) {
	k.t.Helper()
	k.until(fmt.Sprintf("process %d is in state %c", pid, want), func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, after, ok := strings.Cut(string(stat), ") ")
		return ok && after[0] == want
	})
}

// until waits for what no event tells.
func (k *kernel) until(what string, is func() bool) {
	k.t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-look.C:
		case <-deadline:
			k.t.Fatalf("not so: %s", what)
		}
	}
}

// Everything that is passed on arrives, as it came.
func TestKernelSignalsArrive(t *testing.T) {
	k := newKernel(t)
	names := []string{"HUP", "USR1", "USR2", "ALRM", "TTIN", "TTOU", "TSTP", "WINCH", "37"}
	script := `trap 'exit 0' TERM; `
	for _, name := range names {
		script += fmt.Sprintf("trap 'echo %s > $FIFO' %s; ", name, name)
	}
	k.run(k.shell(script + `echo ready > $FIFO; while :; do sleep 1000 & wait $!; kill $!; done`))
	if got := k.hear(); got != "ready" {
		t.Fatal(got)
	}
	for _, name := range names {
		sig, err := command.ParseSignal(name)
		if err != nil {
			t.Fatal(err)
		}
		k.Signal(sig)
		if got := k.hear(); got != name {
			t.Errorf("%s arrives as %s", name, got)
		}
	}
	if o := k.finish(); o.Code != 0 {
		t.Errorf("%+v", o)
	}
}

// The shared socket is descriptor 3 of every copy, and LISTEN_PID is the copy's
// own pid. This runs the shim: the test binary is its own copy for a moment.
func TestKernelSocketsAreInherited(t *testing.T) {
	k := newKernel(t, "127.0.0.1:0", "unix:"+filepath.Join(t.TempDir(), "shared.sock"))
	spec := copies(2, k.shell(`echo "$$ $LISTEN_PID $(readlink /proc/$$/fd/3) $(readlink /proc/$$/fd/4)$ENTRYPOINT_SHIM" > $FIFO; exec sleep 1000`))
	sockets := k.start.Sockets.Sockets()
	for _, s := range sockets {
		spec.Bind = append(spec.Bind, s.Address)
	}
	address := sockets[0].Address.String()
	refused := func() {
		t.Helper()
		if c, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("not refused: %v", err)
			if c != nil {
				c.Close()
			}
		}
	}
	refused() // bound, and nobody is there
	var want []string
	for _, s := range sockets {
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", s.FD()))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, link)
	}
	k.run(spec)
	var pids []int
	for range 2 {
		words := strings.Fields(k.hear())
		if len(words) != 4 || words[0] != words[1] || words[2] != want[0] || words[3] != want[1] {
			t.Errorf("%q, the sockets are %q", words, want)
		}
		pid, _ := strconv.Atoi(words[0])
		pids = append(pids, pid)
		k.until(fmt.Sprintf("process %d has nothing else of ours", pid), func() bool {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			return string(comm) == "sleep\n" && !slices.ContainsFunc(descriptors(t, pid), isOurs)
		})
	}
	for _, c := range k.Status().Copies {
		if !slices.Contains(pids, c.PID) {
			t.Errorf("pid %d is none of %v: the shim must become the program, not start it", c.PID, pids)
		}
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("a copy lives: %v", err)
	} else {
		c.Close()
	}
	if o := k.finish(); o.Code != 0 {
		t.Errorf("%+v", o)
	}
	refused()
}

// descriptors are a process's from 5 on.
func descriptors(t *testing.T, pid int) (all []int) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= 5 {
			all = append(all, fd)
		}
	}
	return all
}

// isOurs says that a descriptor does not come from who has started the test.
func isOurs(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err != nil || flags&unix.FD_CLOEXEC != 0
}

// A copy's private socket follows the shared ones, and its file goes with it.
func TestKernelThePrivateSocket(t *testing.T) {
	t.Run("in a folder", func(t *testing.T) { thePrivateSocket(t, true) })
	t.Run("without one", func(t *testing.T) { thePrivateSocket(t, false) })
}

func thePrivateSocket(t *testing.T, folder bool) {
	k := newKernel(t, "127.0.0.1:0")
	if !folder {
		k.start.PrivateDir = filepath.Join(k.dir, "missing")
	}
	probed := make(chan string, 10)
	k.config.Probe = func(ctx context.Context, _ command.Spec, _ int, life Life, ready func(bool), _ func(string)) {
		c, err := net.Dial("unix", life.Private())
		if err != nil {
			probed <- err.Error()
			return
		}
		c.Close()
		probed <- life.Private()
		ready(true)
		<-ctx.Done()
	}
	spec := k.shell(`echo "$$ $LISTEN_PID $(readlink /proc/$$/fd/4)" > $FIFO; exec sleep 1000`)
	spec.Bind, spec.Private = []command.Address{k.start.Sockets.Sockets()[0].Address}, true
	spec.Ready = command.Readiness{Check: true}
	k.run(spec)
	words := strings.Fields(k.hear())
	if len(words) != 3 || words[0] != words[1] || !strings.HasPrefix(words[2], "socket:[") {
		t.Errorf("%q", words)
	}
	path := <-probed
	k.logged("started", 1)
	for fd := range 100 {
		if link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && link == words[2] {
			t.Errorf("we hold it as well, as %d: clients of a dead copy would wait in its queue", fd)
		}
	}
	if info, err := os.Lstat(path); folder && (err != nil || info.Mode().Type() != os.ModeSocket) {
		t.Fatalf("%s: %v", path, err)
	}
	k.logged("web is ready", 1)
	if !folder {
		k.logged("no folder for the copies' own sockets", 1)
	}
	if o := k.finish(); o.Code != 0 {
		t.Errorf("%+v", o)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file is left: %v", err)
	}
}

// A server that waits for one more connection after TERM gets it from us, on its
// private socket; control: where it has none, it waits until it is killed.
func TestKernelAServerThatWaitsForOneMoreEventIsWoken(t *testing.T) {
	stops := func(private bool, listener string, grace time.Duration) (log string) {
		k := newKernel(t, "127.0.0.1:0")
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		spec := k.shell("")
		spec.Argv = []string{self}
		spec.Env = spec.Env.With(env.Variable{Name: "ROLE", Value: env.NewSecret("one more event")},
			env.Variable{Name: "LISTENER", Value: env.NewSecret(listener)})
		spec.Bind, spec.Private = []command.Address{k.start.Sockets.Sockets()[0].Address}, private
		spec.Stop[0].Wait = grace
		k.run(spec)
		if line := k.hear(); line != "serving" {
			t.Fatal(line)
		}
		k.finish()
		return strings.Join(k.log.said(), "\n")
	}
	if log := stops(true, "4", patience); !strings.Contains(log, "web stopped: exit code 0") {
		t.Errorf("it was not woken:\n%s", log)
	}
	if log := stops(false, "3", 300*time.Millisecond); !strings.Contains(log, "web has to be killed") {
		t.Errorf("it ends by itself: the test shows nothing\n%s", log)
	}
}

// What we were started with as ignored the application finds ignored, and
// nothing else: not what we ignore or block ourselves.
func TestKernelIgnoredSignalsAreHandedOn(t *testing.T) {
	own := signalSet(t, "/proc/self/status", "SigIgn")
	handedOn := func(t *testing.T, ignored []syscall.Signal) {
		k := newKernel(t)
		k.start.Ignored = ignored
		k.run(k.shell(serve))
		pid := k.hearPID()
		want := own
		for _, s := range ignored {
			want |= 1 << (uint(s) - 1)
		}
		status := fmt.Sprintf("/proc/%d/status", pid)
		if got := signalSet(t, status, "SigIgn"); got != want {
			t.Errorf("ignored %v: %x in the child, not %x", ignored, got, want)
		}
		if got := signalSet(t, status, "SigBlk"); got != 0 {
			t.Errorf("blocked in the child: %x", got)
		}
		k.finish()
	}
	t.Run("none", func(t *testing.T) { handedOn(t, nil) })
	t.Run("some", func(t *testing.T) {
		handedOn(t, []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTSTP, 40})
	})
}

// signalSet reads a set of signals from proc(5).
func signalSet(t *testing.T, file, name string) uint64 {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return set
		}
	}
	t.Fatalf("%s has no %s", file, name)
	return 0
}

// A program that cannot be started: one line that says why, the shell's code, no
// second try.
func TestKernelWhatCannotBeStarted(t *testing.T) {
	for _, test := range []struct {
		name  string
		spec  func(*command.Spec, string)
		code  int
		why   string
		shims bool
	}{
		{"missing", func(s *command.Spec, _ string) { s.Argv = []string{"no-such-program"} }, 127, "cannot run no-such-program: not found in PATH", false},
		{"missing by path", func(s *command.Spec, _ string) { s.Argv = []string{"./missing"} }, 127, "cannot run ./missing: no such file", false},
		{"empty", func(s *command.Spec, _ string) { s.Argv = nil }, 127, "the command is empty", false},
		{"not executable", func(s *command.Spec, _ string) { s.Argv = []string{"./plain"} }, 126, "cannot run ./plain: it is not executable (chmod +x)", false},
		{"CRLF", func(s *command.Spec, _ string) { s.Argv = []string{"./crlf"} }, 126, "Windows line ends", false},
		{"CRLF through the shim", func(s *command.Spec, _ string) { s.Argv = []string{"./crlf"} }, 126, "Windows line ends", true},
		{"a lost interpreter through the shim", func(s *command.Spec, _ string) { s.Argv = []string{"./lost"} }, 126, `its interpreter "/no/such/sh" is missing`, true},
		{"no program through the shim", func(s *command.Spec, _ string) { s.Argv = []string{"./text"} }, 126, "exit code 126", true},
		{"no such directory", func(s *command.Spec, dir string) { s.Dir = filepath.Join(dir, "none"); s.Argv = []string{"/bin/sh"} }, 126, "there is no directory", false},
		{"too long", func(s *command.Spec, _ string) {
			s.Argv = []string{"/bin/sh", "-c", "exit 0", strings.Repeat("x", 200_000)}
		}, 126, "its arguments and environment are too long together", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKernel(t)
			for name, text := range map[string]string{"plain": "#!/bin/sh\n", "crlf": "#!/bin/sh\r\necho\r\n", "lost": "#! /no/such/sh -e\n", "text": "hello\n"} {
				mode := os.FileMode(0o755)
				if name == "plain" {
					mode = 0o644
				}
				if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), mode); err != nil {
					t.Fatal(err)
				}
			}
			spec := k.shell("")
			if test.shims {
				k.start.Ignored = []syscall.Signal{syscall.SIGHUP}
			}
			test.spec(&spec, k.dir)
			k.run(spec)
			o := k.outcome()
			if o.Code != test.code || !strings.Contains(o.Why, test.why) || strings.Contains(o.Why, "\n") {
				t.Errorf("%+v", o)
			}
			if n := k.Counts().Starts; n != 0 && test.why != "exit code 126" {
				t.Errorf("%d starts", n)
			}
		})
	}
}

// No descriptors left is no reason to give up: it comes back when there are.
func TestKernelWithoutDescriptors(t *testing.T) {
	k := newKernel(t)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: 3, Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	spec := k.shell(serve)
	spec.GiveUp.Deaths = 2
	k.run(spec)
	k.logged("the kernel refuses another process", 3)
	restore()
	k.hearPID()
	if o := k.finish(); o.Code != 0 {
		t.Errorf("%+v", o)
	}
}

func TestKernelManyCopies(t *testing.T) {
	const many = 100
	k := newKernel(t)
	spec := copies(many, k.shell(""))
	spec.Argv = []string{"sleep", "1000"}
	k.run(spec)
	k.logged("started", many)
	if o := k.finish(); o.Code != 0 || o.Killed {
		t.Errorf("%+v", o)
	}
	if n := k.Counts().Exits[ExitKey{143, "TERM", ByStop}]; n != many {
		t.Errorf("%d of %d ended by TERM", n, many)
	}
}

// Restart with real sockets: a new copy is beside the old one, on the same socket.
func TestKernelRollingRestart(t *testing.T) {
	k := newKernel(t, "127.0.0.1:0")
	spec := copies(2, k.shell(`echo $$ > $FIFO; exec sleep 1000`))
	spec.Bind = []command.Address{k.start.Sockets.Sockets()[0].Address}
	k.run(spec)
	old := []int{k.hearPID(), k.hearPID()}
	k.logged("started", 2)
	if err := k.Restart(spec); err != nil {
		t.Fatal(err)
	}
	fresh := []int{k.hearPID(), k.hearPID()}
	for i, pid := range old {
		k.gone(pid)
		if !slices.Contains(fresh, k.Status().Copies[i].PID) {
			t.Errorf("%+v, new: %v", k.Status().Copies[i], fresh)
		}
	}
	if o := k.finish(); o.Code != 0 || o.Killed {
		t.Errorf("%+v", o)
	}
}

// What a copy writes, line by line, and the last of it when it dies.
func TestKernelOutput(t *testing.T) {
	k := newKernel(t)
	read, write := io.Pipe()
	k.start.Output = NewOutput(Prefix, write, io.Discard, slog.New(k.log))
	spec := copies(2, k.shell(`if test $INDEX = 1; then exec sleep 1000; fi; echo hello; echo 'no such key' >&2; echo $$ > $FIFO; read x < go; exit 3`))
	spec.Fatal = []int{3}
	spec.Ready = command.Readiness{After: time.Hour}
	if err := syscall.Mkfifo(filepath.Join(k.dir, "go"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.run(spec)
	line, err := bufio.NewReader(read).ReadString('\n')
	if line != "web.0 | hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	k.hearPID()
	if err := os.WriteFile(filepath.Join(k.dir, "go"), []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	k.logged("web.0 is given up: exit code 3", 1)
	k.logged("web.0 last wrote: hello", 1)
	k.logged("web.0 last wrote: no such key", 1)
	if o := k.finish(); o.Code != 0 {
		t.Errorf("%+v", o)
	}
}

// A daemon in a session of its own holds the pipe for as long as it likes.
func TestKernelAHeldPipeIsNotWaitedFor(t *testing.T) {
	k := newKernel(t)
	k.start.Output = NewOutput(Prefix, io.Discard, io.Discard, slog.New(k.log))
	spec := k.shell(`echo last words; setsid sh -c 'echo $$ > $FIFO; exec sleep 1000' & sleep 1000`)
	spec.Restart = command.Never
	k.run(spec)
	daemon := k.hearPID()
	o := k.finish()
	if o.Code != 0 {
		t.Errorf("%+v", o)
	}
	if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil {
		t.Errorf("the daemon has left the group and is not ours to end here: %v", err)
	}
	for {
		next := k.start.Reaper.Next()
		if syscall.Kill(daemon, 0) == syscall.ESRCH {
			return
		}
		<-next
	}
}
