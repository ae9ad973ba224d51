// Package ns builds the binary for test/guides, until that is on the stage.
package ns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Main is a TestMain's body: it builds the binary as the Makefile does, because
// what is tested is what ships, and runs the tests with its path. root is the
// module's folder, seen from the test's.
func Main(m *testing.M, root string, binary *string) int {
	dir, err := os.MkdirTemp("", "entrypoint-ns")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Another user runs it, too.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*binary = filepath.Join(dir, "entrypoint")
	c := exec.Command("sh", "devops/build.sh", *binary)
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build entrypoint: %v\n%s\n", err, strings.TrimSpace(string(out)))
		return 1
	}
	return m.Run()
}
