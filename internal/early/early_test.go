package early

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const patience = 60 * time.Second

// arrives sends a signal to ourselves and waits for it at the one channel.
func arrives(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-Signals():
		if got != s {
			t.Errorf("%v arrives as %v", s, got)
		}
	case <-time.After(patience):
		t.Errorf("%v does not arrive", s)
	}
}

// Nothing was called: they are caught since before main.
func TestTheFirstAreCaughtBeforeMain(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		arrives(t, s)
	}
}

func TestTheRestIsCaughtWhenAsked(t *testing.T) {
	defer signal.Notify(signals, first...)
	CatchRest()
	ours := map[syscall.Signal]string{
		syscall.SIGCHLD: "the reaper's", syscall.SIGURG: "Go's own preemption", syscall.SIGPIPE: "a closed stderr",
		syscall.SIGKILL: "cannot be caught", syscall.SIGSTOP: "cannot be caught",
		syscall.SIGPROF: "Go's profiler",
		32:              "the C library's", 33: "the C library's", 34: "Go does not deliver it",
	}
	for s := syscall.Signal(1); s <= 64; s++ {
		if ours[s] == "" {
			arrives(t, s)
		}
	}
	for _, s := range []syscall.Signal{syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	arrives(t, syscall.SIGUSR1) // and nothing before it
	signal.Reset()
	signal.Notify(discard, syscall.SIGPIPE)
}

// A stop that came before a verb that starts nothing is not forgotten.
func TestReleaseTellsOfAStop(t *testing.T) {
	defer signal.Notify(signals, first...)
	if Release() {
		t.Error("nobody has asked for a stop")
	}
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		signals <- syscall.SIGUSR1
		signals <- s
		if !Release() || len(signals) != 0 {
			t.Errorf("%v is forgotten", s)
		}
	}
	signals <- syscall.SIGHUP
	if Release() {
		t.Error("HUP is no stop")
	}
}

// Released signals have their usual meaning: a verb that hangs dies of TERM.
func TestReleasedSignalsKill(t *testing.T) {
	out, err := again("release")
	if err == nil || err.Error() != "signal: terminated" {
		t.Errorf("%v: %s", err, out)
	}
}

// What was ignored when we started is known: HUP and INT even without our own
// entry point, which a test binary does not have.
func TestIgnoredAtTheStart(t *testing.T) {
	for trap, want := range map[string]string{
		"":                       "[]",
		"trap '' HUP; ":          "[hangup]",
		"trap '' INT; ":          "[interrupt]",
		"trap '' HUP INT PIPE; ": "[hangup interrupt]",
	} {
		cmd := exec.Command("sh", "-c", trap+`exec "$0" -test.run='^TestAgain$' -test.v`, "/proc/"+fmt.Sprint(os.Getpid())+"/exe")
		cmd.Env = append(os.Environ(), "EARLY_TEST=ignored", "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "ignored: "+want+"\n") {
			t.Errorf("%q: %v: %s", trap, err, out)
		}
	}
}

func again(what string) (string, error) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestAgain$", "-test.v")
	cmd.Env = append(os.Environ(), "EARLY_TEST="+what, "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestAgain is what the others run in a process of its own.
func TestAgain(t *testing.T) {
	switch os.Getenv("EARLY_TEST") {
	case "ignored":
		fmt.Printf("ignored: %v\n", Ignored())
	case "release":
		Release()
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		<-time.After(patience)
	}
}

// A burst is not lost as long as it fits.
func TestABurstIsKept(t *testing.T) {
	for range cap(signals) {
		signals <- syscall.SIGUSR1
	}
	got := 0
	for len(signals) > 0 {
		<-Signals()
		got++
	}
	if diff := cmp.Diff(256, got); diff != "" {
		t.Error(diff)
	}
}
