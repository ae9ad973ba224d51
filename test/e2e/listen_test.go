package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// N copies share one listening socket, which is ours: descriptor 3.

// webRole serves HTTP on descriptor 3: which copy, and its pid. It ends
// gracefully with TERM.
func webRole([]string) int {
	listener, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		fmt.Println("no socket:", err)
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // each request asks the kernel for a copy anew
		fmt.Fprintf(w, "copy %s pid %d", os.Getenv("APP_WORKER_INDEX"), os.Getpid())
	})}
	fmt.Printf("serving %s fds %s pid right %t\n", listener.Addr(), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID") == fmt.Sprint(os.Getpid()))
	go func() {
		<-stop
		_ = server.Shutdown(context.Background())
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		fmt.Println(err)
		return 1
	}
	return 0
}

// browser asks without keeping connections.
func browser(network, address string) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
}

func page(c *http.Client) (string, error) {
	response, err := c.Get("http://localhost/")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// freePort is one that nobody has at this moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestCopiesShareOneSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "e2e") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p place) {
				address, bind := freePort(t), ""
				if bind = address; network == "unix" {
					address = filepath.Join(dir, strings.ReplaceAll(string(p), " ", ""))
					bind = "unix:" + address
				}
				r := start(t, p, opts{args: run("--workers 2 --backoff 10ms --bind "+bind, app("web")...)})
				r.waitForN("serving "+address, 2)
				r.waitForN("fds 1 pid right true", 2)
				web := browser(network, address)
				seen := map[string]string{}
				r.eventually("both copies answer", func() bool {
					text, err := page(web)
					if err != nil {
						t.Fatalf("%v\n%s", err, r)
					}
					fields := strings.Fields(text)
					seen[fields[1]] = fields[3]
					return len(seen) == 2
				})

				// One is killed: the other answers every request, and the first
				// comes back.
				var pid int
				_, _ = fmt.Sscan(seen["0"], &pid)
				r.kill(pid, syscall.SIGKILL)
				r.waitFor("started again")
				for range 20 {
					if text, err := page(web); err != nil {
						t.Errorf("%v %s", err, text)
					}
				}
				r.waitForN("serving "+address, 3)
				r.eventually("the new copy answers", func() bool {
					text, err := page(web)
					return err == nil && strings.HasPrefix(text, "copy 0") && text != "copy 0 pid "+seen["0"]
				})

				r.signal(syscall.SIGTERM)
				r.wantExit(0)
				if _, err := page(web); err == nil {
					t.Error("somebody answers after the end")
				}
				if network == "unix" && read(t, address) != "" {
					t.Error("the socket's file is left")
				}
			})
		})
	}
}

// While no copy lives the kernel refuses: a client that hangs is worse off.
func TestNobodyAnswersWhileNoCopyLives(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		address := freePort(t)
		web := browser("tcp", address)
		r := start(t, p, opts{args: run("--backoff 30m --bind "+address, app("web")...)})
		r.waitFor("serving")
		if _, err := page(web); err != nil {
			t.Fatal(err)
		}
		r.kill(r.await(1, " web")[0].pid, syscall.SIGKILL)
		r.waitFor("started again")
		r.eventually("it is refused", func() bool {
			_, err := page(web)
			return errors.Is(err, syscall.ECONNREFUSED)
		})
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
	})
}

// Requests that are under way when the stop comes are answered.
func TestAStopLosesNoRequest(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		address := freePort(t)
		r := start(t, p, opts{args: run("--workers 2 --bind "+address, app("web")...)})
		r.waitForN("serving", 2)
		web := browser("tcp", address)
		// A rolling restart is the stop of each copy in turn.
		done := make(chan error, 1)
		go func() {
			for range 300 {
				if _, err := page(web); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		if text, code := r.client("restart"); code != 0 {
			t.Errorf("restart: %s", text)
		}
		if err := <-done; err != nil {
			t.Errorf("a request was lost: %v\n%s", err, r)
		}
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
	})
}

func TestAnAddressThatCannotBeBound(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for _, address := range []string{taken.Addr().String(), "203.0.113.1:80", "unix:/no/such/folder/socket"} {
		t.Run(address, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p place) {
				r := start(t, p, opts{args: run("--bind "+address, "echo", "started all the same")})
				r.wantExit(69)
				r.oneLine("cannot", strings.TrimPrefix(address, "unix:"))
				if r.stdout.String() != "" {
					t.Errorf("started\n%s", r)
				}
			})
		})
	}
}

// A stop that comes before the drain is over is a stop: not ready any more, and
// still serving; the second request ends the drain.
func TestTheDrain(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		dir := t.TempDir()
		write(t, dir, "container-web.sh", "exec "+self+" web\n", 0o755)
		address := freePort(t)
		r := start(t, p, opts{args: []string{"--grace", "30m", "--drain", "20m", "--bind", address}, dir: dir})
		r.waitFor("serving")
		r.eventually("it is ready", func() bool { _, code := r.client("health", "--ready"); return code == 0 })
		r.signal(syscall.SIGTERM)
		r.waitFor("draining")
		if text, code := r.client("health", "--ready"); code != 1 {
			t.Errorf("ready during the drain: %s", text)
		}
		if text, code := r.client("health"); code != 0 {
			t.Errorf("the fleet would replace it during the drain: %s", text)
		}
		if _, err := page(browser("tcp", address)); err != nil {
			t.Errorf("not served during the drain: %v", err)
		}
		r.signal(syscall.SIGTERM)
		r.wantExit(0)
	})
}
