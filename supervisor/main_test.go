package supervisor

import (
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("ROLE") == "one more event" {
		oneMoreEvent()
		return
	}
	goleak.VerifyTestMain(m)
}

// oneMoreEvent is a server that sees TERM when the next connection wakes it, as
// gunicorn's gthread workers do. It listens on its last descriptor.
func oneMoreEvent() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	fd, err := strconv.Atoi(os.Getenv("LISTENER"))
	if err != nil {
		panic(err)
	}
	listener, err := net.FileListener(os.NewFile(uintptr(fd), "listener"))
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(os.Getenv("FIFO"), []byte("serving\n"), 0); err != nil {
		panic(err)
	}
	<-term
	if _, err := listener.Accept(); err != nil {
		panic(err)
	}
}
