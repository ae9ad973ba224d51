package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// roles are what this test binary plays when its first word says so.
var roles = stage.Roles{
	"listener":  listenerRole,
	"negligent": negligentRole,
	"signalled": signalledRole,
	"heedless":  heedlessRole,
	"web":       webRole,
}

// app is the command line of a role, for the binary to run.
func app(role string, words ...string) []string {
	return append([]string{stage.Self, role}, words...)
}

// signalledRole prints every signal that it gets, one line each, until its
// stdin ends. Run it with asyncpreemptoff, or Go's own SIGURG is among them.
func signalledRole([]string) int {
	arrived := make(chan os.Signal, 256)
	signal.Notify(arrived)
	fmt.Println("ready")
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	for {
		select {
		case s := <-arrived:
			fmt.Printf("got %d.\n", s.(syscall.Signal))
		case <-over:
			fmt.Println("bye")
			return 0
		}
	}
}

// listenerRole prints the lines that it reads, so that a test can see that it
// is alive and has the terminal.
func listenerRole([]string) int {
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println("heard " + lines.Text())
	}
	return 0
}

// heedlessRole prints every signal that it gets, and ends with TERM, or with the
// one whose number it is given.
func heedlessRole(words []string) int {
	last := syscall.SIGTERM
	if len(words) > 0 {
		n, err := strconv.Atoi(words[0])
		if err != nil {
			return 1
		}
		last = syscall.Signal(n)
	}
	arrived := make(chan os.Signal, 256)
	signal.Notify(arrived)
	fmt.Println("ready")
	for s := range arrived {
		if s == last {
			break
		}
		fmt.Printf("got %d.\n", s.(syscall.Signal))
	}
	return 0
}
