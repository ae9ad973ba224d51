package web

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// roles are the servers that the test binary plays.
func roles() stage.Roles {
	return stage.Roles{
		"server":   server,
		"stubborn": stubborn,
		"deaf":     deaf,
	}
}

// server is a Go server as modes.md describes it: it takes descriptor 3 and ends
// gracefully.
func server([]string) int {
	l, err := net.FileListener(os.NewFile(3, "inherited"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot take descriptor 3:", err)
		return 1
	}
	return serve(l)
}

// serve answers with our pid until TERM, and then to everybody whom it has
// accepted: Shutdown of net/http would hang up on connections whose request it
// has not read yet.
func serve(l net.Listener) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	var connections sync.WaitGroup
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) }),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				connections.Add(1)
			case http.StateClosed:
				connections.Done()
			}
		},
	}
	s.SetKeepAlivesEnabled(false)
	go func() {
		<-stop
		l.Close()
	}()
	_ = s.Serve(l)
	connections.Wait()
	return 0
}

// stubborn ignores descriptor 3 and binds the address by itself.
func stubborn(args []string) int {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return serve(l)
}

// deaf closes descriptor 3, as a server does that tidies up what it does not
// know, and serves nobody.
func deaf([]string) int {
	_ = syscall.Close(3)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("descriptor 3 is closed")
	<-stop
	return 0
}
