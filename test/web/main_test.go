// Package web proves that WEB drops no request: the built binary in front of
// real servers, a load of 16 clients that open a connection for each request,
// and everything that happens to a deployment meanwhile.
//
// Nothing here sleeps and no timing decides: tests wait for lines of output, for
// answers and for the ends of processes. What is asserted are counts of errors;
// latencies are logged.
package web

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// binary is the entrypoint under test, self this test binary, which plays the Go
// servers.
var binary, self string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if role, ok := roles()[os.Args[1]]; ok {
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
	dir, err := os.MkdirTemp("", "entrypoint-web")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // others run it as well
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "entrypoint")
	if err := build(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// They wait more than they work: as many as cores would take twice as long.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes the binary as the Makefile does: what is tested is what ships.
func build(path string) error {
	c := exec.Command("go", "build", "-tags", "urfave_cli_no_docs,nethttpomithttp2", "-trimpath",
		"-ldflags", "-s -w -E github.com/codeontap/entrypoint/internal/early.Entry", "-o", path, ".")
	c.Dir = filepath.Join("..", "..")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build entrypoint: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
