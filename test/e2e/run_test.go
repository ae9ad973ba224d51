package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
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
			everywhere(t, func(t *testing.T, p place) {
				r := start(t, p, opts{args: run("--workers 3", sh(copyScript)...)})
				for i := range 3 {
					r.waitFor(fmt.Sprintf("copy %d of 3\n", i))
				}
				r.await(3, "sleep 1000")
				r.signal(s)
				r.wantExit(0)
				r.wantEmpty()
			})
		})
	}
}

// A copy that dies is started again, whatever it died of; the other is left
// alone.
func TestACopyThatDiesIsStartedAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--workers 2 --backoff 20ms", sh(copyScript)...)})
		r.waitFor("copy 0 of 2\n")
		r.waitFor("copy 1 of 2\n")
		before := r.await(2, "sleep 1000")
		r.kill(before[0].pid, syscall.SIGKILL)
		r.waitForN("copy ", 3)
		after := r.await(2, "sleep 1000")
		if !slices.ContainsFunc(after, func(c process) bool { return c.pid == before[1].pid }) {
			t.Errorf("the other copy was not left alone: %v, then %v", before, after)
		}
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
	})
}

// --give-up 3/60s: the third death is the last, and its code the container's.
func TestGivingUp(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		for _, test := range []struct {
			script string
			code   int
		}{
			{"echo born; exit 9", 9},
			{"echo born; kill -KILL $$", 137},
			{"echo born; ulimit -c 0; kill -SEGV $$", 139},
		} {
			r := start(t, p, opts{args: run("--give-up 3/60s --backoff 5ms", sh(test.script)...)})
			r.wantExit(test.code)
			if n := strings.Count(r.stdout.String(), "born"); n != 3 {
				t.Errorf("started %d times, not 3\n%s", n, r)
			}
		}
	})
}

// One copy that is given up is not the end while another lives.
func TestOneFailedCopyIsNotTheEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--workers 2 --give-up 2/60s --backoff 5ms", sh(`[ "$APP_WORKER_INDEX" = 0 ] && exit 9; echo other lives; exec sleep 1000`)...)})
		r.waitFor("other lives")
		r.waitFor("given up")
		r.kill(r.await(1, "sleep 1000")[0].pid, syscall.SIGKILL)
		r.waitForN("other lives", 2)
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
	})
}

func TestRunOfWhatCannotRunEndsAtOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "crlf.sh", "#!/bin/sh\r\necho\r\n", 0o755)
	write(t, dir, "plain", "hello", 0o644)
	everywhere(t, func(t *testing.T, p place) {
		for program, code := range map[string]int{"no-such-program": 127, "./missing": 127, "./plain": 126, "./crlf.sh": 126, "": 127} {
			r := start(t, p, opts{args: run("--workers 2", program), dir: dir})
			r.wantExit(code)
			if n := strings.Count(r.stderr.String(), "is started again"); n > 0 {
				t.Errorf("tried again\n%s", r)
			}
		}
	})
}

// A command is finished with 0; a mode's servers are not.
func TestExitZeroIsFinished(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--workers 3", sh("echo born")...)})
		r.wantExit(0)
		if n := strings.Count(r.stdout.String(), "born"); n != 3 {
			t.Errorf("started %d times, not 3\n%s", n, r)
		}
		// always: 0 is a death like another
		r = start(t, p, opts{args: run("--restart always --backoff 5ms", sh("echo born")...)})
		r.waitForN("born", 3)
		r.signal(syscall.SIGTERM)
		r.exit()
	})
}

func TestRestartNeverPassesTheCode(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		for script, code := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -USR1 $$": 138} {
			r := start(t, p, opts{args: run("--restart never", sh("echo born; "+script)...)})
			r.wantExit(code)
			if n := strings.Count(r.stdout.String(), "born"); n != 1 {
				t.Errorf("started %d times\n%s", n, r)
			}
		}
	})
}

// Signals that ask for nothing go to every copy as they are.
func TestOtherSignalsReachEveryCopy(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--workers 2", append([]string{"env", "GODEBUG=asyncpreemptoff=1"}, app("heedless")...)...)})
		r.waitForN("ready\n", 2)
		n := 0
		for _, s := range forwarded() {
			if s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT {
				continue
			}
			r.signal(s)
			r.waitForN(got(s), 2)
			n++
		}
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
		// CONT follows TERM: what is stopped must hear of it.
		text := strings.ReplaceAll(r.stdout.String(), got(syscall.SIGCONT), "")
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
			everywhere(t, func(t *testing.T, p place) {
				r := start(t, p, opts{args: run("--grace 1s", sh(test.script)...)})
				r.waitFor("ready\n")
				asked := time.Now()
				r.signal(syscall.SIGTERM)
				if test.code != either {
					r.wantExit(test.code)
				} else if code := r.exit(); code != 0 && code != 137 {
					t.Errorf("exit code %d\n%s", code, r)
				}
				if took := time.Since(asked); took > 10*time.Second {
					t.Errorf("%s, and the grace is one second", took)
				}
				if strings.Contains(test.name, "daemon") && p == besideInit {
					return // not ours there
				}
				r.wantEmpty()
			})
		})
	}
}

// The third request does not wait for the grace.
func TestTheThirdRequestKills(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--grace 30m", sh(`trap "" TERM; echo ready; while :; do sleep 1000; done`)...)})
		r.waitFor("ready\n")
		for n, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
			r.signal(s)
			r.waitForN("stop requested", n+1)
		}
		r.wantExit(137)
		r.wantEmpty()
	})
}

// A stop does not wait for the backoff.
func TestAStopDuringTheBackoff(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--backoff 30m", sh("exit 1")...)})
		r.waitFor("is started again")
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
	})
}

// A script that starts its server in the background and ends: the server is the
// copy from then on.
func TestAServerInTheBackgroundIsTheCopy(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--backoff 5ms", sh("echo born; sleep 1000 & exit 0")...)})
		r.waitFor("born\n")
		r.waitFor("in the background")
		r.kill(r.await(1, "sleep 1000")[0].pid, syscall.SIGKILL)
		r.waitForN("born\n", 2)
		r.waitForN("in the background", 2)
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
		r.wantEmpty()
	})
}

// If the script fails, its server is ended before the next start: two at once
// would quarrel about the port.
func TestARestartCleansUpFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--backoff 5ms --give-up 4/60s --grace 5s", sh("echo born; sleep 1000 & exit 5")...)})
		r.wantExit(5)
		r.wantEmpty()
		if n := strings.Count(r.stdout.String(), "born"); n != 4 {
			t.Errorf("started %d times, not 4\n%s", n, r)
		}
	})
}

func TestRunRewritesSignals(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--signals TERM:0,USR1:TERM,USR2:HUP,HUP:restart", append([]string{"env", "GODEBUG=asyncpreemptoff=1"}, app("heedless")...)...)})
		r.waitFor("ready\n")
		r.signal(syscall.SIGTERM) // dropped
		r.signal(syscall.SIGUSR2)
		r.waitFor(got(syscall.SIGHUP))
		r.signal(syscall.SIGHUP) // a rolling restart
		r.waitForN("ready\n", 2)
		r.waitFor("replaced")
		r.signal(syscall.SIGUSR1) // the stop
		r.wantExit(0)
	})
}

// TERM at any instant of the start of run is the stop before anything ran or
// the requested stop.
func TestTERMAtAnyInstantOfRun(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		codes := map[int]int{}
		for range 30 {
			r := start(t, p, opts{args: run("--workers 2", "sleep", "1000")})
			<-time.After(10*time.Millisecond + randomUpTo(20*time.Millisecond))
			r.hasRun(10 * time.Millisecond)
			r.signal(syscall.SIGTERM)
			code := r.exit()
			if codes[code]++; code != 0 && code != 143 {
				t.Errorf("code %d, not 0 or 143\n%s", code, r)
			}
			r.wantEmpty()
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
			r := start(t, asInit, opts{args: args, env: test.env})
			r.wantExit(test.code)
			r.oneLine(test.say...)
			for _, e := range test.env {
				if _, value, _ := strings.Cut(e, "="); strings.Contains(r.stderr.String(), value) {
					t.Errorf("the value is repeated\n%s", r)
				}
			}
		})
	}
}

// client runs a verb that asks the running one; it shares the folder of the
// control socket, as a process of the same container does.
func (r *running) client(words ...string) (out string, code int) {
	r.t.Helper()
	text, err := json.Marshal(stage{
		Own: true, Path: binary, Argv: bytesOf(append([]string{"entrypoint"}, words...)), Env: bytesOf(environment(r.home)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		r.t.Fatal(err)
	}
	defer null.Close()
	c := &exec.Cmd{Path: self, Args: []string{"stage", "stage", string(text)}, SysProcAttr: namespaces(), ExtraFiles: []*os.File{null, null}}
	c.SysProcAttr.Cloneflags &^= syscall.CLONE_NEWPID
	output, err := c.CombinedOutput()
	if c.ProcessState == nil {
		r.t.Fatal(err)
	}
	return string(output), c.ProcessState.ExitCode()
}

func TestHealthAndStatus(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--workers 2", sh(copyScript)...)})
		r.waitFor("copy 0 of 2\n")
		r.waitFor("copy 1 of 2\n")
		r.eventually("it is healthy", func() bool { _, code := r.client("health"); return code == 0 })
		for _, verb := range []string{"health --ready", "health --live", "health --startup", "status"} {
			if text, code := r.client(strings.Fields(verb)...); code != 0 {
				t.Errorf("%s: %d %s", verb, code, text)
			}
		}
		if text, _ := r.client("status", "--json"); !strings.Contains(text, `"state":"ready"`) {
			t.Errorf("status is %s", text)
		}
		if text, code := r.client("restart"); code != 0 {
			t.Errorf("restart: %d %s", code, text)
		}
		r.waitForN("copy ", 4)
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
		if text, code := r.client("health"); code != 1 || strings.Count(text, "\n") != 1 {
			t.Errorf("health when nothing runs: %d %s", code, text)
		}
		if left, _ := filepath.Glob(filepath.Join(r.home, "*", "*")); len(left) > 0 {
			t.Errorf("files are left: %v", left)
		}
	})
}

// The expert's stages: each gets its signal and its wait, in order.
func TestStagesOfTheStop(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		args := append([]string{"run", "--grace", "20s", "--stop", "HUP 100ms, TERM 100ms, QUIT 10s, KILL", "--", "env", "GODEBUG=asyncpreemptoff=1"},
			app("heedless", strconv.Itoa(int(syscall.SIGQUIT)))...)
		r := start(t, p, opts{args: args})
		r.waitFor("ready\n")
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
		// CONT follows the first: what is stopped must hear of it.
		if text, want := strings.ReplaceAll(r.stdout.String(), got(syscall.SIGCONT), ""), "ready\n"+got(syscall.SIGHUP, syscall.SIGTERM); text != want {
			t.Errorf("the stages were\n%s", r)
		}
		r.wantEmpty()
	})
}

// Ctrl-C on `docker run -it IMAGE` is a stop like another.
func TestCtrlCStopsRun(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: run("--workers 2", sh(copyScript)...), tty: true})
		r.waitFor("copy 0 of 2\n")
		r.waitFor("copy 1 of 2\n")
		r.say(ctrlC)
		r.wantExit(0)
		r.wantEmpty()
	})
}

// exec is healthy while its command runs.
func TestHealthOfExec(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: sh("echo ready; read x"), stdin: true})
		r.waitFor("ready\n")
		r.eventually("it is healthy", func() bool { _, code := r.client("health"); return code == 0 })
		if text, code := r.client("status"); code != 0 {
			t.Errorf("status: %d %s", code, text)
		}
		r.hangUp()
		r.exit()
		if text, code := r.client("health"); code != 1 {
			t.Errorf("healthy after the end: %s", text)
		}
	})
}

// Lines of two copies through pipes: whole, and none lost, the last one without
// a line end included.
func TestOutputWithPrefixes(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		const lines = 2000
		for _, format := range []string{"prefix", "json"} {
			r := start(t, p, opts{args: run("--workers 2 --app-output "+format, sh(fmt.Sprintf(`i=0; while [ $i -lt %d ]; do echo "line $APP_WORKER_INDEX $i end"; i=$((i+1)); done; printf 'last %%s end' $APP_WORKER_INDEX`, lines))...)})
			r.wantExit(0)
			text := r.stdout.String()
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
