package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// sh is the command line of a shell script.
func sh(script string, words ...string) []string {
	return append([]string{"sh", "-c", script}, words...)
}

func TestExecPassesEveryCode(t *testing.T) {
	t.Run(stage.AsInit.String(), func(t *testing.T) {
		t.Parallel()
		for code := range 256 {
			start(t, stage.AsInit, stage.Story{Words: sh(fmt.Sprintf("exit %d", code))}).WantExit(code)
		}
	})
	t.Run(stage.BesideInit.String(), func(t *testing.T) {
		t.Parallel()
		r := start(t, stage.BesideInit, stage.Story{Program: "/bin/sh", Words: []string{"-c", `
			i=0
			while [ $i -lt 256 ]; do "$0" sh -c "exit $i"; echo "$i is $?"; i=$((i+1)); done`, stage.Binary}})
		r.WantExit(0)
		for code := range 256 {
			if line := fmt.Sprintf("%d is %d\n", code, code); !strings.Contains("\n"+r.Stdout.String(), "\n"+line) {
				t.Errorf("not among the codes: %s", line)
			}
		}
	})
}

// The control: what this harness says of a program that does not pass the code
// on. A harness that lost codes would pass the test above.
func TestControlTheHarnessSeesAWrongCode(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Program: "/bin/sh", Words: []string{"-c", `"$0" sh -c 'exit 7'; exit 9`, stage.Binary}})
		if got := r.Exit(); got != 9 {
			t.Errorf("code %d of a shell that ended with 9", got)
		}
		r = start(t, p, stage.Story{Program: "/bin/sh", Words: []string{"-c", "echo ready; read x", "sh"}, Talk: true})
		r.Says("ready", 1)
		r.Signal(syscall.SIGKILL)
		if got := r.Exit(); got != -9 {
			t.Errorf("code %d of a program that was killed", got)
		}
	})
}

// deadly are the signals whose default action is the end of the process.
func deadly() []syscall.Signal {
	var all []syscall.Signal
	for s := syscall.Signal(1); s <= 64; s++ {
		switch s {
		case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGWINCH, syscall.SIGCONT, // ignored
			syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, // stop it
			32, 33: // libc's own
		default:
			all = append(all, s)
		}
	}
	return all
}

func TestACommandKilledByASignalGives128AndItsNumber(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		for _, s := range deadly() {
			r := start(t, p, stage.Story{Words: sh(fmt.Sprintf("ulimit -c 0; kill -%d $$", s))})
			r.WantExit(128 + int(s))
		}
	})
}

func TestACommandThatCannotRun(t *testing.T) {
	dir := t.TempDir()
	stage.Write(t, dir, "crlf.sh", "#!/bin/sh\r\necho hello\r\n", 0o755)
	stage.Write(t, dir, "plain.sh", "#!/bin/sh\necho hello\n", 0o644)
	stage.Write(t, dir, "text", "hello\n", 0o755)
	stage.Write(t, dir, "lost", "#!/no/such/interpreter\n", 0o755)
	stage.Write(t, dir, "empty", "", 0o755)
	stage.Write(t, dir, "closed/inner", "#!/bin/sh\n", 0o755)
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		code int
		say  []string
	}{
		{"missing in PATH", []string{"no-such-program"}, 127, []string{"cannot run no-such-program", "not found in PATH"}},
		{"missing path", []string{"./no-such-program"}, 127, []string{"cannot run ./no-such-program", "no such file"}},
		{"missing folder", []string{"/no/such/program"}, 127, []string{"cannot run /no/such/program", "no such file"}},
		{"below a file", []string{"./text/program"}, 127, []string{"cannot run ./text/program"}},
		{"a loop of links", []string{"./loop"}, 127, []string{"cannot run ./loop"}},
		{"not executable", []string{"./plain.sh"}, 126, []string{"cannot run ./plain.sh", "chmod +x"}},
		{"a directory", []string{dir}, 126, []string{"directory"}},
		{"Windows line ends", []string{"./crlf.sh"}, 126, []string{"crlf.sh", "CRLF"}},
		{"missing interpreter", []string{"./lost"}, 126, []string{"lost", "/no/such/interpreter"}},
		{"neither script nor program", []string{"./text"}, 126, []string{"text", "#!"}},
		{"an empty file", []string{"./empty"}, 126, []string{"empty", "#!"}},
		{"an empty command", []string{""}, 127, []string{"the command is empty"}},
		{"an empty command, exec", []string{"exec", "--", ""}, 127, []string{"the command is empty"}},
		{"no command", []string{"exec"}, 64, []string{"cannot run a command", "exec COMMAND"}},
		{"no command behind the dashes", []string{"--"}, 64, []string{"cannot run a command"}},
		{"a flag that is none", []string{"exec", "--no-such-flag", "true"}, 64, []string{"exec --help"}},
		{"a flag of run", []string{"exec", "--mode", "WEB", "true"}, 64, []string{"exec --help"}},
		{"a bad grace", []string{"exec", "--grace", "soon", "true"}, 64, []string{"--grace", "8s"}},
		{"a grace without unit", []string{"exec", "--grace", "8", "true"}, 64, []string{"--grace", "unit"}},
		{"a directory that is not there", []string{"exec", "--dir", "/no/such/dir", "true"}, 64, []string{"--dir"}},
		{"a bad rewrite", []string{"exec", "--signals", "TERM=QUIT", "true"}, 64, []string{"--signals", "TERM:QUIT"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p stage.Place) {
				r := start(t, p, stage.Story{Words: test.args, Dir: dir})
				r.WantExit(test.code)
				r.WantOneLine(test.say...)
				r.WantOut("")
			})
		})
	}
}

// A variable's bad value is 78, and the value is not repeated: it may be a
// secret that stands in the wrong place.
func TestABadVariableIs78AndItsValueIsNotRepeated(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: []string{"true"}, Env: []string{"ENTRYPOINT_GRACE=hunter2", "ENTRYPOINT_SIGNALS=correct-horse", "ENTRYPOINT_LOG_LEVEL=battery"}})
		r.WantExit(78)
		text := r.Stderr.String()
		for _, name := range []string{"ENTRYPOINT_GRACE", "ENTRYPOINT_SIGNALS", "ENTRYPOINT_LOG_LEVEL"} {
			if strings.Count(text, name) != 1 {
				t.Errorf("all problems are told at once, %s is not:\n%s", name, text)
			}
		}
		for _, value := range []string{"hunter2", "correct-horse", "battery"} {
			if strings.Contains(text, value) {
				t.Errorf("the value %q stands in the error:\n%s", value, text)
			}
		}
	})
}

func TestTheFirstWordDecides(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"status", "health", "run", "exec", "help", "version", "--odd", "-x", "show"} {
		stage.Write(t, dir, name, "#!/bin/sh\necho \"program ${0##*/}: $*\"\n", 0o755)
	}
	path := "PATH=" + dir + ":/usr/bin:/bin"
	for _, test := range []struct {
		args string
		want string // on stdout
	}{
		{"show --help", "program show: --help\n"},
		{"show -- --help", "program show: -- --help\n"},
		{"-- show --help", "program show: --help\n"},
		{"exec show --help", "program show: --help\n"},
		{"exec -- show --help", "program show: --help\n"},
		{"exec show --grace 1s", "program show: --grace 1s\n"},
		{"exec --grace 1s show --grace 2s -- --mode", "program show: --grace 2s -- --mode\n"},
		{"exec --grace=1s -- show run", "program show: run\n"},
		{"-- status", "program status: \n"},
		{"-- health --ready", "program health: --ready\n"},
		{"-- run -- x", "program run: -- x\n"},
		{"exec -- run --help", "program run: --help\n"},
		{"exec run --help", "program run: --help\n"},
		{"-- exec -- true", "program exec: -- true\n"},
		{"help", "program help: \n"},
		{"help exec", "program help: exec\n"},
		{"-- help", "program help: \n"},
		{"exec -- help", "program help: \n"},
		{"exec help", "program help: \n"},
		{"-- version", "program version: \n"},
		{"exec -- --odd --version", "program --odd: --version\n"},
		{"-- -x --help", "program -x: --help\n"},
		{"-- -- x", ""}, // a program called --, which is not there
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			r := start(t, stage.AsInit, stage.Story{Words: strings.Fields(test.args), Env: []string{path}})
			want := 0
			if test.want == "" {
				want = 127
			}
			r.WantExit(want)
			r.WantOut(test.want)
		})
	}
}

// The words of the command reach it as they are, however much they look like
// ours, and with their spaces, quotes and line ends.
func TestTheCommandsWordsAreItsOwn(t *testing.T) {
	words := []string{"--grace", "1s", "--help", "-h", "--", "--version", "run", "two words", "", `"quoted"`, "a\nb", "*", "$HOME", "{index}", "ünï", "\xff\xfe"}
	everywhere(t, func(t *testing.T, p stage.Place) {
		for _, prefix := range [][]string{nil, {"--"}, {"exec"}, {"exec", "--"}, {"exec", "--grace", "3s"}} {
			r := start(t, p, stage.Story{Words: append(append(prefix, sh(`printf '<%s>' "$@"`, "x")...), words...)})
			r.WantExit(0)
			want := "<" + strings.Join(words, "><") + ">"
			r.WantOut(want)
		}
	})
}

func TestOurOwnHelpAndVersion(t *testing.T) {
	for _, test := range []struct {
		args, want string
	}{
		{"version", "entrypoint "},
		{"--help", "the PID 1 that a container deserves"},
		{"exec --help", "--grace"},
		{"run --help", "APP_RUN_MODE"},
		{"health --help", "--ready"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			r := start(t, stage.AsInit, stage.Story{Words: strings.Fields(test.args)})
			r.WantExit(0)
			if !strings.Contains(r.Stdout.String(), test.want) {
				t.Errorf("%q is not in:\n%s", test.want, r)
			}
			if text := r.Stderr.String(); text != "" {
				t.Errorf("stderr has %q", text)
			}
		})
	}
}

// A flag in front of a verb would silently be run's: it is refused.
func TestAFlagBeforeAVerbIsRefused(t *testing.T) {
	for _, args := range []string{"--grace 1s exec true", "--json status", "--mode WEB plan", "--version"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			r := start(t, stage.AsInit, stage.Story{Words: strings.Fields(args)})
			r.WantExit(64)
			r.WantOneLine()
		})
	}
}

func TestEntriesWithoutAnEqualsSign(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{
			Bare: true, Env: []string{"PATH=/usr/bin:/bin", "no equals sign", "A=1=2", "", "EMPTY="},
			Words: []string{"env"},
		})
		r.WantExit(0)
		if !strings.Contains(r.Stderr.String(), "warning:") || strings.Contains(r.Stderr.String(), "no equals") {
			t.Errorf("no warning, or one with the entry's text:\n%s", r)
		}
		if got, want := sortedLines(r.Stdout.String()), "A=1=2\nEMPTY=\nPATH=/usr/bin:/bin\n"; got != want {
			t.Errorf("the command got\n%s, not\n%s", got, want)
		}
	})
}

// What says how to run does not reach the application; what says what to run
// does.
func TestOurOwnVariablesStayWithUs(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{
			Bare: true, Words: []string{"env"},
			Env: []string{"PATH=/usr/bin:/bin", "ENTRYPOINT_GRACE=1s", "ENTRYPOINT_LOG_LEVEL=error", "ENTRYPOINT_UNKNOWN=x", "ENTRYPOINT_SHIM=77 i1 /bin/false", "APP_SETTING=x"},
		})
		r.WantExit(0)
		if got := r.Stdout.String(); strings.Contains(got, "ENTRYPOINT_") || !strings.Contains(got, "APP_SETTING=x\n") {
			t.Errorf("the command got\n%s", r)
		}
	})
}

func TestExecRunsInTheDirectoryThatIsSaid(t *testing.T) {
	dir := t.TempDir()
	stage.Write(t, dir, "app/tool", "#!/bin/sh\npwd\n", 0o755)
	everywhere(t, func(t *testing.T, p stage.Place) {
		for _, o := range []stage.Story{
			{Words: []string{"exec", "--dir", "app", "./tool"}},
			{Words: []string{"./tool"}, Env: []string{"ENTRYPOINT_DIR=app"}},
			{Words: []string{"exec", "--dir", "app", "--", "pwd"}},
		} {
			o.Dir = dir
			r := start(t, p, o)
			r.WantExit(0)
			if got, want := strings.TrimSpace(r.Stdout.String()), filepath.Join(dir, "app"); got != want {
				t.Errorf("%q ran in %q, not %q", o.Words, got, want)
			}
		}
	})
}

// Too much for execve(2): the variable is named before the fork, the value is
// not.
func TestAVariableThatIsTooLong(t *testing.T) {
	dir := t.TempDir()
	stage.Write(t, dir, ".env", "LONG="+strings.Repeat("x", 140000)+"\n", 0o600)
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: []string{"true"}, Dir: dir})
		r.WantExit(78)
		r.WantOneLine("LONG")
		if len(r.Stderr.String()) > 1000 {
			t.Error("the value is in the error")
		}
	})
}
