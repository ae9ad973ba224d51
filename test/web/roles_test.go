package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

// roles are the servers that the test binary plays.
func roles() map[string]func(args []string) int {
	return map[string]func([]string) int{
		"server": server,
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

func serve(l net.Listener) int {
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, os.Getpid())
	})}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-stop
		_ = s.Shutdown(context.Background())
	}()
	_ = s.Serve(l)
	<-ended
	return 0
}
