//go:build engine

package docker

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The image with nothing but our program holds that one file, and it is static:
// it runs in any image that it is copied to.
func TestBinaryImage(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{}
	layers(t, binary, func(name string, content []byte) { files[name] = content })
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, []string{"usr/local/bin/entrypoint"}) {
		t.Fatalf("it holds %q", got)
	}
	program, err := elf.NewFile(bytes.NewReader(files["usr/local/bin/entrypoint"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("it wants a dynamic linker: %v", p.Type)
		}
	}
	if program.Section(".debug_info") != nil {
		t.Error("it carries debug information")
	}
	if got := run(t, binary, "version").stdout; got != "entrypoint 1.2.3\n" {
		t.Errorf("it says %q", got)
	}
}

// Two lines put entrypoint before any program.
func TestCopyFrom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := "FROM debian:trixie-slim\nCOPY --from=" + binary + " /usr/local/bin/entrypoint /usr/local/bin/\nENTRYPOINT [\"entrypoint\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	docker(t, "build", "--quiet", "--label", label+"=1", "--tag", "entrypoint-test:wrapped", dir)
	if o := run(t, "entrypoint-test:wrapped", "sh", "-c", "exit 5"); o.code != 5 {
		t.Error(o)
	}
}

// The same source is a program for arm64.
func TestCrossCompiles(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "entrypoint")
	cmd := exec.Command("sh", "devops/build.sh", out)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	program, err := elf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if program.Machine != elf.EM_AARCH64 {
		t.Errorf("it is for %v", program.Machine)
	}
}

// What an orchestrator and a registry read.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	var found []struct {
		Config struct {
			User, WorkingDir string
			Entrypoint, Cmd  []string
			Labels           map[string]string
			Healthcheck      struct{ Test []string }
		}
	}
	if err := json.Unmarshal([]byte(docker(t, "image", "inspect", image)), &found); err != nil {
		t.Fatal(err)
	}
	c := found[0].Config
	if c.User != "10001:10001" {
		t.Errorf("it runs as %q", c.User)
	}
	if c.WorkingDir != "/app/src" {
		t.Errorf("it runs in %q", c.WorkingDir)
	}
	if !slices.Equal(c.Entrypoint, []string{"entrypoint"}) || len(c.Cmd) != 0 {
		t.Errorf("it runs %q %q", c.Entrypoint, c.Cmd)
	}
	if !slices.Equal(c.Healthcheck.Test, []string{"CMD", "entrypoint", "health"}) {
		t.Errorf("its health is asked by %q", c.Healthcheck.Test)
	}
	for name, want := range map[string]string{"version": "1.2.3", "revision": "abc123"} {
		if got := c.Labels["org.opencontainers.image."+name]; got != want {
			t.Errorf("label %s: %q", name, got)
		}
	}
	for _, name := range []string{"title", "description", "source"} {
		if c.Labels["org.opencontainers.image."+name] == "" {
			t.Errorf("label %s is missing", name)
		}
	}
}

// No layer holds a file that belongs to a developer's machine, nor its content
// under another name, nor does the history.
func TestNoSecretInAnyLayer(t *testing.T) {
	t.Parallel()
	bad := func(name string, content []byte) bool {
		base := path.Base(name)
		return strings.HasPrefix(base, ".env") || strings.HasSuffix(base, ".env") || bytes.Contains(content, []byte(canary))
	}
	for _, name := range []string{image, binary} {
		layers(t, name, func(file string, content []byte) {
			if bad(file, content) {
				t.Errorf("%s holds %s", name, file)
			}
		})
		if history := docker(t, "history", "--no-trunc", name); strings.Contains(history, canary) {
			t.Errorf("the history of %s holds the canary", name)
		}
	}

	// The control: without .dockerignore the same search finds every one.
	dir := t.TempDir()
	for _, name := range planted {
		if err := write(filepath.Join(dir, name), []byte("SECRET="+canary), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY . /app\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	docker(t, "build", "--quiet", "--label", label+"=1", "--tag", "entrypoint-test:naive", dir)
	found := 0
	layers(t, "entrypoint-test:naive", func(file string, content []byte) {
		if bad(file, content) {
			found++
		}
	})
	if found != len(planted) {
		t.Errorf("the search finds %d of %d planted files", found, len(planted))
	}
}

// What can build programs is of use to an intruder only, and so is code that
// the running user may change.
func TestNothingToBuildOrChange(t *testing.T) {
	t.Parallel()
	o := run(t, image, "sh", "-c", "for p in cc gcc g++ c99 clang tcc make ld as go; do command -v $p; done; find /app ! -type l -writable; true")
	if o.code != 0 || o.stdout != "" {
		t.Errorf("found: %v", o)
	}
	if o := run(t, image, "sh", "-c", "ls static_root | grep -x admin"); o.code != 0 {
		t.Errorf("the static files are not collected: %v", o)
	}
	if o := run(t, image, "/app/venv/bin/python3", "-m", "pip", "check"); o.code != 0 {
		t.Errorf("requirements.txt is not satisfied: %v", o)
	}
}

// layers gives every regular file of every layer of an image to visit.
func layers(t *testing.T, image string, visit func(name string, content []byte)) {
	t.Helper()
	saved := filepath.Join(t.TempDir(), "image.tar")
	docker(t, "save", "--output", saved, image)
	file, err := os.Open(saved)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := 0
	files(t, file, func(name string, content []byte) {
		// Layers are layer.tar in older engines, blobs in newer ones, where
		// the configuration is a blob too.
		if path.Base(name) != "layer.tar" && !strings.HasPrefix(name, "blobs/") {
			return
		}
		if _, err := tar.NewReader(bytes.NewReader(content)).Next(); err != nil {
			return
		}
		found++
		files(t, bytes.NewReader(content), visit)
	})
	if found == 0 {
		t.Fatalf("no layers in %s", image)
	}
}

func files(t *testing.T, archive io.Reader, visit func(name string, content []byte)) {
	t.Helper()
	reader := tar.NewReader(archive)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		visit(header.Name, content)
	}
}
