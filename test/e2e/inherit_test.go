package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What the binary inherits, its application inherits: nohup(1) and a shell's
// background job mean what they mean without us.

// own is a command that shows its own dispositions. cat is no Go program, whose
// runtime would change them.
var own = []string{"cat", "/proc/self/status"}

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
			everywhere(t, func(t *testing.T, p place) {
				r := start(t, p, opts{args: own, ignore: test.ignore})
				r.wantExit(0)
				wantSet(t, r, "SigIgn", test.ignore)
				wantSet(t, r, "SigBlk", nil)
			})
		})
	}
}

// Go's runtime keeps those unblocked that end a process (blockableSig in its
// signal_unix.go), so that they start clean; the others stay as they were.
func TestBlockedSignalsStayBlocked(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		stay := []syscall.Signal{syscall.SIGUSR1, syscall.SIGWINCH, 37}
		r := start(t, p, opts{args: own, block: append(stay, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGCHLD)})
		r.wantExit(0)
		wantSet(t, r, "SigBlk", stay)
		wantSet(t, r, "SigIgn", nil)
	})
}

// A blocked TERM must not make us deaf, nor a blocked CHLD blind.
func TestABlockedMaskDoesNotMakeUsDeaf(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		blocked := []syscall.Signal{syscall.SIGTERM, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGUSR1}
		r := signalled(t, p, opts{block: blocked})
		r.signal(syscall.SIGTERM)
		r.waitFor(got(syscall.SIGTERM))
		r.signal(syscall.SIGUSR1)
		r.waitFor(got(syscall.SIGUSR1))
		r.hangUp()
		r.wantExit(0)
	})
}

// wantSet compares a mask of the status on stdout.
func wantSet(t *testing.T, r *running, field string, want []syscall.Signal) {
	t.Helper()
	set := signalSet(t, r.stdout.String(), field)
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
	everywhere(t, func(t *testing.T, p place) {
		r := start(t, p, opts{args: []string{"sh", "-c", "echo ready; read x; exit 3"}, ignore: []syscall.Signal{syscall.SIGHUP}, stdin: true})
		r.waitFor("ready")
		r.signal(syscall.SIGHUP)
		r.say("\n")
		r.wantExit(3)
	})
}

// Without stdout or stderr, or with nobody who reads them, nothing dies, nothing
// spins, and signals and the code pass all the same.
func TestWithoutOutput(t *testing.T) {
	for _, test := range []struct {
		name string
		o    opts
	}{
		{"closed stdout", opts{closed: []int{1}}},
		{"closed stderr", opts{closed: []int{2}}},
		{"all closed", opts{closed: []int{0, 1, 2}}},
		{"nobody reads", opts{broken: []int{1, 2}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p place) {
				ready := newFifo(t)
				o := test.o
				o.env = []string{"ready=" + ready.path, "ENTRYPOINT_LOG_LEVEL=debug"}
				o.args = []string{"exec", "--grace", "200ms", "--", "sh", "-c", `trap 'exit 5' TERM; (trap "" TERM; sleep 1000) & echo >"$ready"; while :; do sleep 1000 & wait $!; done`}
				r := start(t, p, o)
				ready.heard()
				before := cpu(t, r.pid)
				for range 50 {
					r.signal(syscall.SIGWINCH) // which a shell ignores
				}
				r.eventually("it sleeps again", func() bool { return strings.HasPrefix(statusOf(r.pid, "State"), "S") })
				if used := cpu(t, r.pid) - before; used > 100 {
					t.Errorf("it has used %d ticks for fifty signals: it spins", used)
				}
				r.signal(syscall.SIGTERM)
				r.wantExit(5)
				r.wantEmpty()
			})
		})
	}
}

// cpu is what a process has used, in ticks of 10 ms.
func cpu(t *testing.T, pid int) int {
	t.Helper()
	text := read(t, "/proc/"+strconv.Itoa(pid)+"/stat")
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
