package web

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// worker is a class of gunicorn's, with the number of requests that one copy has
// in its hands at a time.
type worker struct {
	name, arguments string
	inFlight        int
	// It may drop this many of them when somebody sends TERM to a copy, and when we
	// stop one.
	termCosts, stopCosts int
}

// workersOf are the classes as the gunicorn here runs them.
func workersOf(t *testing.T) []worker {
	t.Helper()
	generation := generationOf(t)
	if generation < 21 {
		return []worker{
			{"sync", "--worker-class sync", 1, 0, 0},
			// gthread accepts more than it has threads for, up to its worker-connections.
			{"gthread", "--worker-class gthread --threads 4 --worker-connections 4", 4, 0, 0},
		}
	}
	// Since 21 gthread accepts first and waits for the request afterwards. When all of
	// its worker-connections are accepted and none is read it never looks again: few of
	// them are no choice.
	gthread := worker{"gthread", "--worker-class gthread --threads 4", clients, 0, 0}
	if generation < 24 {
		// On TERM it forgets what it has accepted and not read, whoever holds the socket;
		// its own reload does it too. Where we stop it this is our nudge
		// (supervisor/nudge.go) in all but one or two of a hundred stops; without the
		// nudge it is a client's in two of three.
		gthread.termCosts = clients
		gthread.stopCosts = 1
	}
	return []worker{{"sync", "--worker-class sync", 1, 0, 0}, gthread}
}

var versionOfGunicorn = regexp.MustCompile(`^gunicorn \(version (\d+)\.`)

// generationOf is the first number of gunicorn's version.
func generationOf(t *testing.T) int {
	t.Helper()
	needs(t, "gunicorn", "gunicorn")
	out, err := exec.Command("gunicorn", "--version").CombinedOutput()
	found := versionOfGunicorn.FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("gunicorn --version: %v, %s", err, out)
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n
}

// dropsAtMost finds fault with more errors than the server costs by itself.
func dropsAtMost(t *testing.T, l *load, s *site, allowed int) {
	t.Helper()
	switch n := l.failures(); {
	case n > allowed:
		t.Errorf("%d errors, %d are the server's own: %v\n%s", n, allowed, l.errors(), s)
	case n > 0:
		t.Logf("the server drops %d of the requests in its hands when it is told to go", n)
	}
}

// gunicorn starts the mode's own command with two copies and waits until both
// are ready.
func gunicorn(t *testing.T, w worker, o opts) *site {
	t.Helper()
	needs(t, "gunicorn", "gunicorn")
	o.args = append([]string{"--workers", "2", "--bind", "{address}"}, o.args...)
	o.env = append([]string{"GUNICORN_CMD_ARGS=" + w.arguments, "IMPORT_SECONDS=2"}, o.env...)
	s := start(t, o)
	s.becomesReady(2)
	return s
}

// forEachClass tells a story with each of them.
func forEachClass(t *testing.T, story func(t *testing.T, w worker)) {
	t.Parallel()
	for _, w := range workersOf(t) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			story(t, w)
		})
	}
}

// some is how many answers make a phase: with two copies of a sync worker and a
// view of 50 ms, about two seconds.
const some = 80

func TestRollingRestartDropsNothing(t *testing.T) {
	forEachClass(t, func(t *testing.T, w worker) {
		s := gunicorn(t, w, opts{})
		before := s.pids()
		l := begin(t, "http://"+s.address)
		l.goesOn(some)
		l.phase("steady", 0)
		from := l.mark()
		s.restarts()
		l.phase("rolling restart", from)
		l.goesOn(some)
		l.end()
		dropsAtMost(t, l, s, w.stopCosts) // of the two copies
		for i, pid := range s.pids() {
			if pid == before[i] {
				t.Errorf("copy %d is still the old one", i)
			}
		}
		if answer := s.readyz(); answer != http.StatusOK {
			t.Errorf("/readyz says %d", answer)
		}
		s.stops(0)
	})
}

// What gunicorn does by itself, for comparison: its reload takes the workers
// away before the new ones have imported the application.
func TestGunicornsOwnReloadBeside(t *testing.T) {
	forEachClass(t, func(t *testing.T, w worker) {
		needs(t, "gunicorn", "gunicorn")
		address, out := stage.FreeAddress(t), newOutput()
		c := exec.Command("gunicorn", "--bind", address, "--workers", "2", "shop.wsgi")
		c.Dir = filepath.Join("testdata", "site")
		c.Env = append(os.Environ(), "GUNICORN_CMD_ARGS="+w.arguments, "IMPORT_SECONDS=2", "PYTHONDONTWRITEBYTECODE=1")
		c.Stdout, c.Stderr = out, out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		alone := &site{t: t, out: out, cmd: c, done: make(chan struct{})}
		go func() {
			_ = c.Wait()
			close(alone.done)
		}()
		defer func() {
			_ = c.Process.Signal(syscall.SIGTERM)
			<-alone.done
		}()
		alone.says("Listening at")
		l := begin(t, "http://"+address)
		l.goesOn(some) // the first of them wait for the import
		from := l.mark()
		l.goesOn(some)
		l.phase("steady", from)
		from = l.mark()
		if err := c.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		alone.saysN("Worker exiting", 2)
		l.goesOn(2 * some)
		l.phase("gunicorn's HUP", from)
		l.end()
		t.Logf("%d errors", l.failures())
	})
}

func TestTERMToEachCopyInTurnDropsNothing(t *testing.T) {
	forEachClass(t, func(t *testing.T, w worker) {
		s := gunicorn(t, w, opts{args: []string{"--backoff", "100ms..1s"}})
		l := begin(t, "http://"+s.address)
		l.goesOn(some)
		for i, pid := range s.pids() {
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.saysN(" is ready\n", 3+i)
			l.goesOn(some)
		}
		l.end()
		dropsAtMost(t, l, s, 2*w.termCosts)
		s.stops(0)
	})
}

// A copy is its process group: what the kernel kills for memory, and kill -9 of
// the number that status prints.
func TestSIGKILLCostsOnlyWhatTheCopyHadInItsHands(t *testing.T) {
	for _, victim := range []struct {
		name string
		kill func(pid int) error
	}{
		{"the whole copy", func(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }},
		{"its main process", func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }},
	} {
		t.Run(victim.name, func(t *testing.T) {
			forEachClass(t, func(t *testing.T, w worker) {
				s := gunicorn(t, w, opts{args: []string{"--backoff", "100ms..1s"}})
				l := begin(t, "http://"+s.address)
				l.goesOn(some)
				if err := victim.kill(s.pids()[0]); err != nil {
					t.Fatal(err)
				}
				s.saysN(" is ready\n", 3)
				l.goesOn(some)
				l.end()
				if n := l.failures(); n > w.inFlight {
					t.Errorf("%d errors, %d requests can have been in flight: %v\n%s", n, w.inFlight, l.errors(), s)
				}
				s.stops(0)
			})
		})
	}
}

// The copy is told to go while it sends; it ends what it has begun.
func TestADownloadOutlivesARestart(t *testing.T) {
	forEachClass(t, func(t *testing.T, w worker) {
		s := gunicorn(t, w, opts{})
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		response, err := client.Get("http://" + s.address + "/download")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		first := make([]byte, len("part\n"))
		if _, err := io.ReadFull(response.Body, first); err != nil {
			t.Fatal(err)
		}
		restarted := make(chan struct{})
		go func() {
			defer close(restarted)
			if out, code := s.ask("restart"); code != 0 {
				t.Errorf("restart ends with %d: %s", code, out)
			}
		}()
		rest, err := io.ReadAll(response.Body)
		if got := len(first) + len(rest); err != nil || got != 10*len(first) {
			t.Errorf("%d bytes of %d, %v\n%s", got, 10*len(first), err, s)
		}
		<-restarted
		s.stops(0)
	})
}

// Control for the load: where nothing holds the socket, a kill and a start of
// the only process is seen by the clients.
func TestTheLoadSeesAnOutage(t *testing.T) {
	t.Parallel()
	s := start(t, opts{args: []string{"--bind", "{address}", "--", stage.Self, "server"}})
	s.becomesReady(1)
	l := begin(t, "http://"+s.address)
	l.goesOn(some)
	s.stops(0)
	l.end()
	if l.failures() == 0 {
		t.Error("the site was stopped under load, and no client noticed")
	}
}

// A copy that hangs is found although the other one answers on the address that
// they share: each is asked on a socket of its own.
func TestACopyThatHangsIsFoundOnItsOwnSocket(t *testing.T) {
	forEachClass(t, func(t *testing.T, w worker) {
		s := gunicorn(t, w, opts{args: []string{"--health", "http:/release", "--health-interval", "200ms", "--health-timeout", "1s"}})
		before := s.pids()
		if err := syscall.Kill(-before[0], syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		s.says("web.0 is replaced: ")
		s.saysN(" is ready\n", 3)
		now := s.status().Copies
		if now[0].PID == before[0] || now[1].PID != before[1] || now[1].Restarts != 0 {
			t.Errorf("the copies were %v and are %+v\n%s", before, now, s)
		}
		s.everyCopyServes(2)
		s.stops(0)
	})
}
