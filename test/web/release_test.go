package web

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// unchanged checks that the copies are those that they were, and serve.
func unchanged(t *testing.T, s *site, before []int) {
	t.Helper()
	if now := s.pids(); !slices.Equal(now, before) {
		t.Errorf("the copies were %v and are %v\n%s", before, now, s)
	}
	if answer := s.readyz(); answer != http.StatusOK {
		t.Errorf("/readyz says %d\n%s", answer, s)
	}
	s.get("/")
}

// releases is a site whose next copies run what is written into its file.
func releases(t *testing.T, words []string, args ...string) (s *site, release func(string)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "release")
	release = func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	release("good")
	args = append([]string{"--workers", "2", "--bind", "{address}"}, args...)
	if len(words) > 0 {
		args = append(append(args, "--"), words...)
		needs(t, words[0], words[0])
	}
	s = start(t, opts{args: args, env: []string{"RELEASE_FILE=" + file}})
	s.becomesReady(2)
	return s, release
}

// A release that crashes at import costs nothing: restart says which copy failed
// and how, and the old ones serve on.
func TestAReleaseThatCrashesEndsTheRestart(t *testing.T) {
	t.Parallel()
	for name, words := range map[string][]string{
		"gunicorn": nil,
		"uvicorn":  {"uvicorn", "shop.asgi:application"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, release := releases(t, words)
			before := s.pids()
			l := begin(t, "http://"+s.address)
			l.goesOn(some)
			release("crash")
			out, code := s.ask("restart")
			if code != 1 || !strings.Contains(out, "new copy 0 failed: exit code ") || strings.Count(out, "cannot restart") != 1 {
				t.Errorf("restart ends with %d and says: %s\n%s", code, out, s)
			}
			unchanged(t, s, before)
			l.goesOn(some)
			l.end()
			if n := l.failures(); n > 0 {
				t.Errorf("%d errors: %v\n%s", n, l.errors(), s)
			}
			release("good")
			s.restarts()
			s.everyCopyServes(2)
			s.stops(0)
		})
	}
}

// Behind a unix socket an old copy's answer does not pass for the new one's
// either.
func TestAReleaseThatCrashesBehindAUnixSocket(t *testing.T) {
	t.Parallel()
	needs(t, "uvicorn", "uvicorn")
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "release"), filepath.Join(dir, "s")
	if err := os.WriteFile(file, []byte("good"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, opts{
		args: []string{"--workers", "2", "--bind", "unix:" + socket, "--", "uvicorn", "shop.asgi:application"},
		env:  []string{"RELEASE_FILE=" + file},
	})
	s.becomesReady(2)
	before := s.pids()
	if err := os.WriteFile(file, []byte("crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := s.ask("restart"); code != 1 || !strings.Contains(out, "new copy 0 failed: exit code ") {
		t.Errorf("restart ends with %d and says: %s\n%s", code, out, s)
	}
	if now := s.pids(); !slices.Equal(now, before) {
		t.Errorf("the copies were %v and are %v\n%s", before, now, s)
	}
	if answer := s.readyz(); answer != http.StatusOK {
		t.Errorf("/readyz says %d\n%s", answer, s)
	}
	s.stops(0)
}

// A release that hangs at import keeps the restart waiting; another restart
// meanwhile is refused, and a stop ends it at once, and everything else.
func TestWhileARestartWaits(t *testing.T) {
	t.Parallel()
	s, release := releases(t, nil)
	before := s.pids()
	release("hang")
	type answer struct {
		out  string
		code int
	}
	first := make(chan answer, 1)
	go func() {
		out, code := s.ask("restart")
		first <- answer{out, code}
	}()
	s.saysN("web.0 started", 2) // the new one
	if out, code := s.ask("restart"); code != 1 || !strings.Contains(out, "a restart is under way") || strings.Count(out, "cannot restart") != 1 {
		t.Errorf("a second restart ends with %d and says: %s", code, out)
	}
	unchanged(t, s, before)
	s.stops(0)
	if a := <-first; a.code != 1 || !strings.Contains(a.out, "stopping") {
		t.Errorf("the restart ends with %d and says: %s", a.code, a.out)
	}
}

// HUP restarts where --signals says so, and its failure is told in the log.
func TestHUPRestarts(t *testing.T) {
	t.Parallel()
	s, release := releases(t, nil, "--signals", "HUP:restart")
	release("better")
	s.signal(syscall.SIGHUP)
	s.says("copy replaced copy=1 of=2")
	if got := s.get("/release"); got != "better" {
		t.Errorf("the release is %q", got)
	}
	release("crash")
	s.signal(syscall.SIGHUP)
	s.says("error: cannot restart: new copy 0 failed: exit code ")
	s.get("/release")
	s.stops(0)
}

// A release that never came up is healed by the next one: a restart does not
// wait for the pause between two tries.
func TestARestartHealsACrashLoop(t *testing.T) {
	t.Parallel()
	needs(t, "uvicorn", "uvicorn")
	file := filepath.Join(t.TempDir(), "release")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("crash")
	s := start(t, opts{
		args: []string{"--workers", "2", "--bind", "{address}", "--backoff", "1h..1h", "--", "uvicorn", "shop.asgi:application"},
		env:  []string{"RELEASE_FILE=" + file},
	})
	s.saysN("it is started again", 2)
	if answer := s.readyz(); answer != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d while nobody serves\n%s", answer, s)
	}
	write("good")
	s.restarts()
	s.becomesReady(2)
	s.everyCopyServes(2)
	s.stops(0)
}

// Without a socket of ours two releases cannot run beside each other: the old
// copy goes first, and comes in its new release.
func TestARestartOfWhatBindsByItself(t *testing.T) {
	t.Parallel()
	s := start(t, opts{args: []string{"--", stage.Self, "stubborn", "{address}"}})
	s.becomesReady(1)
	before := s.pids()[0]
	s.restarts()
	if after := s.pids()[0]; after == before {
		t.Errorf("still process %d\n%s", after, s)
	}
	s.get("/")
	s.stops(0)
}
