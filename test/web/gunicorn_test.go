package web

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// worker is a class of gunicorn's, with the number of requests that one copy has
// in its hands at a time.
type worker struct {
	name, arguments string
	inFlight        int
}

var workers = []worker{
	{"sync", "--worker-class sync", 1},
	// gthread accepts more than it has threads for, up to its worker-connections.
	{"gthread", "--worker-class gthread --threads 4 --worker-connections 4", 4},
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
	for _, w := range workers {
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
		if n := l.failures(); n > 0 {
			t.Errorf("%d errors: %v\n%s", n, l.errors(), s)
		}
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
		address, out := freeAddress(t), newOutput()
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
		if n := l.failures(); n > 0 {
			t.Errorf("%d errors: %v\n%s", n, l.errors(), s)
		}
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
	s := start(t, opts{args: []string{"--bind", "{address}", "--", self, "server"}})
	s.becomesReady(1)
	l := begin(t, "http://"+s.address)
	l.goesOn(some)
	s.stops(0)
	l.end()
	if l.failures() == 0 {
		t.Error("the site was stopped under load, and no client noticed")
	}
}
