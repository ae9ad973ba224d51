package env_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/env"
)

// The image's own file goes; what somebody mounted stays. Told apart in a root
// file system of the test's own, in a mount namespace.
func TestOnlyTheImagesOwnFileIsRemoved(t *testing.T) {
	if root := os.Getenv("ENV_TEST_ROOT"); root != "" {
		inARootOfItsOwn(t, root)
		return
	}
	t.Parallel()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestOnlyTheImagesOwnFileIsRemoved$", "-test.v")
	cmd.Env = append(os.Environ(), "ENV_TEST_ROOT="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	// Its exit code says nothing: under -cover it cannot write its figures, there.
	if out, err := cmd.CombinedOutput(); !strings.Contains(string(out), "in a root of its own: done") {
		t.Fatalf("in a mount namespace (root, or unprivileged user namespaces, are needed): %v\n%s", err, out)
	}
}

func inARootOfItsOwn(t *testing.T, root string) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
	must(unix.Mount("tmpfs", root, "tmpfs", 0, ""))
	for _, folder := range []string{"proc", "app/src", "app/folder.env", "apple", "volume", "outside", "image"} {
		must(os.MkdirAll(filepath.Join(root, folder), 0o755))
	}
	must(unix.Mount("/proc", filepath.Join(root, "proc"), "", unix.MS_BIND|unix.MS_REC, ""))
	must(unix.Chroot(root))
	must(os.Chdir("/app"))
	touch := func(path string) { must(os.WriteFile(path, []byte("A=a\n"), 0o600)) }
	touch("/outside/file")
	touch("/outside/.env")
	touch("/app/bound.env")
	must(unix.Mount("/outside", "/volume", "", unix.MS_BIND, "")) // the same file system: st_dev does not tell
	must(unix.Mount("/outside/file", "/app/bound.env", "", unix.MS_BIND, ""))
	must(os.Symlink("/volume", "/app/linked"))
	must(os.Symlink("/volume/.env", "/app/link.env"))
	touch("/app/src/.env")
	touch("/app/.env")
	touch("/image/.env")
	must(unix.Mount("tmpfs", "/apple", "tmpfs", 0, "")) // no parent of /app

	for _, path := range []string{"/app/src/.env", ".env", "/app/link.env", "/app/../image/.env"} {
		if removed, err := env.RemoveDotenv(path); err != nil || !removed {
			t.Errorf("%s is the image's own: %v", path, err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	for _, path := range []string{"/volume/.env", "/app/bound.env", "/app/linked/.env"} {
		removed, err := env.RemoveDotenv(path)
		if removed || err == nil || !strings.Contains(err.Error(), "stands on the mount") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s is mounted: %v, %v", path, removed, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
	for _, path := range []string{"/app/none.env", "/none/.env", "/app/folder.env"} {
		if removed, err := env.RemoveDotenv(path); removed || err != nil {
			t.Errorf("%s: nothing is to be removed: %v, %v", path, removed, err)
		}
	}
	must(unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if removed, err := env.RemoveDotenv("/app/.env"); removed || err != nil {
		t.Errorf("it was removed before: %v, %v", removed, err)
	}
	must(unix.Mount("", "/", "", unix.MS_REMOUNT, ""))
	touch("/app/.env")
	must(unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if removed, err := env.RemoveDotenv("/app/.env"); removed || err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a read-only root file system: %v, %v", removed, err)
	}
	// Without /proc it cannot tell, and leaves it.
	must(unix.Mount("", "/", "", unix.MS_REMOUNT, ""))
	must(unix.Unmount("/proc", unix.MNT_DETACH))
	if removed, err := env.RemoveDotenv("/app/.env"); removed || err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("without /proc: %v, %v", removed, err)
	}
	if !t.Failed() {
		fmt.Println("in a root of its own: done")
	}
}
