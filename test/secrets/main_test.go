// Package secrets tests the built binary from outside: what it decrypts, what
// it says about the environment, and that no secret stands in anything that it
// lets out. KMS is the stand-in of internal/kms/kmstest.
//
// A story starts the binary with words and an environment, waits for what it or
// its application prints, and compares the exit code. Deadlines only bound what
// hangs.
package secrets

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// binary is the entrypoint under test. Users other than root can execute it.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	// The stories wait for timeouts more than for processors.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "entrypoint-secrets")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "entrypoint")
	if err := build(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes the binary as the Makefile does: what is tested is what ships.
// ENTRYPOINT_BINARY names one that is built already.
func build(path string) error {
	if built := os.Getenv("ENTRYPOINT_BINARY"); built != "" {
		text, err := os.ReadFile(built)
		if err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o755)
	}
	c := exec.Command("sh", "devops/build.sh", path)
	c.Dir = filepath.Join("..", "..")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build entrypoint: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
