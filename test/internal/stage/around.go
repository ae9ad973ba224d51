package stage

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Browser asks one address, whatever the URL says, and keeps no connection.
func Browser(network, address string) *http.Client {
	return &http.Client{Timeout: Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
}

// Get asks the control socket; 0 is no answer.
func (r *Running) Get(path string) (status int, body string) {
	status, body, _ = Get(Browser("unix", r.Socket), path)
	return status, body
}

// GetTCP asks the admin address, or another.
func (r *Running) GetTCP(address, path string) (status int, body string) {
	status, body, _ = Get(Browser("tcp", address), path)
	return status, body
}

// Get asks for a page; of an error the body says why.
func Get(browser *http.Client, path string) (status int, body string, err error) {
	answer, err := browser.Get("http://localhost" + path)
	if err != nil {
		return 0, err.Error(), err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error(), err
	}
	return answer.StatusCode, string(text), nil
}

// Client runs a verb of the binary beside it, as a health check does.
func (r *Running) Client(words ...string) (code int, output string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary, words...)
	cmd.Env = []string{"ENTRYPOINT_CONTROL=" + r.Socket}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// FreeAddress is one at which nobody listens at this moment.
func FreeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Folder is a new one whose path leaves room for a socket's name: t.TempDir's
// does not. Every user may look into it.
func Folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Write makes a file with a mode and returns its path.
func Write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err == nil {
		err = os.Chmod(path, mode) // whatever the umask took, or there was before
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Read is a file's text; "" if there is none.
func Read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	return string(text)
}

// Component is a copy of the reference component in src, without what a checkout
// holds beside the code.
func Component(t *testing.T) (dir string) {
	t.Helper()
	dir = Folder(t)
	src := os.DirFS(filepath.Join("..", "..", "src"))
	err := fs.WalkDir(src, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == "var" || path == "static_root" || path == ".env" || d.Name() == "__pycache__" || strings.HasPrefix(path, "db.sqlite3"):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, path), 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := fs.ReadFile(src, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), text, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
