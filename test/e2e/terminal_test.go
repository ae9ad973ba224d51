package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// bash is an interactive shell with a prompt that can be waited for.
var bash = []string{"bash", "--norc", "--noprofile", "-i"}

const (
	prompt = "ready> "
	ctrlC  = "\x03"
	ctrlD  = "\x04"
	ctrlZ  = "\x1a"
	ctrlBS = "\x1c" // Ctrl-backslash: QUIT
)

func shellEnv() []string { return []string{"PS1=" + prompt, "INPUTRC=/dev/null", "HISTFILE="} }

// command types a line at the prompt, and waits for the next prompt.
func command(r *stage.Running, line string) string {
	r.Say(line + "\n")
	return r.Expect(prompt)
}

// atRest waits until the command sleeps: a shell that has shown its prompt, or a
// job that was just started, may not have come to its read yet, and a key that
// arrives before is lost in some shells.
func atRest(r *stage.Running, command string) {
	r.Until(command+" waits", func() bool {
		found := r.Find(command)
		return len(found) == 1 && strings.HasPrefix(found[0].Command, command) && found[0].State == "S"
	})
}

// noJobControlComplaint complains about what a shell says when it has no terminal.
func noJobControlComplaint(t *testing.T, r *stage.Running) {
	t.Helper()
	if text := r.Stdout.String(); strings.Contains(text, "job control") || strings.Contains(text, "ioctl") {
		t.Errorf("the shell has no job control\n%s", r)
	}
}

// A shell in a container behaves as one: `docker run -it IMAGE bash`.
func TestAnInteractiveShell(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: bash, Env: shellEnv(), TTY: true})
		r.Expect(prompt)

		// Ctrl-C at the prompt, and of the foreground job: the shell lives.
		atRest(r, "bash")
		r.Say(ctrlC)
		r.Expect(prompt)
		r.Say("echo job; sleep 1000\n")
		r.Expect("\njob\n")
		atRest(r, "sleep 1000")
		r.Say(ctrlC)
		r.Expect(prompt)
		if text := command(r, "echo code $?"); !strings.Contains(text, "code 130") {
			t.Errorf("after Ctrl-C the code is not 130: %q", text)
		}

		// Ctrl-Z, bg, fg.
		r.Say("cat\n")
		atRest(r, "cat")
		r.Say("one\n")
		r.Expect("one\none")
		r.Say(ctrlZ)
		r.Expect("Stopped")
		r.Expect(prompt)
		r.Say("fg\n")
		r.Expect("cat")
		atRest(r, "cat")
		r.Say("two\n")
		r.Expect("two\ntwo")
		r.Say(ctrlC)
		r.Expect(prompt)

		noJobControlComplaint(t, r)
		r.Say("exit 3\n")
		r.WantExit(3)
	})
}

// A plain sh has job control too.
func TestADashShell(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: []string{"sh", "-i"}, Env: shellEnv(), TTY: true})
		r.Expect(prompt)
		r.Say("sleep 1000\n")
		atRest(r, "sleep 1000")
		r.Say(ctrlC)
		r.Expect(prompt)
		r.Say("cat\n")
		atRest(r, "cat")
		r.Say(ctrlZ)
		r.Expect("Stopped")
		r.Expect(prompt)
		r.Say("fg\n")
		r.Expect("cat")
		atRest(r, "cat")
		r.Say("back\n")
		r.Expect("back\nback")
		r.Say(ctrlD)
		r.Expect(prompt)
		noJobControlComplaint(t, r)
		r.Say("exit 4\n")
		r.WantExit(4)
	})
}

func TestTheWindowsSizeArrives(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: bash, Env: shellEnv(), TTY: true})
		r.Expect(prompt)
		if text := command(r, "stty size"); !strings.Contains(text, "24 80") {
			t.Errorf("the size is %q", text)
		}
		command(r, `trap 'echo heard WINCH' WINCH`)
		if err := pty.Setsize(r.TTY, &pty.Winsize{Rows: 50, Cols: 132}); err != nil {
			t.Fatal(err)
		}
		r.Say("\n") // bash runs a trap when readline returns
		r.Expect("heard WINCH")
		r.Expect(prompt)
		if text := command(r, "stty size"); !strings.Contains(text, "50 132") {
			t.Errorf("the size is %q", text)
		}
		r.Say("exit\n")
		r.WantExit(0)
	})
}

// Keys reach a program that is no shell, once: it is the foreground group, and
// what the terminal sends to it we do not send again.
func TestKeysReachTheProgramOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: append([]string{"env", "GODEBUG=asyncpreemptoff=1"}, app("signalled")...), TTY: true})
		r.Says("ready", 1)
		for key, s := range map[string]syscall.Signal{ctrlC: syscall.SIGINT, ctrlBS: syscall.SIGQUIT, ctrlZ: syscall.SIGTSTP} {
			r.Say(key)
			r.Says(fmt.Sprintf("got %d.", s), 1)
		}
		r.Signal(syscall.SIGTERM)
		r.Says(fmt.Sprintf("got %d.", syscall.SIGTERM), 1)
		r.Say(ctrlD)
		r.WantExit(0)
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGTERM} {
			if n := strings.Count(r.Stdout.String(), fmt.Sprintf("got %d.", s)); n != 1 {
				t.Errorf("%v arrived %d times\n%s", s, n, r)
			}
		}
	})
}

func TestCtrlCEndsAPlainProgram(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: []string{"sh", "-c", "echo there; exec sleep 1000"}, TTY: true})
		r.Says("there", 1)
		r.Say(ctrlC)
		r.WantExit(130)
	})
}

// Ctrl-Z on a program without a shell above it: as PID 1 there is nobody who
// could continue it, so it goes on.
func TestCtrlZWithoutAShellGoesOn(t *testing.T) {
	t.Parallel()
	r := start(t, stage.AsInit, stage.Story{Words: app("listener"), TTY: true})
	r.Says("ready", 1)
	for range 3 {
		r.Say(ctrlZ)
		r.Say("hello\n")
		r.Expect("heard hello")
	}
	r.Say(ctrlD)
	r.WantExit(0)
}

// As a job of an outer shell it stops, the shell gets its prompt, fg resumes it
// with the terminal, and bg without.
func TestCtrlZUnderAnOuterShell(t *testing.T) {
	for _, p := range []stage.Place{stage.AsInit, stage.BesideInit} { // of the outer shell
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			r := start(t, p, stage.Story{Program: "/bin/bash", Words: bash[1:], Env: append(shellEnv(), "e="+stage.Binary, "app="+stage.Self), TTY: true})
			r.Expect(prompt)
			r.Say("$e $app listener\n")
			r.Expect("\nready")
			for range 2 {
				r.Say(ctrlZ)
				r.Expect("Stopped")
				r.Expect(prompt)
				if text := command(r, "echo outer shell"); !strings.Contains(text, "\nouter shell") {
					t.Errorf("the outer shell says %q", text)
				}
				r.Say("fg\n")
				r.Expect("listener")
				r.Say("hello\n")
				r.Expect("heard hello")
			}
			r.Say(ctrlC)
			r.Expect(prompt)
			if text := command(r, "echo code $?"); !strings.Contains(text, "code 130") {
				t.Errorf("after Ctrl-C the outer shell says %q", text)
			}
			// Its own terminal is in order.
			if text := command(r, "stty size"); !strings.Contains(text, "24 80") {
				t.Errorf("the size is %q", text)
			}
			r.Say("exit\n")
			r.WantExit(0)
		})
	}
}

// The terminal goes back to whom it came from: a script that has no job control
// of its own could not read from it otherwise.
func TestTheTerminalIsGivenBack(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Program: "/bin/sh", Words: []string{"-c", `"$0" sh -c 'read x; echo "inner $x"'; read y; echo "outer $y"`, stage.Binary}, TTY: true})
		r.Say("one\n")
		r.Expect("inner one")
		r.Say("two\n")
		r.Expect("outer two")
		r.WantExit(0)
	})
}

// A background job must not take the terminal.
func TestABackgroundJobLeavesTheTerminal(t *testing.T) {
	t.Parallel()
	r := start(t, stage.AsInit, stage.Story{Program: "/bin/bash", Words: bash[1:], Env: append(shellEnv(), "e="+stage.Binary), TTY: true})
	r.Expect(prompt)
	command(r, `$e sh -c 'echo job there; sleep 1000' &`)
	r.Says("job there", 1)
	if text := command(r, "echo still mine"); !strings.Contains(text, "\nstill mine") {
		t.Errorf("the shell says %q", text)
	}
	command(r, "kill %1")
	command(r, "wait %1; echo code $?")
	r.Says("code 143", 1)
	r.Say("exit 0\n")
	r.WantExit(0)
}

// stdin is a terminal, stdout a pipe or a file: `docker run -it IMAGE cmd | less`.
func TestATerminalOnStdinAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Program: "/bin/sh", Words: []string{"-c", `"$0" sh -c 'read x; echo "inner $x"' | cat; echo over`, stage.Binary}, TTY: true})
		r.Say("one\n")
		r.Expect("inner one")
		r.Expect("over")
		r.WantExit(0)
	})
}

// When the terminal goes away, the kernel tells the leader of its session, which
// is the PID 1; the program hears it from us.
func TestTheTerminalHangsUp(t *testing.T) {
	t.Parallel()
	told := newFifo(t)
	r := start(t, stage.AsInit, stage.Story{
		Words: []string{"sh", "-c", `trap 'echo hup >"$file"; exit 9' HUP; echo there; while :; do sleep 1000 & wait; done`},
		Env:   []string{"file=" + told.path}, TTY: true,
	})
	r.Says("there", 1)
	r.HangUp()
	if text := told.heard(); text != "hup\n" {
		t.Errorf("the program has written %q", text)
	}
	r.WantExit(9)
}
