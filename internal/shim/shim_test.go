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
	"sync"
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
			order.Ignore = append(order.Ignore, syscall.Signal(s%64+1))
		}
		slices.Sort(order.Ignore)
		order.Ignore = slices.Compact(order.Ignore)
		entries := order.Entries(parent)
		if len(entries) == 2 != listenPID {
			t.Errorf("%q", entries)
		}
		value, ok := strings.CutPrefix(entries[0], Variable+"=")
		if !ok {
			t.Fatalf("%q", entries)
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
	right := value(Order{Path: "/bin/sh", ListenPID: true, Ignore: []syscall.Signal{1, 64}}, 1)
	for n := range len(right) {
		f.Add(right[:n])
		f.Add(right[:n] + "q" + right[n+1:])
	}
	f.Add(right)
	f.Fuzz(func(t *testing.T, text string) {
		parent, order, ok := parse(text)
		if !ok {
			return
		}
		if order.Path == "" || parent < 0 {
			t.Errorf("%q: %d %+v", text, parent, order)
		}
		again, same, ok := parse(value(order, parent))
		if !ok || again != parent || same.Path != order.Path {
			t.Errorf("%q does not survive", text)
		}
	})
}

// value is what the variable holds.
func value(o Order, parent int) string {
	return strings.TrimPrefix(o.Entries(parent)[0], Variable+"=")
}

// ways are the two that an order is carried out: by the binary as it ships, at
// its entry point, and by this test binary, in init.
func ways(t *testing.T, story func(t *testing.T, w way)) {
	for _, w := range []way{
		{"in init", "/proc/self/exe", []string{"shim.test", "-test.run=^TestChild$", "-test.v"}, "no shim: "},
		{"at the entry point", shipped(t), []string{"entrypoint", "version"}, "entrypoint test"},
	} {
		t.Run(w.name, func(t *testing.T) { story(t, w) })
	}
}

type way struct {
	name, path string
	otherwise  []string // its words where it has no order
	says       string   // what it says then
}

// child runs it; without words it says that it found no order.
func (w way) child(environment []string, argv ...string) (output string, code int) {
	cmd := exec.Command(w.path)
	cmd.Args = argv
	if len(argv) == 0 {
		cmd.Args = w.otherwise
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

// shipped builds the binary as it ships, once.
func shipped(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		built.path = filepath.Join(built.dir, "entrypoint")
		build := exec.Command("sh", "../../devops/build.sh", built.path)
		build.Env = append(os.Environ(), "VERSION=test")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
	return built.path
}

var built struct {
	sync.Once
	dir, path string
}

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if built.dir, err = os.MkdirTemp("", "shim"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(built.dir)
	return m.Run()
}

// TestChild is what runs where the shim did not take over.
func TestChild(t *testing.T) { t.Log("no shim: " + os.Getenv(Variable)) }

// At the entry point there is no runtime: it would trace what it initialises.
func TestNoRuntimeStartsAtTheEntryPoint(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		out, code := w.child(append(Order{Path: "/bin/true"}.Entries(os.Getpid()), "GODEBUG=inittrace=1"), "true")
		if runtime := strings.Contains(out, "init runtime"); code != 0 || runtime != (w.name == "in init") {
			t.Errorf("code %d: %s", code, out)
		}
	})
}

func TestTheShimBecomesTheProgram(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		script := `printf '%s\n' "$@"; echo "$$ $LISTEN_PID $LISTEN_FDS $A [$` + Variable + `]"; env | grep -c LISTEN_PID; exit 7`
		long := strings.Repeat("x", 100_000)
		order := Order{Path: "/bin/sh", ListenPID: true}.Entries(os.Getpid())
		out, code := w.child(append(order, "A=a=b c", "LISTEN_FDS=2", "PATH=/usr/bin:/bin"),
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
	})
}

// Without ListenPID a LISTEN_PID is the user's own business.
func TestTheShimLeavesTheRestAlone(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		order := Order{Path: "/bin/sh"}.Entries(os.Getpid())
		out, code := w.child(append(order, "LISTEN_PID=1", "ENTRYPOINT_SHIMMER=x"), "sh", "-c", `echo "$LISTEN_PID $ENTRYPOINT_SHIMMER"`)
		if code != 0 || out != "1 x\n" {
			t.Errorf("code %d: %q", code, out)
		}
	})
}

// An order is for the child of its parent: one that a user sets, or that an
// application hands down by mistake, means nothing. The whole environment may be
// shorter than an order.
func TestForeignOrdersMeanNothing(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		right := value(Order{Path: "/bin/echo", Ignore: []syscall.Signal{1, 64}}, os.Getpid())
		wrong := []string{"nonsense", value(Order{Path: "/bin/echo"}, os.Getppid()), value(Order{Path: "/bin/echo"}, 1), "q" + right[1:], right[:8] + "p" + right[9:]}
		for n := range right {
			if n <= len(right)-len("/bin/echo") {
				wrong = append(wrong, right[:n])
			}
		}
		for _, text := range wrong {
			out, code := w.child([]string{Variable + "=" + text})
			if code != 0 || !strings.Contains(out, w.says) {
				t.Errorf("%q: code %d, %q", text, code, out)
			}
		}
		// The control: a right one does take over.
		if out, code := w.child([]string{Variable + "=" + right}, "echo", "hello"); code != 0 || out != "hello\n" {
			t.Errorf("code %d: %q", code, out)
		}
	})
}

func TestAnEmptyEnvironment(t *testing.T) {
	cmd := exec.Command(shipped(t), "version")
	cmd.Env = []string{}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "entrypoint test\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTheShimIgnoresWhatItIsTold(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		read := func(signals ...syscall.Signal) uint64 {
			out, code := w.child(Order{Path: "/bin/cat", Ignore: signals}.Entries(os.Getpid()), "cat", "/proc/self/status")
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
	})
}

func TestAShimThatCannotBecomeTheProgram(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "text": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	ways(t, func(t *testing.T, w way) {
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
			order := Order{Path: path, ListenPID: true, Ignore: []syscall.Signal{1}}.Entries(os.Getpid())
			out, code := w.child(order, name)
			if line := fmt.Sprintf("entrypoint: error: cannot run %s: %s\n", path, want.why); code != want.code || out != line {
				t.Errorf("%s: code %d, %q, not %q", name, code, out, line)
			}
		}
	})
}
