//go:build engine

package docker

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compose2 is Debian 13's docker-compose, which is `docker compose` as well, taken
// out of a container: it runs beside Debian 12's C library.
func compose2(t *testing.T) string {
	t.Helper()
	const tag, inside = "entrypoint-test:compose2", "/usr/libexec/docker/cli-plugins/docker-compose"
	build := exec.Command("docker", "build", "--quiet", "--label", label+"=1", "--tag", tag, "-")
	build.Stdin = strings.NewReader("FROM debian:trixie-slim\nRUN apt-get update && apt-get install -y --no-install-recommends docker-compose && rm -rf /var/lib/apt/lists/*\n")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	holder := docker(t, "create", "--label", label+"=1", tag)
	program := filepath.Join(t.TempDir(), "docker-compose")
	docker(t, "cp", holder+":"+inside, program)
	return program
}

// The other compose reads the same files: the whole of production comes up by
// them, in order, serves, and stops by itself.
func TestProductionComposeOfDebian13(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copied := command(t, "sh", "-c", `cp -r devops "$1" && cd "$1/devops/docker" && for name in app database rabbitmq; do sed 's/=change-me$/=tr0ub4dor/' $name.env.sample >$name.env; done`, "sh", dir)
	if copied.code != 0 {
		t.Fatal(copied)
	}
	p := newProjectOf(t, compose2(t), "compose2", filepath.Join(dir, "devops/docker"))
	if version := p.do("version", "--short"); !strings.HasPrefix(strings.TrimPrefix(version, "v"), "2.") {
		t.Fatalf("this is compose %s", version)
	}
	if config := p.do("config"); !strings.Contains(config, `published: "`+p.port+`"`) {
		t.Errorf("PORT is not taken: %s", config)
	}
	p.do("up", "--detach", "--no-build")
	waitPage(t, p.url("/"))
	p.allReachable()
	p.inOrder()
	if code := p.greet("Grace", "worker"); code != http.StatusAccepted {
		t.Errorf("greeting by a worker: %d", code)
	}
	p.waitSQL("select count(*) from app_dir_greeting where name = 'Grace' and source = 'worker'", "1")
	p.do("stop")
	for _, service := range []string{"web", "worker", "beat", "task"} {
		if code := docker(t, "inspect", "--format", "{{.State.ExitCode}}", p.do("ps", "--all", "--quiet", service)); code != "0" {
			t.Errorf("%s ended with %s", service, code)
		}
	}
	local := p
	local.dir, local.file = dir, []string{"-f", "devops/docker-local/docker-compose.yml"}
	if o := command(t, "sh", "-c", `cp "$1/devops/docker-local/local-docker-compose.env.sample" "$1/devops/docker-local/local-docker-compose.env"`, "sh", dir); o.code != 0 {
		t.Fatal(o)
	}
	if config := local.do("config"); !strings.Contains(config, "runserver") {
		t.Errorf("the local file: %s", config)
	}
}
