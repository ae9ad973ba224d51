package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
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
func (r *running) command(line string) string {
	r.t.Helper()
	r.say(line + "\n")
	return r.expect(prompt)
}

// atRest waits until the command sleeps: a shell that has shown its prompt, or a
// job that was just started, may not have come to its read yet, and a key that
// arrives before is lost in some shells.
func (r *running) atRest(command string) {
	r.t.Helper()
	r.eventually(command+" waits", func() bool {
		found := r.find(command)
		return len(found) == 1 && strings.HasPrefix(found[0].command, command) && found[0].state == "S"
	})
}

// noJobControlComplaint complains about what a shell says when it has no terminal.
func (r *running) noJobControlComplaint() {
	r.t.Helper()
	if text := r.stdout.String(); strings.Contains(text, "job control") || strings.Contains(text, "ioctl") {
		r.t.Errorf("the shell has no job control\n%s", r)
	}
}

// A shell in a container behaves as one: `docker run -it IMAGE bash`.
func TestAnInteractiveShell(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: bash, env: shellEnv(), tty: true})
		r.expect(prompt)

		// Ctrl-C at the prompt, and of the foreground job: the shell lives.
		r.atRest("bash")
		r.say(ctrlC)
		r.expect(prompt)
		r.say("echo job; sleep 1000\n")
		r.expect("\njob\n")
		r.atRest("sleep 1000")
		r.say(ctrlC)
		r.expect(prompt)
		if text := r.command("echo code $?"); !strings.Contains(text, "code 130") {
			t.Errorf("after Ctrl-C the code is not 130: %q", text)
		}

		// Ctrl-Z, bg, fg.
		r.say("cat\n")
		r.atRest("cat")
		r.say("one\n")
		r.expect("one\none")
		r.say(ctrlZ)
		r.expect("Stopped")
		r.expect(prompt)
		r.say("fg\n")
		r.expect("cat")
		r.atRest("cat")
		r.say("two\n")
		r.expect("two\ntwo")
		r.say(ctrlC)
		r.expect(prompt)

		r.noJobControlComplaint()
		r.say("exit 3\n")
		r.wantExit(3)
	})
}

// A plain sh has job control too.
func TestADashShell(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: []string{"sh", "-i"}, env: shellEnv(), tty: true})
		r.expect(prompt)
		r.say("sleep 1000\n")
		r.atRest("sleep 1000")
		r.say(ctrlC)
		r.expect(prompt)
		r.say("cat\n")
		r.atRest("cat")
		r.say(ctrlZ)
		r.expect("Stopped")
		r.expect(prompt)
		r.say("fg\n")
		r.expect("cat")
		r.atRest("cat")
		r.say("back\n")
		r.expect("back\nback")
		r.say(ctrlD)
		r.expect(prompt)
		r.noJobControlComplaint()
		r.say("exit 4\n")
		r.wantExit(4)
	})
}

func TestTheWindowsSizeArrives(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: bash, env: shellEnv(), tty: true})
		r.expect(prompt)
		if text := r.command("stty size"); !strings.Contains(text, "24 80") {
			t.Errorf("the size is %q", text)
		}
		r.command(`trap 'echo heard WINCH' WINCH`)
		resize(t, r.marks[0], 50, 132)
		r.say("\n") // bash runs a trap when readline returns
		r.expect("heard WINCH")
		r.expect(prompt)
		if text := r.command("stty size"); !strings.Contains(text, "50 132") {
			t.Errorf("the size is %q", text)
		}
		r.say("exit\n")
		r.wantExit(0)
	})
}

// Keys reach a program that is no shell, once: it is the foreground group, and
// what the terminal sends to it we do not send again.
func TestKeysReachTheProgramOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: append([]string{"env", "GODEBUG=asyncpreemptoff=1"}, app("signalled")...), tty: true})
		r.waitFor("ready")
		for key, s := range map[string]syscall.Signal{ctrlC: syscall.SIGINT, ctrlBS: syscall.SIGQUIT, ctrlZ: syscall.SIGTSTP} {
			r.say(key)
			r.waitFor(fmt.Sprintf("got %d.", s))
		}
		r.signal(syscall.SIGTERM)
		r.waitFor(fmt.Sprintf("got %d.", syscall.SIGTERM))
		r.say(ctrlD)
		r.wantExit(0)
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGTERM} {
			if n := strings.Count(r.stdout.String(), fmt.Sprintf("got %d.", s)); n != 1 {
				t.Errorf("%v arrived %d times\n%s", s, n, r)
			}
		}
	})
}

func TestCtrlCEndsAPlainProgram(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: []string{"sh", "-c", "echo there; exec sleep 1000"}, tty: true})
		r.waitFor("there")
		r.say(ctrlC)
		r.wantExit(130)
	})
}

// Ctrl-Z on a program without a shell above it: as PID 1 there is nobody who
// could continue it, so it goes on.
func TestCtrlZWithoutAShellGoesOn(t *testing.T) {
	t.Parallel()
	r := start(t, asInit, opts{args: app("listener"), tty: true})
	r.waitFor("ready")
	for range 3 {
		r.say(ctrlZ)
		r.say("hello\n")
		r.expect("heard hello")
	}
	r.say(ctrlD)
	r.wantExit(0)
}

// As a job of an outer shell it stops, the shell gets its prompt, fg resumes it
// with the terminal, and bg without.
func TestCtrlZUnderAnOuterShell(t *testing.T) {
	for _, place := range []place{asInit, besideInit} { // of the outer shell
		t.Run(string(place), func(t *testing.T) {
			t.Parallel()
			r := start(t, place, opts{path: "/bin/bash", args: bash[1:], env: append(shellEnv(), "e="+binary, "app="+self), tty: true})
			r.expect(prompt)
			r.say("$e $app listener\n")
			r.expect("\nready")
			for range 2 {
				r.say(ctrlZ)
				r.expect("Stopped")
				r.expect(prompt)
				if text := r.command("echo outer shell"); !strings.Contains(text, "\nouter shell") {
					t.Errorf("the outer shell says %q", text)
				}
				r.say("fg\n")
				r.expect("listener")
				r.say("hello\n")
				r.expect("heard hello")
			}
			r.say(ctrlC)
			r.expect(prompt)
			if text := r.command("echo code $?"); !strings.Contains(text, "code 130") {
				t.Errorf("after Ctrl-C the outer shell says %q", text)
			}
			// Its own terminal is in order.
			if text := r.command("stty size"); !strings.Contains(text, "24 80") {
				t.Errorf("the size is %q", text)
			}
			r.say("exit\n")
			r.wantExit(0)
		})
	}
}

// The terminal goes back to whom it came from: a script that has no job control
// of its own could not read from it otherwise.
func TestTheTerminalIsGivenBack(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{path: "/bin/sh", args: []string{"-c", `"$0" sh -c 'read x; echo "inner $x"'; read y; echo "outer $y"`, binary}, tty: true})
		r.say("one\n")
		r.expect("inner one")
		r.say("two\n")
		r.expect("outer two")
		r.wantExit(0)
	})
}

// A background job must not take the terminal.
func TestABackgroundJobLeavesTheTerminal(t *testing.T) {
	t.Parallel()
	r := start(t, asInit, opts{path: "/bin/bash", args: bash[1:], env: append(shellEnv(), "e="+binary), tty: true})
	r.expect(prompt)
	r.command(`$e sh -c 'echo job there; sleep 1000' &`)
	r.waitFor("job there")
	if text := r.command("echo still mine"); !strings.Contains(text, "\nstill mine") {
		t.Errorf("the shell says %q", text)
	}
	r.command("kill %1")
	r.command("wait %1; echo code $?")
	r.waitFor("code 143")
	r.say("exit 0\n")
	r.wantExit(0)
}

// stdin is a terminal, stdout a pipe or a file: `docker run -it IMAGE cmd | less`.
func TestATerminalOnStdinAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{path: "/bin/sh", args: []string{"-c", `"$0" sh -c 'read x; echo "inner $x"' | cat; echo over`, binary}, tty: true})
		r.say("one\n")
		r.expect("inner one")
		r.expect("over")
		r.wantExit(0)
	})
}

// When the terminal goes away, the kernel tells the leader of its session, which
// is the PID 1; the program hears it from us.
func TestTheTerminalHangsUp(t *testing.T) {
	t.Parallel()
	told := newFifo(t)
	r := start(t, asInit, opts{
		args: []string{"sh", "-c", `trap 'echo hup >"$file"; exit 9' HUP; echo there; while :; do sleep 1000 & wait; done`},
		env:  []string{"file=" + told.path}, tty: true,
	})
	r.waitFor("there")
	for _, f := range r.marks {
		f.Close()
	}
	r.marks = nil
	r.stdin.Close()
	if text := told.heard(); text != "hup\n" {
		t.Errorf("the program has written %q", text)
	}
	r.wantExit(9)
}
