// Package stage plays stories with the built binary, which it looks at from
// outside: its output, its processes, its control socket. No container engine is
// needed.
//
// A package of stories calls Main in its TestMain, and a story reads as what an
// operator sees:
//
//	r := stage.Start(t, stage.Story{Words: []string{"run", "--", "sh", "-c", "echo born; exec sleep 1000"}})
//	r.Says("born", 1)
//	r.Signal(syscall.SIGTERM)
//	r.WantExit(0)
//
// What there is to know before one writes another:
//
//   - A story is played in a place: as PID 1 of a pid namespace, which is what a
//     container is to the kernel, beside another init in such a namespace, or as
//     an ordinary process. A shell makes the place ready (a fresh /proc, then the
//     story's own lines in Before) and becomes the binary by exec.
//   - The environment is small and the same everywhere; HOME is a new folder, in
//     which the control socket is.
//   - Start returns when the binary was executed. That it is ready, or has printed
//     something, is to be waited for: with Says, Expect and Until.
//   - Nothing sleeps and no time decides. Says waits for output, Until asks again
//     for what nobody announces, and Patience only bounds what hangs. A story that
//     fails on a busy machine waits for the wrong event.
//   - The end of the test ends the binary and everything in its namespace, or in
//     its process group, and fails if the output holds a trace of Go's.
//   - What needs root is skipped without it, and says that it was NOT TESTED.
package stage

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience bounds every wait. It decides no result unless something hangs.
const Patience = 90 * time.Second

// Binary is the entrypoint under test, Self the test's own program, which plays
// the roles that Main was given.
var Binary, Self string

// Roles are what a test's program does instead of testing when its first word is
// the name of one.
type Roles map[string]func(words []string) (code int)

// Main is the body of a TestMain in a folder below test. It builds the binary as
// the Makefile does, because what is tested is what ships, unless
// ENTRYPOINT_BINARY names one that was built already, and runs the tests: as many
// at once as parallel says, since most of them wait more than they work, or as
// there are processors if it is 0.
func Main(m *testing.M, parallel int, roles Roles) {
	if len(os.Args) > 1 {
		for _, known := range []Roles{{"keeper": keeper, "raw": raw}, roles} {
			if role, ok := known[os.Args[1]]; ok {
				os.Exit(role(os.Args[2:]))
			}
		}
	}
	dir, err := os.MkdirTemp("", "entrypoint-test")
	if err == nil {
		err = prepare(dir, parallel)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func prepare(dir string, parallel int) (err error) {
	if Self, err = os.Executable(); err != nil {
		return err
	}
	flag.Parse()
	if parallel > 0 {
		if err := flag.Set("test.parallel", strconv.Itoa(parallel)); err != nil {
			return err
		}
	}
	// What is ignored here, as by nohup, is not to be inherited by the stories.
	for number := syscall.Signal(1); number <= 64; number++ {
		if signal.Ignored(number) {
			signal.Notify(make(chan os.Signal, 1), number)
		}
	}
	if err := noNamespaces(); err != nil {
		fmt.Fprintln(os.Stderr, "NOT TESTED: the stories in a pid namespace; run them as root:", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // other users run it as well
		return err
	}
	Binary = filepath.Join(dir, "entrypoint")
	if built := os.Getenv("ENTRYPOINT_BINARY"); built != "" {
		text, err := os.ReadFile(built)
		if err != nil {
			return fmt.Errorf("cannot use ENTRYPOINT_BINARY: %w", err)
		}
		return os.WriteFile(Binary, text, 0o755)
	}
	c := exec.Command("sh", "devops/build.sh", Binary)
	c.Dir = filepath.Join("..", "..")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build entrypoint: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// namespaces are the pid and mount namespaces of a story. The mounts are private,
// because that is what Go does with Unshareflags. Who is not root gets a user
// namespace as well, in which he is.
func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// noNamespaces says why none can be made here.
var noNamespaces = sync.OnceValue(func() error {
	c := exec.Command("/bin/sh", "-c", ownProc)
	c.SysProcAttr = namespaces()
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w %s", err, out)
	}
	return nil
})

// NeedRoot skips what only root can do.
func NeedRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: needs root; run this test as root (sudo make test)")
	}
}

// NeedNamespaces skips where no pid namespace can be made.
func NeedNamespaces(t *testing.T) {
	t.Helper()
	if err := noNamespaces(); err != nil {
		t.Skipf("NOT TESTED: a pid namespace needs root, or a kernel that gives everybody user namespaces: %v", err)
	}
}
