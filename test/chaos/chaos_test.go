package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

const copies = 6

// victim is a copy with a child of its own. USR1: it exits with a code of its
// own; USR2: a storm of forks that leaves twenty orphans; HUP: a daemon in a
// session of its own, which is nobody's child soon.
const victim = `
trap 'exit $((3 + APP_WORKER_INDEX))' USR1
trap 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (sleep 0.05 &) ; done' USR2
trap 'setsid sh -c "sleep 0.5 & sleep 0.5 &"' HUP
echo born
sleep 1000 & child=$!
while kill -0 $child 2>/dev/null; do wait $child; done
exit 9`

// storm is a chaos under way.
type storm struct {
	*stage.Running
	t     *testing.T
	dice  *rand.Rand
	disk  string // the full disk under the control socket
	pids  string // the cgroup that limits processes; "" where there is none
	limit unix.Rlimit
	done  map[string]int
	lift  map[string]int // hindrances, and after how many more misfortunes each is over

	asking sync.WaitGroup // those who wait for the end of a restart
}

// TestChaos: whatever happens to copies and to PID 1 itself, afterwards every
// copy is back, no status is lost, nothing is left that nobody waits for, and
// the stop is a clean one.
//
// CHAOS_SEED repeats what a failure has printed; the kernel's own order of
// things it cannot repeat.
func TestChaos(t *testing.T) {
	for _, test := range []struct {
		name   string
		flags  []string
		closed bool // nobody reads stdout
	}{
		{"output passed on", nil, false},
		{"output by pipes, stdout closed", []string{"--app-output", "prefix"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seed := seedOf(t)
			// Never given up: while nothing can be forked copies die as fast as the
			// backoff lets them, and a hindrance is on for as long as the machine holds
			// us up.
			story := stage.Story{Words: run(victim, append([]string{
				"-w", strconv.Itoa(copies), "--backoff", "10ms..100ms", "--give-up", "10000/60s",
			}, test.flags...)...)}
			s := &storm{t: t, dice: rand.New(rand.NewPCG(seed, 0)), done: map[string]int{}, lift: map[string]int{}}
			story.Before = `mkdir $HOME/small && mount -t tmpfs -o size=64k small $HOME/small && export XDG_RUNTIME_DIR=$HOME/small`
			if s.pids = pidsCgroup(t); s.pids != "" {
				story.Before += "\necho 0 > " + s.pids + "/tasks"
			}
			if test.closed {
				story.Stdout = stage.Deaf(t)
			}
			s.Running = stage.Start(t, story)
			s.Socket = fmt.Sprintf("/proc/%d/root%s/small/entrypoint-0/entrypoint.sock", s.PID, s.Home)
			s.disk = fmt.Sprintf("/proc/%d/root%s/small/filler", s.PID, s.Home)
			s.allReady()
			before := s.Descriptors()
			if err := unix.Prlimit(s.PID, unix.RLIMIT_NOFILE, nil, &s.limit); err != nil {
				t.Fatal(err)
			}
			s.rage(12 * time.Second)
			for what := range s.lift {
				s.unhinder(what)
			}
			s.settle(before)
			s.Signal(syscall.SIGTERM)
			s.WantExit(0)
			t.Logf("what happened: %v", s.done)
		})
	}
}

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	return seed
}

// pidsCgroup makes a cgroup for the test, "" where there is no v1 controller.
func pidsCgroup(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/sys/fs/cgroup/pids", "entrypoint-chaos")
	if err != nil {
		t.Logf("NOT TESTED: forks that fail: no pids controller of cgroup v1 to write to (%v)", err)
		return ""
	}
	t.Cleanup(func() { removeCgroup(t, dir) })
	return dir
}

// removeCgroup waits until the last process has left it.
func removeCgroup(t *testing.T, dir string) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(stage.Patience)
	for {
		err := os.Remove(dir)
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Errorf("cannot remove the cgroup: %v", err)
			return
		}
	}
}

// rage does one thing after the other, as the dice say.
func (s *storm) rage(length time.Duration) {
	s.t.Helper()
	end := time.After(length)
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-end:
			return
		case <-s.Done:
			s.t.Fatalf("ended with %d in the middle of it: %v\n%s", s.Code, s.done, s)
		case <-next.C:
			s.once()
			next.Reset(time.Duration(s.dice.IntN(80)) * time.Millisecond)
		}
	}
}

// once is one misfortune.
func (s *storm) once() {
	all := s.Processes()
	if len(all) == 0 {
		return
	}
	for hindrance, left := range s.lift {
		if s.lift[hindrance]--; left <= 0 {
			s.unhinder(hindrance)
		}
	}
	any := all[s.dice.IntN(len(all))]
	names := []string{"kill", "stop", "continue", "exit", "storm", "daemon", "segv", "term", "to us", "disk", "descriptors", "forks", "ask", "restart"}
	name := names[s.dice.IntN(len(names))]
	s.done[name]++
	mains := s.mains(all)
	one := any
	if len(mains) > 0 {
		one = mains[s.dice.IntN(len(mains))]
	}
	switch name {
	case "kill":
		any.Kill(syscall.SIGKILL)
	case "stop":
		any.Kill(syscall.SIGSTOP)
	case "continue":
		any.Kill(syscall.SIGCONT)
	case "exit":
		one.Kill(syscall.SIGUSR1)
	case "storm":
		one.Kill(syscall.SIGUSR2)
	case "daemon":
		one.Kill(syscall.SIGHUP)
	case "segv":
		any.Kill(syscall.SIGSEGV)
	case "term":
		any.Kill(syscall.SIGTERM)
	case "to us":
		// Never TERM, INT or QUIT: these ask for the stop.
		kinds := []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGWINCH, syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGURG, syscall.SIGALRM, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCONT}
		_ = syscall.Kill(s.PID, kinds[s.dice.IntN(len(kinds))])
	case "disk", "descriptors", "forks":
		s.hinder(name)
	case "restart":
		// It may well be refused: one is under way, or the new copy dies.
		s.asking.Go(func() { s.Client("restart") })
	case "ask":
		if _, out := s.lift["descriptors"]; !out { // who asks would have to wait
			s.Get("/readyz")
		}
	}
}

// mains are the copies' own processes.
func (s *storm) mains(all []stage.Process) (mains []stage.Process) {
	for _, p := range all {
		if p.Parent == 1 && strings.Contains(p.Command, "echo born") {
			mains = append(mains, p)
		}
	}
	return mains
}

// hinder makes something run out for a while: the disk under the control socket
// (ENOSPC), PID 1's descriptors (EMFILE), the processes of the container
// (EAGAIN).
func (s *storm) hinder(what string) {
	s.lift[what] = 1 + s.dice.IntN(6)
	switch what {
	case "disk":
		if err := os.WriteFile(s.disk, make([]byte, 1<<20), 0o644); err == nil {
			s.t.Error("the disk is not full")
		}
	case "descriptors":
		least := s.limit
		least.Cur = uint64(s.Descriptors() - s.dice.IntN(3))
		_ = unix.Prlimit(s.PID, unix.RLIMIT_NOFILE, &least, nil)
	case "forks":
		if s.pids != "" {
			now, _ := os.ReadFile(filepath.Join(s.pids, "pids.current"))
			_ = os.WriteFile(filepath.Join(s.pids, "pids.max"), now, 0o644)
		}
	}
}

func (s *storm) unhinder(what string) {
	s.t.Helper()
	delete(s.lift, what)
	var err error
	switch what {
	case "disk":
		err = os.Remove(s.disk)
	case "descriptors":
		err = unix.Prlimit(s.PID, unix.RLIMIT_NOFILE, &s.limit, nil)
	case "forks":
		if s.pids != "" {
			err = os.WriteFile(filepath.Join(s.pids, "pids.max"), []byte("max"), 0o644)
		}
	}
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s)
	}
}

func (s *storm) allReady() {
	s.t.Helper()
	s.Until("every copy is ready", func() bool {
		for _, p := range s.Processes() {
			if p.State == "T" {
				p.Kill(syscall.SIGCONT)
			}
		}
		return statusOf(s.t, s.Running).ready() == copies
	})
}

// settle waits until all is as before, and takes stock.
func (s *storm) settle(descriptors int) {
	s.t.Helper()
	s.allReady()
	s.asking.Wait()
	s.allReady()
	s.Until("only the copies and their children are there", func() bool {
		all := s.Processes()
		return len(all) == 2*copies && len(s.mains(all)) == copies
	})
	s.Until("as many descriptors are open as before", func() bool { return s.Descriptors() <= descriptors })

	now, counts := statusOf(s.t, s.Running), scrape(s.t, s.Running)
	starts, unstarted := counts.sum("entrypoint_copy_starts_total"), counts.sum("entrypoint_copy_exits_total", "reason", "not-started")
	exits := counts.sum("entrypoint_copy_exits_total") - unstarted
	if starts != exits+copies {
		s.t.Errorf("%v starts are not %v exits and %d copies alive: a status is lost", starts, exits, copies)
	}
	restarts := 0
	for _, c := range now.Copies {
		restarts += c.Restarts
	}
	const restarted = "entrypoint_copy_restarts_total"
	counted := counts.sum(restarted)
	unasked := counted - counts.sum(restarted, "reason", "requested")
	if float64(restarts) != counted || unasked > exits+unstarted {
		s.t.Errorf("restarts: the copies say %d, the counter %v, %v of them unasked, and there were %v ends", restarts, counted, unasked, exits+unstarted)
	}
	if restarts == 0 {
		s.t.Error("nothing has ever ended: this was no chaos")
	}
	s.t.Logf("%v starts, %v exits, %v forks that failed, %v orphans reaped", starts, exits, unstarted, counts.sum("entrypoint_orphans_reaped_total"))
}

// TestAFullContainer: no process and no thread more can be made, copies die, and
// many ask: PID 1 lives on, answers, and has every copy back when there is room
// again.
func TestAFullContainer(t *testing.T) {
	t.Parallel()
	pids := pidsCgroup(t)
	if pids == "" {
		t.Skip("NOT TESTED: see above")
	}
	limit := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(pids, "pids.max"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := stage.Start(t, stage.Story{Before: "echo 0 > " + pids + "/tasks", Words: run("exec sleep 1000",
		"-w", "4", "--backoff", "10ms..100ms", "--give-up", "100/60s", "--app-output", "prefix", "--health", "exec:true", "--health-interval", "50ms")})
	c.Until("all are ready", func() bool { return statusOf(t, c).ready() == 4 })
	limit("4") // fewer than there are: what is there stays, nothing comes
	full := make(chan struct{})
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			for {
				select {
				case <-full:
					return
				default:
					c.Get("/metrics")
				}
			}
		})
	}
	c.Until("thirty forks have failed", func() bool {
		if all := c.Find("sleep 1000"); len(all) > 2 {
			all[0].Kill(syscall.SIGKILL)
		}
		return scrape(t, c).sum("entrypoint_copy_exits_total", "reason", "not-started") >= 30
	})
	close(full)
	asking.Wait()
	limit("max")
	c.Until("all are ready again", func() bool { return statusOf(t, c).ready() == 4 })
	c.Signal(syscall.SIGTERM)
	c.WantExit(0)
}
