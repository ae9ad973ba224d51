package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// What the binary inherits, its application inherits: nohup(1) and a shell's
// background job mean what they mean without us.

// own is a command that shows its own dispositions. cat is no Go program, whose
// runtime would change them.
var own = []string{"cat", "/proc/self/status"}

// inherited is a program that executes the binary with signals ignored or
// blocked.
func inherited(how string, signals ...syscall.Signal) []string {
	if len(signals) == 0 {
		return nil
	}
	var numbers []string
	for _, s := range signals {
		numbers = append(numbers, strconv.Itoa(int(s)))
	}
	return []string{"env", "--" + how + "-signal=" + strings.Join(numbers, ",")}
}

func TestIgnoredSignalsStayIgnored(t *testing.T) {
	for _, test := range []struct {
		name   string
		ignore []syscall.Signal
	}{
		{"none", nil},
		{"nohup", []syscall.Signal{syscall.SIGHUP}},
		{"a background job", []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT}},
		{"others", []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGTTOU, syscall.SIGWINCH, 40}},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p stage.Place) {
				r := start(t, p, stage.Story{Words: own, Wrap: inherited("ignore", test.ignore...)})
				r.WantExit(0)
				wantSet(t, r, "SigIgn", test.ignore)
				wantSet(t, r, "SigBlk", nil)
			})
		})
	}
}

// Go's runtime keeps those unblocked that end a process (blockableSig in its
// signal_unix.go), so that they start clean; the others stay as they were.
func TestBlockedSignalsStayBlocked(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		stay := []syscall.Signal{syscall.SIGUSR1, syscall.SIGWINCH, 37}
		r := start(t, p, stage.Story{Words: own, Wrap: inherited("block", append(stay, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGCHLD)...)})
		r.WantExit(0)
		wantSet(t, r, "SigBlk", stay)
		wantSet(t, r, "SigIgn", nil)
	})
}

// A blocked TERM must not make us deaf, nor a blocked CHLD blind.
func TestABlockedMaskDoesNotMakeUsDeaf(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := signalled(t, p, stage.Story{Wrap: inherited("block", syscall.SIGTERM, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGUSR1)})
		r.Signal(syscall.SIGTERM)
		r.Says(got(syscall.SIGTERM), 1)
		r.Signal(syscall.SIGUSR1)
		r.Says(got(syscall.SIGUSR1), 1)
		r.HangUp()
		r.WantExit(0)
	})
}

// wantSet compares a mask of the status on stdout.
func wantSet(t *testing.T, r *stage.Running, field string, want []syscall.Signal) {
	t.Helper()
	set := signalSet(t, r.Stdout.String(), field)
	for _, s := range want {
		if !set[s] {
			t.Errorf("%s: %s is not among the application's", field, unix.SignalName(s))
		}
		delete(set, s)
	}
	for s := range set {
		if s >= 32 && s <= 34 {
			continue // the C library's own: whoever is started by posix_spawn, as make does, has them
		}
		t.Errorf("%s: the application has %d %s as well", field, s, unix.SignalName(s))
	}
}

// nohup keeps an application alive when the terminal goes.
func TestNohup(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		r := start(t, p, stage.Story{Words: []string{"sh", "-c", "echo ready; read x; exit 3"}, Wrap: inherited("ignore", syscall.SIGHUP), Talk: true})
		r.Says("ready", 1)
		r.Signal(syscall.SIGHUP)
		r.Say("\n")
		r.WantExit(3)
	})
}

// Without stdout or stderr, or with nobody who reads them, nothing dies, nothing
// spins, and signals and the code pass all the same.
func TestWithoutOutput(t *testing.T) {
	for _, test := range []struct {
		name, before string
	}{
		{"closed stdout", "exec >&-"},
		{"closed stderr", "exec 2>&-"},
		{"all closed", "exec <&- >&- 2>&-"},
		{"nobody reads", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p stage.Place) {
				ready := newFifo(t)
				o := stage.Story{Before: test.before, Env: []string{"ready=" + ready.path, "ENTRYPOINT_LOG_LEVEL=debug"}}
				if test.before == "" {
					o.Stdout, o.Stderr = stage.Deaf(t), stage.Deaf(t)
				}
				o.Words = []string{"exec", "--grace", "200ms", "--", "sh", "-c", `trap 'exit 5' TERM; (trap "" TERM; sleep 1000) & echo >"$ready"; while :; do sleep 1000 & wait $!; done`}
				r := start(t, p, o)
				ready.heard()
				before := cpu(t, r.PID)
				for range 50 {
					r.Signal(syscall.SIGWINCH) // which a shell ignores
				}
				r.Until("it sleeps again", func() bool { return strings.HasPrefix(stage.StatusOf(r.PID)["State"], "S") })
				if used := cpu(t, r.PID) - before; used > 100 {
					t.Errorf("it has used %d ticks for fifty signals: it spins", used)
				}
				r.Signal(syscall.SIGTERM)
				r.WantExit(5)
				r.WantEmpty()
			})
		})
	}
}

// cpu is what a process has used, in ticks of 10 ms.
func cpu(t *testing.T, pid int) int {
	t.Helper()
	text := stage.Read(t, "/proc/"+strconv.Itoa(pid)+"/stat")
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	sum := 0
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// signalSet reads a mask of /proc/PID/status, such as SigIgn, out of a status
// file's text.
func signalSet(t *testing.T, status, field string) map[syscall.Signal]bool {
	t.Helper()
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, field+":")
		if !ok {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		set := map[syscall.Signal]bool{}
		for n := range syscall.Signal(64) {
			if mask&(1<<n) != 0 {
				set[n+1] = true
			}
		}
		return set
	}
	t.Fatalf("no %s in:\n%s", field, status)
	return nil
}
