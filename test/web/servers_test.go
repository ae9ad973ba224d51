package web

import (
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// realServer is one of Debian's, with the words that make it take the socket
// that we hold; {address} is where.
type realServer struct {
	name, packages string
	words          []string
	// abrupt ones close, when they are told to go, connections that they have
	// accepted and not read yet: that is theirs, whoever holds the socket.
	abrupt bool
}

// realServers are the table of modes.md. The Go server is this test binary.
func realServers() []realServer {
	return []realServer{
		{name: "gunicorn", packages: "gunicorn", words: []string{"gunicorn", "shop.wsgi"}},
		{name: "uvicorn", packages: "uvicorn", words: []string{"uvicorn", "shop.asgi:application"}, abrupt: true},
		{name: "hypercorn", packages: "python3-hypercorn", words: []string{"hypercorn", "--bind", "fd://3", "shop.asgi:application"}, abrupt: true},
		{name: "daphne", packages: "daphne", words: []string{"daphne", "--fd", "3", "shop.asgi:application"}, abrupt: true},
		{name: "uwsgi", packages: "uwsgi-core uwsgi-plugin-python3", words: uwsgi(), abrupt: true},
		{name: "uwsgi with its master", packages: "uwsgi-core uwsgi-plugin-python3", words: uwsgi("--master"), abrupt: true},
		{
			name: "uwsgi told to be graceful", packages: "uwsgi-core uwsgi-plugin-python3",
			words: uwsgi("--master", "--hook-master-start", "unix_signal:15 gracefully_kill_them_all"),
		},
		{name: "puma", packages: "puma", words: []string{"puma", "--bind", "tcp://{address}"}, abrupt: true},
		{name: "node", packages: "nodejs", words: []string{"node", "server.js"}},
		{name: "go", words: []string{stage.Self, "server"}},
	}
}

func uwsgi(more ...string) []string {
	return append([]string{"uwsgi", "--plugin", "python3", "--http-socket", "fd://3", "--module", "shop.wsgi"}, more...)
}

// Every server of the table in modes.md takes the socket, serves from each copy,
// loses one and goes on, is replaced under load, and ends in time.
func TestRealServers(t *testing.T) {
	t.Parallel()
	for _, server := range realServers() {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			needs(t, server.words[0], server.packages)
			s := start(t, opts{args: append([]string{"--bind", "{address}", "--workers", "2", "--backoff", "100ms..1s", "--"}, server.words...)})
			s.becomesReady(2)
			s.everyCopyServes(2)

			pids := s.pids()
			if err := syscall.Kill(-pids[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			s.get("/") // by the other one
			s.becomesReady(3)
			s.everyCopyServes(2)

			l := begin(t, "http://"+s.address)
			l.goesOn(some)
			s.restarts()
			l.goesOn(some)
			l.end()
			allowed := 0
			if server.abrupt {
				allowed = 2 * clients // what two leaving copies had in their hands, and nothing of the queue
			}
			if n := l.failures(); n > allowed {
				t.Errorf("%d errors during a rolling restart: %v\n%s", n, l.errors(), s)
			} else if n > 0 {
				t.Logf("%s drops %d of the requests in its hands when it is told to go", server.name, n)
			}
			for _, pid := range s.pids() {
				for _, old := range pids {
					if pid == old {
						t.Errorf("process %d was not replaced\n%s", pid, s)
					}
				}
			}
			s.stops(0)
			if strings.Contains(s.out.String(), "has to be killed") {
				t.Errorf("it did not stop within the grace\n%s", s)
			}
		})
	}
}

// Those that cannot take a socket are named, with the way out, before anything
// starts; the way out works.
func TestWaitressIsNamedWithTheWayOut(t *testing.T) {
	t.Parallel()
	needs(t, "waitress-serve", "python3-waitress")
	words := []string{"waitress-serve", "--listen={address}", "shop.wsgi:application"}
	refused := start(t, opts{args: append([]string{"--bind", "{address}", "--"}, words...)})
	refused.exit(64)
	line := refused.errorLine()
	for _, want := range []string{"waitress cannot take a socket that we hold", "--strategy native", "--bind none"} {
		if !strings.Contains(line, want) {
			t.Errorf("it does not say %q: %s", want, line)
		}
	}

	for _, out := range [][]string{{"--strategy", "native"}, {"--bind", "none"}} {
		s := start(t, opts{args: append(append(out, "--"), words...)})
		s.becomesReady(1)
		if body := s.get("/release"); body != "" {
			t.Errorf("it answers %q", body)
		}
		s.stops(0)
	}
}
