//go:build engine

// Package docker drives a Docker engine: the image is built once, from a copy
// of this checkout, and containers of it do what a user would have them do.
//
//	go test -tags engine ./test/docker/
//
// Everything that is made carries a label and is removed by it; -keep leaves
// the image and what the builder keeps for the next run.
package docker

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/guide"
)

const (
	// label is on everything that these tests make.
	label = "org.codeontap.entrypoint.test"
	// stage is on what the builder leaves behind of the stages in between
	// (Dockerfile).
	stage = "org.codeontap.entrypoint.stage"
	// image is the component, binary the image with nothing but our program.
	image  = "entrypoint-test:component"
	binary = "entrypoint-test:entrypoint"
	// canary stands in files that must not reach any layer.
	canary = "canary-9f31c7"
)

// planted are the files that a developer's checkout may hold and an image may
// not.
var planted = []string{
	".env", ".env.local", "prod-docker-compose.env", "local-docker-compose.env",
	"src/.env", "src/.env.production", "src/app_dir/.env", "src/db.sqlite3", ".git/config",
}

// checkout is a copy of this repository with the planted files in it.
var checkout string

func TestMain(m *testing.M) {
	keep := flag.Bool("keep", false, "leave the image and the builder's cache for the next run")
	flag.Parse()
	os.Exit(withImage(m, *keep))
}

func withImage(m *testing.M, keep bool) int {
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot run the engine tests: no Docker engine answers: %s\n", lastLine(string(out)))
		return 1
	}
	dir, err := os.MkdirTemp("", "checkout")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	checkout = dir
	sweep(keep) // of a run that was killed
	defer sweep(keep)
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build copies the checkout and makes both images of its Dockerfile.
func build() error {
	if err := copyCheckout(checkout); err != nil {
		return err
	}
	make := []string{"docker", "build", "--label", label + "=1", "--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=abc123"}
	for _, step := range [][]string{
		{"test/images/make", "debian", "golang"},
		slices.Concat(make, []string{"--target", "entrypoint", "--tag", binary, "."}),
		slices.Concat(make, []string{"--tag", image, "."}),
	} {
		cmd := exec.Command(step[0], step[1:]...)
		cmd.Dir = checkout
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build: %s: %v\n%s", strings.Join(step, " "), err, out)
		}
	}
	return nil
}

// copyCheckout copies what git would commit, as it stands now, and plants the
// files that git would not.
func copyCheckout(to string) error {
	if err := guide.Copy("../..", to); err != nil {
		return err
	}
	for _, name := range planted {
		if err := write(filepath.Join(to, name), []byte("SECRET="+canary+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func write(name string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, content, mode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}

// sweep removes what carries our label or is of our projects, and nothing else.
// The stand-ins of test/images stay.
func sweep(keep bool) {
	leaveSwarm()
	mine := "label=" + label
	for _, filter := range []string{
		mine,
		"label=com.docker.compose.project=" + projectPrefix + "production",
		"label=com.docker.compose.project=" + projectPrefix + "local",
		"label=com.docker.compose.project=" + projectPrefix + "bad",
		"label=com.docker.stack.namespace=" + stack,
	} {
		removeAll([]string{"ps", "--all", "--quiet", "--filter", filter}, "rm", "--force", "--volumes")
		removeAll([]string{"network", "ls", "--quiet", "--filter", filter}, "network", "rm")
		removeAll([]string{"volume", "ls", "--quiet", "--filter", filter}, "volume", "rm", "--force")
	}
	if keep {
		return
	}
	removeAll([]string{"images", "--quiet", "--filter", mine}, "rmi", "--force")
	_ = exec.Command("docker", "image", "prune", "--force", "--filter", "label="+stage).Run()
}

// removeAll gives every id that list prints to the command remove.
func removeAll(list []string, remove ...string) {
	out, err := exec.Command("docker", list...).Output()
	if ids := strings.Fields(string(out)); err == nil && len(ids) > 0 {
		_ = exec.Command("docker", append(remove, ids...)...).Run()
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
