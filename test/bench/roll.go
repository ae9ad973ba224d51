package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// slow answers after 50 ms with its process, and keeps a processor busy for 2 s
// when it is imported, as a real application does.
const slow = `import os
import time

end = time.monotonic() + 2
while time.monotonic() < end:
    pass


def application(environ, start_response):
    time.sleep(0.05)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
`

// roll measures what clients see of a rolling restart, against the same load
// without one; beside it what they see of a process that merely imports the
// application on the same machine, which is the floor, and of gunicorn's own
// reload.
func roll(b *bench) error {
	app, err := os.MkdirTemp(b.dir, "roll-")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(app, "app.py"), []byte(slow), 0o644); err != nil {
		return err
	}
	for _, class := range []struct {
		name, arguments string
		turns           int
	}{
		// One request at a time in each copy: 40 answers a second.
		{"sync", "--worker-class sync", 5},
		{"gthread", "--worker-class gthread --threads 4", 3},
	} {
		if err := rollOurs(b, app, class.name, class.arguments, class.turns); err != nil {
			return fmt.Errorf("%s: %w", class.name, err)
		}
		if err := rollTheirs(b, app, class.name, class.arguments); err != nil {
			return fmt.Errorf("gunicorn alone, %s: %w", class.name, err)
		}
	}
	return nil
}

// phase is what happens during a part of a load.
type phase int

const (
	steady  phase = iota
	beside        // a process beside it imports
	rolling       // or reloading
)

// rollOurs alternates between the phases, so that what the machine does
// meanwhile falls on all of them.
func rollOurs(b *bench, app, class, arguments string, turns int) error {
	s, err := serveSlow(app, arguments, b.entrypoint, "run", "-w", "2", "--bind", "{address}", "--", "gunicorn", "app")
	if err != nil {
		return err
	}
	defer s.stop()
	l := s.load()
	defer l.stop()
	if err := l.allServe(); err != nil {
		return err
	}
	for range turns {
		began := time.Now()
		if err := l.during(rolling, func() error { return s.run(b.entrypoint, "restart") }); err != nil {
			return err
		}
		restart := time.Since(began)
		if err := l.during(steady, func() error { return l.goesOn(restart) }); err != nil {
			return err
		}
		if err := l.during(beside, func() error { return s.run("/usr/bin/python3", "-c", "import app") }); err != nil {
			return err
		}
	}
	l.stop()
	calm, busy, floor := l.times(steady), l.times(rolling), l.times(beside)
	b.row(fmt.Sprintf("rolling restart of two copies, gunicorn %s, import of 2 s: p99.9 of 16 clients over the same load without", class),
		fmt.Sprintf("%.2f x, %d errors; %d restarts, %s, without %s; beside a process that only imports %.2f x, %s",
			busy.at(0.999)/calm.at(0.999), l.errors(), turns, busy.tail(), calm.tail(), floor.at(0.999)/calm.at(0.999), floor.tail()), "1.1 x, 0 errors")
	return nil
}

// rollTheirs is gunicorn's own reload of two workers.
func rollTheirs(b *bench, app, class, arguments string) error {
	s, err := serveSlow(app, arguments, "gunicorn", "-w", "2", "-b", "{address}", "app")
	if err != nil {
		return err
	}
	defer s.stop()
	l := s.load()
	defer l.stop()
	if err := l.allServe(); err != nil {
		return err
	}
	const turns = 2
	for range turns {
		if err := l.during(steady, func() error { return l.goesOn(4 * time.Second) }); err != nil {
			return err
		}
		err := l.during(rolling, func() error {
			if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				return err
			}
			return l.newcomers(2)
		})
		if err != nil {
			return err
		}
	}
	l.stop()
	calm, busy := l.times(steady), l.times(rolling)
	b.row(fmt.Sprintf("the same by gunicorn's own reload (HUP), %s", class),
		fmt.Sprintf("%.2f x, %d errors; %d reloads, %s, without %s", busy.at(0.999)/calm.at(0.999), l.errors(), turns, busy.tail(), calm.tail()), "")
	return nil
}

// tail is what a request took.
func (s series) tail() string {
	return fmt.Sprintf("%d answers in %.0f / %.0f / %.0f ms (median, p99, p99.9)", len(s), s.median(), s.at(0.99), s.at(0.999))
}

// slowSite is a server of the slow application.
type slowSite struct {
	cmd     *exec.Cmd
	address string
	said    bytes.Buffer
	stopped sync.Once
}

func serveSlow(app, arguments string, argv ...string) (*slowSite, error) {
	s := &slowSite{address: freeAddress()}
	for i, word := range argv {
		if word == "{address}" {
			argv[i] = s.address
		}
	}
	s.cmd = quiet(argv[0], argv[1:]...)
	s.cmd.Dir = app
	s.cmd.Env = append(s.cmd.Env, "GUNICORN_CMD_ARGS="+arguments, "PYTHONDONTWRITEBYTECODE=1", "ENTRYPOINT_CONTROL="+filepath.Join(app, "control"))
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	err := until(func() bool { // else the clients would hammer
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("%w: %s", err, s.said.String())
	}
	return s, nil
}

func (s *slowSite) stop() {
	s.stopped.Do(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
	})
}

// run runs a command beside it, in its environment, to the end.
func (s *slowSite) run(name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Dir, c.Env = s.cmd.Dir, s.cmd.Env
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// answer is what one request got.
type answer struct {
	began, ended time.Time
	server       string
	err          error
}

// rollLoad is 16 clients that open a connection for each request.
type rollLoad struct {
	quit    chan struct{}
	stopped sync.Once
	all     sync.WaitGroup

	mu      sync.Mutex
	answers []answer
	windows []window
	known   map[string]bool // the processes that have answered
}

type window struct {
	phase    phase
	from, to time.Time
}

func (s *slowSite) load() *rollLoad {
	l := &rollLoad{quit: make(chan struct{}), known: map[string]bool{}}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	ask := func() (string, error) {
		response, err := client.Get("http://" + s.address)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return "", errors.New(response.Status)
		}
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	for range 16 {
		l.all.Go(func() {
			for {
				select {
				case <-l.quit:
					return
				default:
				}
				began := time.Now()
				server, err := ask()
				l.mu.Lock()
				l.answers = append(l.answers, answer{began, time.Now(), server, err})
				l.mu.Unlock()
			}
		})
	}
	return l
}

// stop ends the load after the requests that are under way.
func (l *rollLoad) stop() {
	l.stopped.Do(func() { close(l.quit) })
	l.all.Wait()
}

// newcomers waits until n processes have answered that had not before.
func (l *rollLoad) newcomers(n int) error {
	l.mu.Lock()
	from := len(l.answers)
	l.mu.Unlock()
	fresh := map[string]bool{}
	err := until(func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, a := range l.answers[from:] {
			if a.err == nil && !l.known[a.server] {
				fresh[a.server] = true
			}
		}
		from = len(l.answers)
		return len(fresh) >= n
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.answers {
		l.known[a.server] = true
	}
	return err
}

// allServe waits until both do, and until those requests are over that have
// waited for it.
func (l *rollLoad) allServe() error {
	if err := l.newcomers(2); err != nil {
		return err
	}
	return l.goesOn(2 * time.Second)
}

// goesOn lets it go on for a time.
func (l *rollLoad) goesOn(d time.Duration) error {
	timer := time.NewTimer(d)
	<-timer.C
	return nil
}

// during notes when something happened.
func (l *rollLoad) during(p phase, something func() error) error {
	from := time.Now()
	err := something()
	l.windows = append(l.windows, window{p, from, time.Now()})
	return err
}

// times are what the requests took, in ms, that were under way in a phase. One
// that saw two phases belongs to the later of the list above.
func (l *rollLoad) times(p phase) (s series) {
	for _, a := range l.answers {
		if a.err == nil && l.phaseOf(a) == p {
			s = append(s, a.ended.Sub(a.began).Seconds()*1e3)
		}
	}
	return s
}

func (l *rollLoad) phaseOf(a answer) phase {
	seen := phase(-1) // before all of them, while it starts
	for _, w := range l.windows {
		if a.began.Before(w.to) && a.ended.After(w.from) {
			seen = max(seen, w.phase)
		}
	}
	return seen
}

// errors counts those since all served.
func (l *rollLoad) errors() (n int) {
	for _, a := range l.answers {
		if a.err != nil && l.phaseOf(a) >= steady {
			n++
		}
	}
	return n
}
