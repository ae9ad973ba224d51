package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// run is the command line of the verb, with words to supervise.
func run(flags string, words ...string) []string {
	return append(append([]string{"run"}, strings.Fields(flags)...), append([]string{"--"}, words...)...)
}

// copyScript says who it is and stays.
const copyScript = `echo "copy $APP_WORKER_INDEX of $APP_WORKER_TOTAL"; exec sleep 1000`

func TestRunStartsCopiesAndStopsThem(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(s.String(), func(t *testing.T) {
			everywhere(t, func(t *testing.T, p stage.Place) {
				r := start(t, p, stage.Story{Words: run("--workers 3", sh(copyScript)...)})
				for i := range 3 {
					r.Says(fmt.Sprintf("copy %d of 3\n", i), 1)
				}
				r.Await(3, "sleep 1000")
				r.Signal(s)
				r.WantExit(0)
				r.WantEmpty()
			})
		})
	}
}

// A copy that dies is started again, whatever it died of; the other is left
// alone.
func TestACopyThatDiesIsStartedAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--workers 2 --backoff 20ms", sh(copyScript)...)})
		r.Says("copy 0 of 2\n", 1)
		r.Says("copy 1 of 2\n", 1)
		before := r.Await(2, "sleep 1000")
		before[0].Kill(syscall.SIGKILL)
		r.Says("copy ", 3)
		after := r.Await(2, "sleep 1000")
		if !slices.ContainsFunc(after, func(c stage.Process) bool { return c.Inside == before[1].Inside }) {
			t.Errorf("the other copy was not left alone: %v, then %v", before, after)
		}
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
	})
}

// --give-up 3/60s: the third death is the last, and its code the container's.
func TestGivingUp(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		for _, test := range []struct {
			script string
			code   int
		}{
			{"echo born; exit 9", 9},
			{"echo born; kill -KILL $$", 137},
			{"echo born; ulimit -c 0; kill -SEGV $$", 139},
		} {
			r := start(t, p, stage.Story{Words: run("--give-up 3/60s --backoff 5ms", sh(test.script)...)})
			r.WantExit(test.code)
			if n := strings.Count(r.Stdout.String(), "born"); n != 3 {
				t.Errorf("started %d times, not 3\n%s", n, r)
			}
		}
	})
}

// One copy that is given up is not the end while another lives.
func TestOneFailedCopyIsNotTheEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--workers 2 --give-up 2/60s --backoff 5ms", sh(`[ "$APP_WORKER_INDEX" = 0 ] && exit 9; echo other lives; exec sleep 1000`)...)})
		r.Says("other lives", 1)
		r.Says("given up", 1)
		r.Await(1, "sleep 1000")[0].Kill(syscall.SIGKILL)
		r.Says("other lives", 2)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
	})
}

func TestRunOfWhatCannotRunEndsAtOnce(t *testing.T) {
	dir := t.TempDir()
	stage.Write(t, dir, "crlf.sh", "#!/bin/sh\r\necho\r\n", 0o755)
	stage.Write(t, dir, "plain", "hello", 0o644)
	everywhere(t, func(t *testing.T, p stage.Place) {
		for program, code := range map[string]int{"no-such-program": 127, "./missing": 127, "./plain": 126, "./crlf.sh": 126, "": 127} {
			r := start(t, p, stage.Story{Words: run("--workers 2", program), Dir: dir})
			r.WantExit(code)
			if n := strings.Count(r.Stderr.String(), "is started again"); n > 0 {
				t.Errorf("tried again\n%s", r)
			}
		}
	})
}

// A command is finished with 0; a mode's servers are not.
func TestExitZeroIsFinished(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--workers 3", sh("echo born")...)})
		r.WantExit(0)
		if n := strings.Count(r.Stdout.String(), "born"); n != 3 {
			t.Errorf("started %d times, not 3\n%s", n, r)
		}
		// always: 0 is a death like another
		r = start(t, p, stage.Story{Words: run("--restart always --backoff 5ms --give-up 10000/60s", sh("echo born")...)})
		r.Says("born", 3)
		r.Signal(syscall.SIGTERM)
		r.Exit()
	})
}

func TestRestartNeverPassesTheCode(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		for script, code := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -USR1 $$": 138} {
			r := start(t, p, stage.Story{Words: run("--restart never", sh("echo born; "+script)...)})
			r.WantExit(code)
			if n := strings.Count(r.Stdout.String(), "born"); n != 1 {
				t.Errorf("started %d times\n%s", n, r)
			}
		}
	})
}

// Signals that ask for nothing go to every copy as they are.
func TestOtherSignalsReachEveryCopy(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--workers 2", append([]string{"env", "GODEBUG=asyncpreemptoff=1"}, app("heedless")...)...)})
		r.Says("ready\n", 2)
		n := 0
		for _, s := range forwarded() {
			if s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT {
				continue
			}
			r.Signal(s)
			r.Says(got(s), 2)
			n++
		}
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
		// CONT follows TERM: what is stopped must hear of it.
		text := strings.ReplaceAll(r.Stdout.String(), got(syscall.SIGCONT), "")
		if lines := strings.Count(text, "got "); lines != 2*(n-1) {
			t.Errorf("%d signals to two copies are %d lines\n%s", n-1, lines, r)
		}
	})
}

// Whatever the application does with TERM, the container ends within the grace
// and a second, and nothing is left.
func TestAStopEndsWithinTheGrace(t *testing.T) {
	// A fork that still has its parent's trap when TERM comes has not heard it.
	const either = -1
	for _, test := range []struct {
		name   string
		script string
		code   int
	}{
		{"it ends", `echo ready; exec sleep 1000`, 0},
		{"it ends in its own way", `trap 'exit 3' TERM; echo ready; while :; do sleep 1000 & wait $!; done`, 0},
		{"it ignores TERM", `trap "" TERM; echo ready; while :; do sleep 1000; done`, 137},
		{"a shell with two children", `sleep 1000 & echo ready; sleep 1000`, 0},
		{"its child ignores TERM", `(trap "" TERM; exec sleep 1000) & echo ready; exec sleep 1000`, 137},
		{"it is stopped", `echo ready; kill -STOP $$; exec sleep 1000`, 0},
		{"a daemon has left the group", `setsid sleep 1000 & echo ready; exec sleep 1000`, 0},
		{"it forks on TERM", `trap 'sleep 1000 & exit' TERM; echo ready; while :; do sleep 1000 & wait $!; done`, either},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p stage.Place) {
				r := start(t, p, stage.Story{Words: run("--grace 1s", sh(test.script)...)})
				r.Says("ready\n", 1)
				asked := time.Now()
				r.Signal(syscall.SIGTERM)
				if test.code != either {
					r.WantExit(test.code)
				} else if code := r.Exit(); code != 0 && code != 137 {
					t.Errorf("exit code %d\n%s", code, r)
				}
				if took := time.Since(asked); took > 10*time.Second {
					t.Errorf("%s, and the grace is one second", took)
				}
				if strings.Contains(test.name, "daemon") && p == stage.BesideInit {
					return // not ours there
				}
				r.WantEmpty()
			})
		})
	}
}

// The third request does not wait for the grace.
func TestTheThirdRequestKills(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--grace 30m", sh(`trap "" TERM; echo ready; while :; do sleep 1000; done`)...)})
		r.Says("ready\n", 1)
		for n, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
			r.Signal(s)
			r.Says("stop requested", n+1)
		}
		r.WantExit(137)
		r.WantEmpty()
	})
}

// A stop does not wait for the backoff.
func TestAStopDuringTheBackoff(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--backoff 30m", sh("exit 1")...)})
		r.Says("is started again", 1)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
	})
}

// A script that starts its server in the background and ends: the server is the
// copy from then on.
func TestAServerInTheBackgroundIsTheCopy(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--backoff 5ms", sh("echo born; sleep 1000 & exit 0")...)})
		r.Says("born\n", 1)
		r.Says("in the background", 1)
		r.Await(1, "sleep 1000")[0].Kill(syscall.SIGKILL)
		r.Says("born\n", 2)
		r.Says("in the background", 2)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
		r.WantEmpty()
	})
}

// If the script fails, its server is ended before the next start: two at once
// would quarrel about the port.
func TestARestartCleansUpFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--backoff 5ms --give-up 4/60s --grace 5s", sh("echo born; sleep 1000 & exit 5")...)})
		r.WantExit(5)
		r.WantEmpty()
		if n := strings.Count(r.Stdout.String(), "born"); n != 4 {
			t.Errorf("started %d times, not 4\n%s", n, r)
		}
	})
}

func TestRunRewritesSignals(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--signals TERM:0,USR1:TERM,USR2:HUP,HUP:restart", append([]string{"env", "GODEBUG=asyncpreemptoff=1"}, app("heedless")...)...)})
		r.Says("ready\n", 1)
		r.Signal(syscall.SIGTERM) // dropped
		r.Signal(syscall.SIGUSR2)
		r.Says(got(syscall.SIGHUP), 1)
		r.Signal(syscall.SIGHUP) // a rolling restart
		r.Says("ready\n", 2)
		r.Says("replaced", 1)
		r.Signal(syscall.SIGUSR1) // the stop
		r.WantExit(0)
	})
}

// TERM at any instant of the start of run is the stop before anything ran or
// the requested stop.
func TestTERMAtAnyInstantOfRun(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		codes := map[int]int{}
		for range 30 {
			r := start(t, p, stage.Story{Words: run("--workers 2", "sleep", "1000")})
			r.AnyInstant(20 * time.Millisecond)
			r.Signal(syscall.SIGTERM)
			code := r.Exit()
			if codes[code]++; code != 0 && code != 143 {
				t.Errorf("code %d, not 0 or 143\n%s", code, r)
			}
			r.WantEmpty()
		}
		t.Logf("codes: %v", codes)
	})
}

func TestBadSettingsOfRun(t *testing.T) {
	for _, test := range []struct {
		name string
		args string
		env  []string
		code int
		say  []string
	}{
		{"copies, flag", "--workers banana", nil, 64, []string{"--workers", "auto"}},
		{"copies, variable", "", []string{"APP_WORKER_COUNT=banana"}, 78, []string{"APP_WORKER_COUNT", "auto"}},
		{"no copies", "--workers 0", nil, 64, []string{"--workers"}},
		{"fewer than none", "", []string{"APP_WORKER_COUNT=-1"}, 78, []string{"APP_WORKER_COUNT"}},
		{"mode with a slash", "", []string{"APP_RUN_MODE=../web"}, 78, []string{"APP_RUN_MODE"}},
		{"restart", "--restart sometimes", nil, 64, []string{"--restart", "on-failure"}},
		{"backoff", "--backoff 30s..1s", nil, 64, []string{"--backoff", "500ms..30s"}},
		{"give up", "", []string{"ENTRYPOINT_GIVE_UP=never"}, 78, []string{"ENTRYPOINT_GIVE_UP", "5/60s"}},
		{"stages longer than the grace", "--grace 2s --stop TERM_3s,KILL", nil, 64, []string{"--stop"}},
		{"address", "--bind localhost", nil, 64, []string{"--bind", "host:port"}},
		{"address, variable", "", []string{"APP_BIND=nowhere:80"}, 78, []string{"APP_BIND"}},
		{"health", "--health ping", nil, 64, []string{"--health", "tcp:host:port"}},
		{"strategy", "--strategy many", nil, 64, []string{"--strategy", "native"}},
		{"output", "--app-output loud", nil, 64, []string{"--app-output", "prefix"}},
		{"a flag that is none", "--colour", nil, 64, []string{"run --help"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := run(test.args, "true")
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
			r := start(t, stage.AsInit, stage.Story{Words: args, Env: test.env})
			r.WantExit(test.code)
			r.WantOneLine(test.say...)
			for _, e := range test.env {
				if _, value, _ := strings.Cut(e, "="); strings.Contains(r.Stderr.String(), value) {
					t.Errorf("the value is repeated\n%s", r)
				}
			}
		})
	}
}

func TestHealthAndStatus(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--workers 2", sh(copyScript)...)})
		r.Says("copy 0 of 2\n", 1)
		r.Says("copy 1 of 2\n", 1)
		r.Until("it is healthy", func() bool { _, code := client(t, r, "health"); return code == 0 })
		for _, verb := range []string{"health --ready", "health --live", "health --startup", "status"} {
			if text, code := client(t, r, strings.Fields(verb)...); code != 0 {
				t.Errorf("%s: %d %s", verb, code, text)
			}
		}
		if text, _ := client(t, r, "status", "--json"); !strings.Contains(text, `"state":"ready"`) {
			t.Errorf("status is %s", text)
		}
		if text, code := client(t, r, "restart"); code != 0 {
			t.Errorf("restart: %d %s", code, text)
		}
		r.Says("copy ", 4)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
		if text, code := client(t, r, "health"); code != 1 || strings.Count(text, "\n") != 1 {
			t.Errorf("health when nothing runs: %d %s", code, text)
		}
		if left, _ := filepath.Glob(filepath.Join(r.Home, "*", "*")); len(left) > 0 {
			t.Errorf("files are left: %v", left)
		}
	})
}

// The expert's stages: each gets its signal and its wait, in order.
func TestStagesOfTheStop(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		args := append([]string{"run", "--grace", "20s", "--stop", "HUP 100ms, TERM 100ms, QUIT 10s, KILL", "--", "env", "GODEBUG=asyncpreemptoff=1"},
			app("heedless", strconv.Itoa(int(syscall.SIGQUIT)))...)
		r := start(t, p, stage.Story{Words: args})
		r.Says("ready\n", 1)
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
		// CONT follows the first: what is stopped must hear of it.
		if text, want := strings.ReplaceAll(r.Stdout.String(), got(syscall.SIGCONT), ""), "ready\n"+got(syscall.SIGHUP, syscall.SIGTERM); text != want {
			t.Errorf("the stages were\n%s", r)
		}
		r.WantEmpty()
	})
}

// Ctrl-C on `docker run -it IMAGE` is a stop like another.
func TestCtrlCStopsRun(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: run("--workers 2", sh(copyScript)...), TTY: true})
		r.Says("copy 0 of 2\n", 1)
		r.Says("copy 1 of 2\n", 1)
		r.Say(ctrlC)
		r.WantExit(0)
		r.WantEmpty()
	})
}

// exec is healthy while its command runs.
func TestHealthOfExec(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: sh("echo ready; read x"), Talk: true})
		r.Says("ready\n", 1)
		r.Until("it is healthy", func() bool { _, code := client(t, r, "health"); return code == 0 })
		if text, code := client(t, r, "status"); code != 0 {
			t.Errorf("status: %d %s", code, text)
		}
		r.HangUp()
		r.Exit()
		if text, code := client(t, r, "health"); code != 1 {
			t.Errorf("healthy after the end: %s", text)
		}
	})
}

// Lines of two copies through pipes: whole, and none lost, the last one without
// a line end included.
func TestOutputWithPrefixes(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		const lines = 2000
		for _, format := range []string{"prefix", "json"} {
			r := start(t, p, stage.Story{Words: run("--workers 2 --app-output "+format, sh(fmt.Sprintf(`i=0; while [ $i -lt %d ]; do echo "line $APP_WORKER_INDEX $i end"; i=$((i+1)); done; printf 'last %%s end' $APP_WORKER_INDEX`, lines))...)})
			r.WantExit(0)
			text := r.Stdout.String()
			for index := range 2 {
				if n := strings.Count(text, fmt.Sprintf("line %d ", index)); n != lines {
					t.Errorf("%s: %d lines of copy %d, not %d", format, n, index, lines)
				}
				if !strings.Contains(text, fmt.Sprintf("last %d end", index)) {
					t.Errorf("%s: the last line is lost", format)
				}
			}
			for line := range strings.Lines(text) {
				if strings.Count(line, " end") != 1 || format == "json" && !json.Valid([]byte(line)) {
					t.Errorf("%s: a torn line %q", format, line)
				}
			}
		}
	})
}
