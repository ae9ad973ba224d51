package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func folderIn(place string) string { return folderOf(place, os.Geteuid()) }

func open(t *testing.T, places ...string) *Control {
	t.Helper()
	c, err := OpenControl("", places)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestControlIsForItsUserAlone(t *testing.T) {
	place := t.TempDir()
	old := syscall.Umask(0) // the worst there is
	c := open(t, place)
	syscall.Umask(old)
	if want := filepath.Join(folderIn(place), "entrypoint.sock"); c.Path() != want {
		t.Errorf("it is at %s, want %s", c.Path(), want)
	}
	for path, want := range map[string]os.FileMode{folderIn(place): os.ModeDir | 0o700, c.Path(): os.ModeSocket | 0o600} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: %s, want %s", path, info.Mode(), want)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if exists(c.Path()) {
		t.Error("the file is left")
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	place := t.TempDir()
	open(t, place).Listener.Close() // as KILL leaves it
	path := filepath.Join(folderIn(place), "entrypoint.sock")
	if !exists(path) {
		t.Fatal("control: nothing stale was left")
	}
	if _, err := net.Listen("unix", path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("control: a plain listen is not in the way of itself: %v", err)
	}
	if c := open(t, place); c.Path() != path {
		t.Errorf("it is at %s", c.Path())
	}
}

func TestLiveSocketIsNeverStolen(t *testing.T) {
	place := t.TempDir()
	first := open(t, place)
	second := open(t, place)
	third := open(t, place) // as a container with the same pid would
	pid := strconv.Itoa(os.Getpid())
	folder := folderIn(place)
	for c, want := range map[*Control]string{
		first: "entrypoint.sock", second: "entrypoint-" + pid + ".sock", third: "entrypoint-" + pid + "-2.sock",
	} {
		if c.Path() != filepath.Join(folder, want) {
			t.Errorf("%s, want %s", c.Path(), want)
		}
		conn, err := net.Dial("unix", c.Path())
		if err != nil {
			t.Errorf("%s does not answer: %v", want, err)
			continue
		}
		conn.Close()
	}
}

// A supervisor that is stopped (SIGSTOP, a debugger) lets its queue fill up.
func TestBusySocketIsLive(t *testing.T) {
	place := t.TempDir()
	first := open(t, place)
	for {
		conn, err := net.Dial("unix", first.Path())
		if err != nil {
			if !errors.Is(err, syscall.EAGAIN) {
				t.Fatal(err)
			}
			break // full
		}
		t.Cleanup(func() { conn.Close() })
	}
	if second := open(t, place); second.Path() == first.Path() || !exists(first.Path()) {
		t.Error("a live socket was stolen")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := Find(ctx, "", []string{place}, ToProbe)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Ask(ctx, Livez); err == nil || !strings.Contains(err.Error(), "its queue is full") {
		t.Errorf("%v", err)
	}
}

func TestManyStartAtOnce(t *testing.T) {
	place := t.TempDir()
	open(t, place).Listener.Close() // all of them find it stale
	var mu sync.Mutex
	paths := map[string]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			c, err := OpenControl("", []string{place})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.Close() })
			mu.Lock()
			defer mu.Unlock()
			if paths[c.Path()] {
				t.Errorf("%s was given out twice", c.Path())
			}
			paths[c.Path()] = true
		})
	}
	all.Wait()
	for path := range paths {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		conn.Close()
	}
}

func TestCloseRemovesItsOwnSocketOnly(t *testing.T) {
	place := t.TempDir()
	first := open(t, place)
	if err := os.Remove(first.Path()); err != nil { // somebody cleaned up
		t.Fatal(err)
	}
	second := open(t, place)
	if second.Path() != first.Path() {
		t.Fatalf("control: the second is at %s", second.Path())
	}
	first.Close()
	if !exists(second.Path()) {
		t.Error("the second supervisor's socket was removed")
	}
}

func TestFoldersThatCannotBeTrusted(t *testing.T) {
	for name, plant := range map[string]func(folder string) error{
		"a link to our own folder": func(folder string) error {
			ours := folder + ".elsewhere"
			return errors.Join(os.Mkdir(ours, 0o700), os.Symlink(ours, folder))
		},
		"a dangling link": func(folder string) error { return os.Symlink(folder+".nowhere", folder) },
		"a file":          func(folder string) error { return os.WriteFile(folder, nil, 0o600) },
		"open to others": func(folder string) error {
			return errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, 0o777))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := t.TempDir(), t.TempDir()
			if err := plant(folderIn(bad)); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenControl("", []string{bad}); err == nil || !strings.Contains(err.Error(), folderIn(bad)) || !strings.Contains(err.Error(), "--control") {
				t.Errorf("%v", err)
			}
			c := open(t, bad, good) // the next place is taken
			if !strings.HasPrefix(c.Path(), good) {
				t.Errorf("%s", c.Path())
			}
		})
	}
}

func TestFolderOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a folder of another user")
	}
	place := t.TempDir()
	if err := errors.Join(os.Mkdir(folderIn(place), 0o700), os.Chown(folderIn(place), 12345, 12345)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenControl("", []string{place}); err == nil || !strings.Contains(err.Error(), "belongs to uid 12345") {
		t.Errorf("%v", err)
	}
}

func TestUnusablePlaces(t *testing.T) {
	good := t.TempDir()
	file := filepath.Join(good, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(good, strings.Repeat("x", 120))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	bad := []string{"/nonexistent", file, "/proc", long}
	_, err := OpenControl("", bad)
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"/nonexistent: no such file or directory", file + ": not a directory", "longer than 107 bytes"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in %v", part, err)
		}
	}
	open(t, append(bad, good)...)
}

func TestExplicitPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine")
	c, err := OpenControl(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenControl(path, nil); err == nil || !strings.Contains(err.Error(), "another supervisor listens there") {
		t.Errorf("a second one: %v", err)
	}
	c.Listener.Close()
	c, err = OpenControl(path, nil)
	if err != nil {
		t.Fatalf("over a stale one: %v", err)
	}
	c.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenControl(path, nil); err == nil || !strings.Contains(err.Error(), "not a socket") || !exists(path) {
		t.Errorf("over a file: %v", err)
	}
	for _, bad := range []string{"relative", "/nonexistent/x", "/" + strings.Repeat("x", 200)} {
		if _, err := OpenControl(bad, nil); err == nil {
			t.Errorf("%.20s was taken", bad)
		}
	}
}

func TestClientAsks(t *testing.T) {
	control := startControl(t, source())
	places := []string{"/nonexistent", filepath.Dir(filepath.Dir(control.Path()))}
	client, err := Find(t.Context(), "", places, ToProbe)
	if err != nil {
		t.Fatal(err)
	}
	a, err := client.Ask(t.Context(), Readyz)
	if err != nil || !a.OK || a.String() != "degraded: 2 of 3 copies ready" {
		t.Errorf("%+v, %v", a, err)
	}
	s, err := client.Status(t.Context())
	if err != nil || s.Mode != "WEB" || len(s.Copies) != 3 || s.Copies[2].LastExit.Signal != "KILL" || !s.Started.Equal(seconds(noon)) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := client.Restart(t.Context(), func(string) {}); err == nil || err.Error() != "cannot restart: there is nothing to restart here" {
		t.Errorf("%v", err)
	}
}

func TestClientFindsNobody(t *testing.T) {
	place := t.TempDir()
	open(t, place).Listener.Close() // a dead one
	_, err := Find(t.Context(), "", []string{place, "/nonexistent"}, ToProbe)
	if err == nil || !strings.Contains(err.Error(), "cannot find a running supervisor") || !strings.Contains(err.Error(), place) {
		t.Errorf("%v", err)
	}
	for path, want := range map[string]string{
		filepath.Join(place, "nothing"):                   "there is no such socket",
		filepath.Join(folderIn(place), "entrypoint.sock"): "the supervisor that made the socket is gone",
		"/etc/passwd": "it is not a socket",
		filepath.Join(place, strings.Repeat("x", 120)): "there is no such socket",
	} {
		if _, err := Find(t.Context(), path, nil, ToProbe); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestClientAmongSeveral(t *testing.T) {
	place, other := t.TempDir(), t.TempDir()
	open(t, place)
	second, third := open(t, place), open(t, other)
	_, err := Find(t.Context(), "", []string{place, other, place}, ToCommand)
	if err == nil || !strings.Contains(err.Error(), "cannot choose among 3") || !strings.Contains(err.Error(), second.Path()) || !strings.Contains(err.Error(), third.Path()) {
		t.Errorf("%v", err)
	}
	client, err := Find(t.Context(), "", []string{place, other}, ToProbe)
	if err != nil || filepath.Base(client.Path()) != "entrypoint.sock" || !strings.HasPrefix(client.Path(), place) {
		t.Errorf("a probe takes %+v, %v", client, err)
	}
}

func TestClientBeforeASupervisorThatHangs(t *testing.T) {
	place := t.TempDir()
	open(t, place) // listens, and nobody serves
	client, err := Find(t.Context(), "", []string{place}, ToProbe)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.Ask(ctx, Livez); err == nil || !strings.Contains(err.Error(), "does not answer in time") {
		t.Errorf("%v", err)
	}
}

func TestClientBeforeAnotherProgram(t *testing.T) {
	for answer, want := range map[string]string{
		"":                             "has gone before it answered",
		"hello\r\n":                    "malformed HTTP",
		"HTTP/1.0 200 OK\r\n\r\n":      "has gone before it answered",
		"HTTP/1.0 200 OK\r\n\r\nhello": "invalid character",
		"HTTP/1.0 500 Oops\r\n\r\n":    "it answers 500",
		"HTTP/1.0 403 No\r\n\r\nno \x1b[31mway\r\n": "no ?[31mway",
	} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		var serving sync.WaitGroup
		serving.Go(func() {
			for range 2 {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 100))
				_, _ = io.WriteString(conn, answer)
				conn.Close()
			}
		})
		client, err := Find(t.Context(), path, nil, ToProbe)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Ask(t.Context(), Livez); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
		l.Close()
		serving.Wait()
	}
}

func TestWhoMayAsk(t *testing.T) {
	for uid, want := range map[int]bool{os.Geteuid(): true, 0: true, 12345: false, 65534: false} {
		if (peer{uid: uid}).mayAsk() != want {
			t.Errorf("uid %d: %v", uid, !want)
		}
	}
}

// askAsStranger is the test binary again, as another user.
func askAsStranger(socket string) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST /restart HTTP/1.0\r\n\r\n")
	_, _ = io.Copy(os.Stdout, conn)
	_, err = Find(context.Background(), socket, nil, ToProbe)
	fmt.Println(err)
}

func TestStrangersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can ask as another user")
	}
	restarted := false
	src := source()
	src.Restart = func(context.Context, func(string)) error { restarted = true; return nil }
	// Doors that are open wide, so that the socket's own guard is what is seen.
	dir, err := os.MkdirTemp("/tmp", "stranger")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	path := filepath.Join(dir, "s")
	control, err := OpenControl(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	start(t, NewControl(control, src, quiet))
	if err := errors.Join(os.WriteFile(program, self, 0o755), os.Chmod(dir, 0o755), os.Chmod(path, 0o777)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.Env = []string{"ADMIN_TEST_ASK=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "403 Forbidden") || !strings.Contains(string(out), "not to uid 12345") {
		t.Errorf("the stranger sees\n%s", out)
	}
	if restarted {
		t.Error("a stranger restarted the application")
	}
	// Root, the control, is admitted.
	if got := raw(t, "unix", path, "POST /restart HTTP/1.0\r\n\r\n"); !strings.Contains(got, "200 OK") || !restarted {
		t.Errorf("root sees\n%s", got)
	}
}
