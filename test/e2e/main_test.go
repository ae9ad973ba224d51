// Package e2e tests the built binary from outside: as PID 1 of a pid namespace
// of its own, and as an ordinary process beside another init. No container
// engine is needed.
//
// A test reads as a story: start the binary with words and an environment, wait
// for what it or its application prints, send signals, look at the process
// table, and compare the code. Nothing here sleeps: children announce
// themselves by lines and FIFOs, and a deadline only bounds what hangs.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// binary is the entrypoint under test, self this test binary, which plays the
// first process of the namespace and the misbehaving applications.
var binary, self string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			os.Exit(role(os.Args[2:]))
		}
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	var err error
	if self, err = os.Executable(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot find the test binary:", err)
		return 1
	}
	binary = os.Getenv("ENTRYPOINT_BINARY")
	if binary == "" {
		dir, err := os.MkdirTemp("", "entrypoint-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "entrypoint")
		if err := build(binary); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if binary, err = filepath.Abs(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := noNamespaces(); err != nil {
		fmt.Fprintln(os.Stderr, "NOT TESTED: the stories in a pid namespace; run them as root:", err)
	}
	return m.Run()
}

// build makes the binary as the Makefile does: what is tested is what ships.
func build(path string) error {
	c := exec.Command("sh", "devops/build.sh", path)
	c.Dir = filepath.Join("..", "..")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build entrypoint: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
