package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
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
	var open sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close") // each request asks the kernel for a copy anew
			fmt.Fprintf(w, "copy %s pid %d", os.Getenv("APP_WORKER_INDEX"), os.Getpid())
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Done()
			}
		},
	}
	fmt.Printf("serving %s fds %s pid right %t\n", listener.Addr(), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID") == fmt.Sprint(os.Getpid()))
	go func() {
		<-stop
		listener.Close() // Shutdown would drop who was accepted and has not been read yet
	}()
	if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
		fmt.Println(err)
		return 1
	}
	open.Wait()
	return 0
}

func page(c *http.Client) (string, error) {
	_, text, err := stage.Get(c, "/")
	return text, err
}

func TestCopiesShareOneSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "e2e") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			everywhere(t, func(t *testing.T, p stage.Place) {
				address, bind := stage.FreeAddress(t), ""
				if bind = address; network == "unix" {
					address = filepath.Join(dir, strings.ReplaceAll(p.String(), " ", ""))
					bind = "unix:" + address
				}
				r := start(t, p, stage.Story{Words: run("--workers 2 --backoff 10ms --bind "+bind, app("web")...)})
				r.Says("serving "+address, 2)
				r.Says("fds 1 pid right true", 2)
				web := stage.Browser(network, address)
				seen := map[string]string{}
				r.Until("both copies answer", func() bool {
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
				r.Kill(pid, syscall.SIGKILL)
				r.Says("started again", 1)
				for range 20 {
					if text, err := page(web); err != nil {
						t.Errorf("%v %s", err, text)
					}
				}
				r.Says("serving "+address, 3)
				r.Until("the new copy answers", func() bool {
					text, err := page(web)
					return err == nil && strings.HasPrefix(text, "copy 0") && text != "copy 0 pid "+seen["0"]
				})

				r.Signal(syscall.SIGTERM)
				r.WantExit(0)
				if _, err := page(web); err == nil {
					t.Error("somebody answers after the end")
				}
				if network == "unix" && stage.Read(t, address) != "" {
					t.Error("the socket's file is left")
				}
			})
		})
	}
}

// While no copy lives the kernel refuses: a client that hangs is worse off.
func TestNobodyAnswersWhileNoCopyLives(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		address := stage.FreeAddress(t)
		web := stage.Browser("tcp", address)
		r := start(t, p, stage.Story{Words: run("--backoff 30m --bind "+address, app("web")...)})
		r.Says("serving", 1)
		if _, err := page(web); err != nil {
			t.Fatal(err)
		}
		r.Await(1, " web")[0].Kill(syscall.SIGKILL)
		r.Says("started again", 1)
		r.Until("it is refused", func() bool {
			_, err := page(web)
			return errors.Is(err, syscall.ECONNREFUSED)
		})
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
	})
}

// Requests that are under way when the stop comes are answered.
func TestAStopLosesNoRequest(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		address := stage.FreeAddress(t)
		r := start(t, p, stage.Story{Words: run("--workers 2 --bind "+address, app("web")...)})
		r.Says("serving", 2)
		web := stage.Browser("tcp", address)
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
		if text, code := client(t, r, "restart"); code != 0 {
			t.Errorf("restart: %s", text)
		}
		if err := <-done; err != nil {
			t.Errorf("a request was lost: %v\n%s", err, r)
		}
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
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
			everywhere(t, func(t *testing.T, p stage.Place) {
				r := start(t, p, stage.Story{Words: run("--bind "+address, "echo", "started all the same")})
				r.WantExit(69)
				r.WantOneLine("cannot", strings.TrimPrefix(address, "unix:"))
				if r.Stdout.String() != "" {
					t.Errorf("started\n%s", r)
				}
			})
		})
	}
}

// A stop that comes before the drain is over is a stop: not ready any more, and
// still serving; the second request ends the drain.
func TestTheDrain(t *testing.T) {
	everywhere(t, func(t *testing.T, p stage.Place) {
		dir := t.TempDir()
		stage.Write(t, dir, "container-web.sh", "exec "+stage.Self+" web\n", 0o755)
		address := stage.FreeAddress(t)
		r := start(t, p, stage.Story{Words: []string{"--grace", "30m", "--drain", "20m", "--bind", address}, Dir: dir})
		r.Says("serving", 1)
		r.Until("it is ready", func() bool { _, code := client(t, r, "health", "--ready"); return code == 0 })
		r.Signal(syscall.SIGTERM)
		r.Says("draining", 1)
		if text, code := client(t, r, "health", "--ready"); code != 1 {
			t.Errorf("ready during the drain: %s", text)
		}
		if text, code := client(t, r, "health"); code != 0 {
			t.Errorf("the fleet would replace it during the drain: %s", text)
		}
		if _, err := page(stage.Browser("tcp", address)); err != nil {
			t.Errorf("not served during the drain: %v", err)
		}
		r.Signal(syscall.SIGTERM)
		r.WantExit(0)
	})
}
