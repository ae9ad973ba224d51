package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// When the command has ended, what it has left behind is ended as well: as PID 1
// everything, elsewhere its process group. Each gets TERM and the grace.

// tidy is a process that needs a while to clean up after TERM: it waits for a
// line from the FIFO (the test's "while"), then writes the file.
const tidy = `trap 'echo cleaning; read x <"$fifo"; echo done >"$file"; exit' TERM; echo tidy ready; while :; do sleep 1000 & wait; done`

// stubborn does not hear TERM.
const stubborn = `trap '' TERM; echo stubborn ready; while :; do sleep 1000; done`

// behind runs scripts in the background, waits until stdin says so, and exits 6.
func behind(launch string, scripts ...string) []string {
	var b strings.Builder
	for i, script := range scripts {
		fmt.Fprintf(&b, "export s%d='%s'\n%s sh -c \"$s%d\" &\n", i, strings.ReplaceAll(script, "'", `'\''`), launch, i)
	}
	return sh(b.String() + "read x; exit 6")
}

// launches are the ways to leave somebody behind, and the places where that is
// ours to end: a daemon has left the group.
var launches = []struct {
	name, with string
	places     []place
}{
	{"a child", "", []place{asInit, besideInit}},
	{"a daemon", "setsid", []place{asInit}},
}

func TestWhatTheCommandLeavesBehindMayCleanUp(t *testing.T) {
	for _, launch := range launches {
		in(t, launch.name, launch.places, func(t *testing.T, p place) {
			pipe, file := newFifo(t), filepath.Join(t.TempDir(), "file")
			r := start(t, p, opts{args: behind(launch.with, tidy), stdin: true, env: []string{"fifo=" + pipe.path, "file=" + file}})
			r.waitFor("tidy ready")
			r.hangUp()
			r.waitFor("cleaning")
			pipe.tell("go")
			r.wantExit(6)
			if text := read(t, file); text != "done\n" {
				t.Errorf("the clean-up was cut short, the file has %q\n%s", text, r)
			}
			r.wantEmpty()
		})
	}
}

// Beside another init the rest of the machine is not ours: a daemon that has
// left the group lives on, as it does under a shell.
func TestADaemonLivesOnBesideAnotherInit(t *testing.T) {
	t.Parallel()
	r := start(t, besideInit, opts{args: behind("setsid", stubborn), stdin: true})
	r.waitFor("stubborn ready")
	r.hangUp()
	r.wantExit(6)
	if len(r.find("stubborn ready")) != 1 {
		t.Errorf("the daemon is gone\n%s", r)
	}
}

func TestWhatIgnoresTERMIsKilledAtTheGrace(t *testing.T) {
	for _, launch := range launches {
		in(t, launch.name, launch.places, func(t *testing.T, p place) {
			r := start(t, p, opts{
				args: append([]string{"exec", "--grace", "700ms", "--"}, behind(launch.with, stubborn, stubborn)...), stdin: true,
			})
			r.waitForN("stubborn ready", 2)
			asked := time.Now()
			r.hangUp()
			r.wantExit(6)
			took := time.Since(asked)
			if took < 700*time.Millisecond {
				t.Errorf("killed after %s, before the grace was over", took)
			}
			if took > 20*time.Second {
				t.Errorf("killed after %s: the grace is 700 ms", took)
			}
			r.wantEmpty()
		})
	}
}

// The control: without an init that sweeps, the kernel kills at once what is
// left, uncleaned (tini, dumb-init and catatonit leave it at that).
func TestControlTheKernelLetsNobodyCleanUp(t *testing.T) {
	t.Parallel()
	pipe, file := newFifo(t), filepath.Join(t.TempDir(), "file")
	r := start(t, asInit, opts{path: "/bin/sh", args: behind("", tidy)[1:], stdin: true, env: []string{"fifo=" + pipe.path, "file=" + file}})
	r.waitFor("tidy ready")
	r.hangUp()
	r.wantExit(6)
	if strings.Contains(r.stdout.String(), "cleaning") || read(t, file) != "" {
		t.Errorf("it did clean up: the tests above prove nothing\n%s", r)
	}
}

// A second TERM during the sweep must not end us before the others.
func TestASignalDuringTheSweepCutsNothingShort(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		pipe, file := newFifo(t), filepath.Join(t.TempDir(), "file")
		r := start(t, p, opts{args: behind("", tidy), stdin: true, env: []string{"fifo=" + pipe.path, "file=" + file}})
		r.waitFor("tidy ready")
		r.hangUp()
		r.waitFor("cleaning")
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, 64} {
			r.signal(s)
		}
		pipe.tell("go")
		r.wantExit(6)
		if text := read(t, file); text != "done\n" {
			t.Errorf("the clean-up was cut short\n%s", r)
		}
	})
}

// What is stopped cannot hear TERM before CONT.
func TestAStoppedProcessIsWokenToEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		file := filepath.Join(t.TempDir(), "file")
		r := start(t, p, opts{
			args: behind("", `trap 'echo done >"$file"; exit' TERM; echo sleeper ready; kill -STOP $$; while :; do sleep 1000; done`),
			env:  []string{"file=" + file}, stdin: true,
		})
		r.waitFor("sleeper ready")
		r.eventually("it is stopped", func() bool {
			found := r.find("sleeper ready")
			return len(found) == 2 && (found[0].state == "T" || found[1].state == "T") || len(found) == 1 && found[0].state == "T"
		})
		r.hangUp()
		r.wantExit(6)
		if text := read(t, file); text != "done\n" {
			t.Errorf("it was not woken\n%s", r)
		}
	})
}

// Ends by a signal are the command's code too, whoever is left.
func TestTheSweepDoesNotTouchTheCode(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: append([]string{"exec", "--grace", "100ms"}, sh(`trap '' TERM; sleep 1000 & kill -KILL $$`)...)})
		r.wantExit(137)
		r.wantEmpty()
		r = start(t, p, opts{args: sh("sleep 1000 & exit 0")})
		r.wantExit(0)
		r.wantEmpty()
	})
}

const crowd = 500

// Orphans come to us and are reaped while the command runs.
func TestOrphansAreReapedWhileTheCommandRuns(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		// Each orphan outlives its parent: it waits for the FIFO's end.
		pipe := newFifo(t)
		r := start(t, p, opts{stdin: true, env: []string{"fifo=" + pipe.path}, args: sh(fmt.Sprintf(`
			exec 4<>"$fifo"
			i=0
			while [ $i -lt %d ]; do (sh -c 'read x' <&4 4<&- &); i=$((i+1)); done
			echo all there
			read x
			i=0
			while [ $i -lt %d ]; do echo; i=$((i+1)); done >&4
			echo all told
			read x
			exit 3`, crowd, crowd))})
		r.waitFor("all there")
		r.say("\n")
		r.waitFor("all told")
		r.eventually("nothing is left beside the command", func() bool { return len(r.processes()) == 1 })
		if left := r.processes(); left[0].state == "Z" {
			t.Errorf("a zombie: %v", left)
		}
		r.say("\n")
		r.wantExit(3)
		r.wantEmpty()
	})
}

// The control: an init that does not reap has the zombies.
func TestControlAShellLeavesZombies(t *testing.T) {
	t.Parallel()
	r := start(t, asInit, opts{path: self, args: []string{"negligent", "20"}, stdin: true})
	r.waitFor("ready")
	r.eventually("the orphans are zombies", func() bool {
		zombies := 0
		for _, p := range r.processes() {
			if p.state == "Z" && p.parent == 1 {
				zombies++
			}
		}
		return zombies == 20
	})
	r.hangUp()
	r.wantExit(0)
}

// negligentRole starts children that leave an orphan each, and waits for the
// children alone.
func negligentRole(words []string) int {
	n, err := strconv.Atoi(words[0])
	if err != nil {
		return 1
	}
	for range n {
		pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "sh -c : & exit 0"}, nil)
		if err == nil {
			_, err = syscall.Wait4(pid, nil, 0, nil)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("ready")
	listenerRole(nil)
	return 0
}
