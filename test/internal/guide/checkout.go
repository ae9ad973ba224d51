package guide

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Copy copies a repository's files as they stand now to a folder: what git has
// or would take, and nothing that a developer's machine has left between them.
func Copy(root, to string) error {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("cannot list the checkout's files: git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil || !info.Mode().IsRegular() {
			continue // removed and not committed yet
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err == nil {
			err = write(filepath.Join(to, name), content, info.Mode())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func write(name string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, content, mode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}

// Folder is one of the test's own with a short path: a socket's may have 107
// bytes, and t.TempDir's would take most of them.
func Folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "guide")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Checkout is a repository of the test's own that holds the files of root as
// they stand now, in one commit.
func Checkout(t *testing.T, root string) string {
	t.Helper()
	dir := Folder(t)
	if err := Copy(root, dir); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{
		{"init", "--quiet", "--initial-branch", "main"},
		{"add", "--all"},
		{"-c", "user.name=guide", "-c", "user.email=guide@example.org", "commit", "--quiet", "--message", "guide: the files as they stand"},
	} {
		cmd := exec.Command("git", words...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", words[0], err, out)
		}
	}
	return dir
}

// Edit replaces a text in a file, as somebody does with an editor. A file
// without the text ends the test.
func Edit(t *testing.T, name, old, replacement string) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err == nil && !strings.Contains(string(content), old) {
		err = fmt.Errorf("%s has no %q", name, old)
	}
	if err == nil {
		err = os.WriteFile(name, []byte(strings.ReplaceAll(string(content), old, replacement)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
