package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/stage"
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
	places     []stage.Place
}{
	{"a child", "", []stage.Place{stage.AsInit, stage.BesideInit}},
	{"a daemon", "setsid", []stage.Place{stage.AsInit}},
}

// in tells one of several stories in the places where it holds.
func in(t *testing.T, name string, places []stage.Place, story func(t *testing.T, p stage.Place)) {
	t.Helper()
	for _, p := range places {
		t.Run(name+" as "+p.String(), func(t *testing.T) {
			t.Parallel()
			story(t, p)
		})
	}
}

func TestWhatTheCommandLeavesBehindMayCleanUp(t *testing.T) {
	for _, launch := range launches {
		in(t, launch.name, launch.places, func(t *testing.T, p stage.Place) {
			pipe, file := newFifo(t), filepath.Join(t.TempDir(), "file")
			r := start(t, p, stage.Story{Words: behind(launch.with, tidy), Talk: true, Env: []string{"fifo=" + pipe.path, "file=" + file}})
			r.Says("tidy ready", 1)
			r.HangUp()
			r.Says("cleaning", 1)
			pipe.tell("go")
			r.WantExit(6)
			if text := stage.Read(t, file); text != "done\n" {
				t.Errorf("the clean-up was cut short, the file has %q\n%s", text, r)
			}
			r.WantEmpty()
		})
	}
}

// Beside another init the rest of the machine is not ours: a daemon that has
// left the group lives on, as it does under a shell.
func TestADaemonLivesOnBesideAnotherInit(t *testing.T) {
	t.Parallel()
	r := start(t, stage.BesideInit, stage.Story{Words: behind("setsid", stubborn), Talk: true})
	r.Says("stubborn ready", 1)
	r.HangUp()
	r.WantExit(6)
	if len(r.Find("stubborn ready")) != 1 {
		t.Errorf("the daemon is gone\n%s", r)
	}
}

func TestWhatIgnoresTERMIsKilledAtTheGrace(t *testing.T) {
	for _, launch := range launches {
		in(t, launch.name, launch.places, func(t *testing.T, p stage.Place) {
			r := start(t, p, stage.Story{
				Words: append([]string{"exec", "--grace", "700ms", "--"}, behind(launch.with, stubborn, stubborn)...), Talk: true,
			})
			r.Says("stubborn ready", 2)
			asked := time.Now()
			r.HangUp()
			r.WantExit(6)
			took := time.Since(asked)
			if took < 700*time.Millisecond {
				t.Errorf("killed after %s, before the grace was over", took)
			}
			if took > 20*time.Second {
				t.Errorf("killed after %s: the grace is 700 ms", took)
			}
			r.WantEmpty()
		})
	}
}

// The control: without an init that sweeps, the kernel kills at once what is
// left, uncleaned (tini, dumb-init and catatonit leave it at that).
func TestControlTheKernelLetsNobodyCleanUp(t *testing.T) {
	t.Parallel()
	pipe, file := newFifo(t), filepath.Join(t.TempDir(), "file")
	r := start(t, stage.AsInit, stage.Story{Program: "/bin/sh", Words: behind("", tidy)[1:], Talk: true, Env: []string{"fifo=" + pipe.path, "file=" + file}})
	r.Says("tidy ready", 1)
	r.HangUp()
	r.WantExit(6)
	if strings.Contains(r.Stdout.String(), "cleaning") || stage.Read(t, file) != "" {
		t.Errorf("it did clean up: the tests above prove nothing\n%s", r)
	}
}

// A second TERM during the sweep must not end us before the others.
func TestASignalDuringTheSweepCutsNothingShort(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		pipe, file := newFifo(t), filepath.Join(t.TempDir(), "file")
		r := start(t, p, stage.Story{Words: behind("", tidy), Talk: true, Env: []string{"fifo=" + pipe.path, "file=" + file}})
		r.Says("tidy ready", 1)
		r.HangUp()
		r.Says("cleaning", 1)
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, 64} {
			r.Signal(s)
		}
		pipe.tell("go")
		r.WantExit(6)
		if text := stage.Read(t, file); text != "done\n" {
			t.Errorf("the clean-up was cut short\n%s", r)
		}
	})
}

// What is stopped cannot hear TERM before CONT.
func TestAStoppedProcessIsWokenToEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		file := filepath.Join(t.TempDir(), "file")
		r := start(t, p, stage.Story{
			Words: behind("", `trap 'echo done >"$file"; exit' TERM; echo sleeper ready; kill -STOP $$; while :; do sleep 1000; done`),
			Env:   []string{"file=" + file}, Talk: true,
		})
		r.Says("sleeper ready", 1)
		r.Until("it is stopped", func() bool {
			found := r.Find("sleeper ready")
			return len(found) == 2 && (found[0].State == "T" || found[1].State == "T") || len(found) == 1 && found[0].State == "T"
		})
		r.HangUp()
		r.WantExit(6)
		if text := stage.Read(t, file); text != "done\n" {
			t.Errorf("it was not woken\n%s", r)
		}
	})
}

// Ends by a signal are the command's code too, whoever is left.
func TestTheSweepDoesNotTouchTheCode(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: append([]string{"exec", "--grace", "100ms"}, sh(`trap '' TERM; sleep 1000 & kill -KILL $$`)...)})
		r.WantExit(137)
		r.WantEmpty()
		r = start(t, p, stage.Story{Words: sh("sleep 1000 & exit 0")})
		r.WantExit(0)
		r.WantEmpty()
	})
}

const crowd = 500

// Orphans come to us and are reaped while the command runs.
func TestOrphansAreReapedWhileTheCommandRuns(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		// Each orphan outlives its parent: it waits for the FIFO's end.
		pipe := newFifo(t)
		r := start(t, p, stage.Story{Talk: true, Env: []string{"fifo=" + pipe.path}, Words: sh(fmt.Sprintf(`
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
		r.Says("all there", 1)
		r.Say("\n")
		r.Says("all told", 1)
		r.Until("nothing is left beside the command", func() bool { return len(r.Processes()) == 1 })
		if left := r.Processes(); left[0].State == "Z" {
			t.Errorf("a zombie: %v", left)
		}
		r.Say("\n")
		r.WantExit(3)
		r.WantEmpty()
	})
}

// The control: an init that does not reap has the zombies.
func TestControlAShellLeavesZombies(t *testing.T) {
	t.Parallel()
	r := start(t, stage.AsInit, stage.Story{Program: stage.Self, Words: []string{"negligent", "20"}, Talk: true})
	r.Says("ready", 1)
	r.Until("the orphans are zombies", func() bool {
		zombies := 0
		for _, p := range r.Processes() {
			if p.State == "Z" && p.Parent == 1 {
				zombies++
			}
		}
		return zombies == 20
	})
	r.HangUp()
	r.WantExit(0)
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
