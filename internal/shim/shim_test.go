package shim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func FuzzOrderRoundTrip(f *testing.F) {
	f.Add("/usr/bin/gunicorn", true, false, []byte{1, 10, 64}, 1)
	f.Add("/a path/with = and\nline", false, true, []byte{}, 4194304)
	f.Add("x", false, false, []byte{9}, 0)
	f.Fuzz(func(t *testing.T, path string, listenPID, foreground bool, ignore []byte, parent int) {
		if path == "" || parent < 0 || parent > 4194304 { // pid_max (proc(5))
			t.Skip("no program, or no pid")
		}
		order := Order{Path: path, ListenPID: listenPID, Foreground: foreground}
		for _, s := range ignore {
			order.Ignore = append(order.Ignore, syscall.Signal(s%65))
		}
		value, ok := strings.CutPrefix(order.Marker(parent), Variable+"=")
		if !ok {
			t.Fatalf("%q", order.Marker(parent))
		}
		gotParent, got, ok := parse(value)
		if !ok || gotParent != parent || got.Path != order.Path || got.ListenPID != order.ListenPID ||
			got.Foreground != order.Foreground || !slices.Equal(got.Ignore, order.Ignore) {
			t.Errorf("%q is read as %d %+v %v", value, gotParent, got, ok)
		}
	})
}

// What a user or another program has put there is no order, and never a panic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", " ", "1", "1 l", "1 l ", "1 x /bin/sh", "1 i /bin/sh", "1 i65 /bin/sh", "1 i10i /bin/sh", "-1 l /bin/sh", "99999999999 l /bin/sh", "1  /bin/sh", "1 lfi1i64 /bin/sh", "1 i99999999999999999999 /bin/sh"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		parent, order, ok := parse(value)
		if !ok {
			return
		}
		if order.Path == "" || parent < 0 {
			t.Errorf("%q: %d %+v", value, parent, order)
		}
		for _, s := range order.Ignore {
			if s < 0 || s > 64 {
				t.Errorf("%q: signal %d", value, s)
			}
		}
		again, same, ok := parse(strings.TrimPrefix(order.Marker(parent), Variable+"="))
		if !ok || again != parent || same.Path != order.Path {
			t.Errorf("%q does not survive", value)
		}
	})
}

// child runs the test binary, which is a shim if it finds an order; if it finds
// none it runs this package's TestChild.
func child(environment []string, argv ...string) (output string, code int) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = argv
	if len(argv) == 0 {
		cmd.Args = []string{"shim.test", "-test.run=^TestChild$", "-test.v"}
	}
	cmd.Env = append(environment, "GORACE=atexit_sleep_ms=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err.Error(), -1
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// TestChild is what runs where the shim did not take over.
func TestChild(t *testing.T) { t.Log("no shim: " + os.Getenv(Variable)) }

func TestTheShimBecomesTheProgram(t *testing.T) {
	marker := Order{Path: "/bin/sh", ListenPID: true}.Marker(os.Getpid())
	script := `printf '%s\n' "$@"; echo "$$ $LISTEN_PID $LISTEN_FDS $A [$` + Variable + `]"; env | grep -c LISTEN_PID; exit 7`
	long := strings.Repeat("x", 100_000)
	out, code := child([]string{"A=a=b c", "LISTEN_PID=1", "LISTEN_FDS=2", marker, "PATH=/usr/bin:/bin"},
		"sh", "-c", script, "name", "", "two words", "line\nline", long, "-test.run=x")
	lines := strings.Split(out, "\n")
	if code != 7 || len(lines) != 9 {
		t.Fatalf("code %d: %.500q", code, out)
	}
	if got := lines[:6]; !slices.Equal(got, []string{"", "two words", "line", "line", long, "-test.run=x"}) {
		t.Errorf("arguments: %.300q", got)
	}
	words := strings.Fields(lines[6])
	if len(words) != 6 || words[0] != words[1] || words[2] != "2" || words[3]+" "+words[4] != "a=b c" || words[5] != "[]" {
		t.Errorf("its own pid, LISTEN_FDS as it was, no order left: %q", lines[6])
	}
	if lines[7] != "1" {
		t.Errorf("LISTEN_PID is there %s times", lines[7])
	}
}

// Without ListenPID a LISTEN_PID is the user's own business.
func TestTheShimLeavesTheRestAlone(t *testing.T) {
	marker := Order{Path: "/bin/sh"}.Marker(os.Getpid())
	out, code := child([]string{"LISTEN_PID=1", marker, "ENTRYPOINT_SHIMMER=x"}, "sh", "-c", `echo "$LISTEN_PID $ENTRYPOINT_SHIMMER"`)
	if code != 0 || out != "1 x\n" {
		t.Errorf("code %d: %q", code, out)
	}
}

// An order is for the child of its parent: one that a user sets, or that an
// application hands down by mistake, means nothing.
func TestForeignOrdersMeanNothing(t *testing.T) {
	for _, value := range []string{
		"", "nonsense", strconv.Itoa(os.Getppid()) + " l /bin/echo", "1 l /bin/echo", strconv.Itoa(os.Getpid()) + " l ",
		strconv.Itoa(os.Getpid()) + " q /bin/echo",
	} {
		out, code := child([]string{Variable + "=" + value})
		if code != 0 || !strings.Contains(out, "no shim: "+value) {
			t.Errorf("%q: code %d, %q", value, code, out)
		}
	}
	// The control: a right one does take over.
	if out, code := child([]string{Order{Path: "/bin/echo"}.Marker(os.Getpid())}, "echo", "hello"); code != 0 || out != "hello\n" {
		t.Errorf("code %d: %q", code, out)
	}
}

func TestTheShimIgnoresWhatItIsTold(t *testing.T) {
	read := func(signals ...syscall.Signal) uint64 {
		marker := Order{Path: "/bin/cat", Ignore: signals}.Marker(os.Getpid())
		out, code := child([]string{marker}, "cat", "/proc/self/status")
		_, value, _ := strings.Cut(out, "\nSigIgn:")
		value, _, _ = strings.Cut(value, "\n")
		set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil || code != 0 {
			t.Fatalf("code %d: %q", code, out)
		}
		return set
	}
	before := read()
	for s := syscall.Signal(1); s <= 64; s++ {
		if s == syscall.SIGKILL || s == syscall.SIGSTOP {
			continue
		}
		if got, want := read(s), before|1<<(uint(s)-1); got != want {
			t.Errorf("signal %d: %x, not %x", s, got, want)
		}
	}
	if got, want := read(syscall.SIGHUP, 64, syscall.SIGKILL), before|1|1<<63; got != want {
		t.Errorf("%x, not %x: what cannot be ignored is no reason to die", got, want)
	}
}

func TestAShimThatCannotBecomeTheProgram(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "text": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]struct {
		code int
		why  string
	}{
		"missing": {127, "no such file or directory"},
		"plain":   {126, "permission denied"},
		"text":    {126, "it is neither a program for this machine nor a script with #!"},
		".":       {126, "permission denied"},
	} {
		path := filepath.Join(dir, name)
		out, code := child([]string{Order{Path: path}.Marker(os.Getpid())}, name)
		if line := fmt.Sprintf("entrypoint: error: cannot run %s: %s\n", path, want.why); code != want.code || out != line {
			t.Errorf("%s: code %d, %q, not %q", name, code, out, line)
		}
	}
}
