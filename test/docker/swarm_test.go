//go:build engine

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const stack = projectPrefix + "stack"

// The page's way: secrets, a deployment, another version, and back. A rolling
// update of web under load loses no request: the new copies are healthy before
// the old ones go, and these serve on until nobody asks them any more. So does a
// rollback.
func TestSwarmRollingUpdate(t *testing.T) {
	servers(t)
	swarm(t)
	blocks := ofGuide(t, production, "Swarm", 4)
	next := "entrypoint-test:next"
	if o := buildOn(t, next, "FROM "+image+"\nENV RELEASE=next\n"); o.code != 0 {
		t.Fatal(o)
	}
	// There is no registry to ask for digests.
	const deploy, here = "docker stack deploy", "docker stack deploy --resolve-image never"
	first := called(t, blocks[1], "registry.example.org/component:1.0", image, deploy, here, " component\n", " "+stack+"\n")
	second := called(t, blocks[2], "registry.example.org/component:1.1", next, deploy, here, " component\n", " "+stack+"\n", " component_web", " "+stack+"_web")
	back := called(t, blocks[3], " component_web", " "+stack+"_web")
	removeStack(t)
	port := "PORT=" + freePort(t)

	// What is forgotten is named.
	if o := runBlock(t, called(t, first, "COMPONENT_IMAGE="+image, ""), port); o.code == 0 {
		t.Error("it is deployed without an image")
	} else {
		wantQuote(t, troubleshooting, "stack-image", o.stderr)
	}
	if o := runBlock(t, first, port); o.code == 0 {
		t.Error("it is deployed without secrets")
	} else {
		wantQuote(t, troubleshooting, "stack-secret", o.stderr)
	}

	succeed(t, blocks[0])
	succeed(t, first, port)
	page := "http://127.0.0.1:" + strings.TrimPrefix(port, "PORT=") + "/"
	waitPage(t, page)
	waitService(t, "task", "Complete")

	load := startLoad(page)
	if said := succeed(t, second, port); !strings.Contains(said, next) {
		t.Errorf("service ps does not show the new version: %s", said)
	}
	waitUpdated(t, "web", next)
	// As long as an old copy may serve on.
	waitGone(t, "web", image)
	load.noFailure(t)

	load = startLoad(page)
	succeed(t, back)
	waitUpdated(t, "web", image)
	waitGone(t, "web", next)
	load.noFailure(t)
}

// noFailure ends the load, of which every request has to have been answered.
func (l *load) noFailure(t *testing.T) {
	t.Helper()
	l.stop()
	if l.sent.Load() < 20 {
		t.Errorf("only %d requests were sent", l.sent.Load())
	}
	if failed := l.failures(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %s", len(failed), l.sent.Load(), strings.Join(failed[:min(len(failed), 5)], "; "))
	}
	t.Logf("%d requests", l.sent.Load())
}

// swarm makes this engine a swarm of one node, and ends that with the test. One
// that is there already belongs to somebody.
func swarm(t *testing.T) {
	t.Helper()
	if state := docker(t, "info", "--format", "{{.Swarm.LocalNodeState}}"); state != "inactive" {
		t.Fatalf("cannot test the stack: this engine is part of a swarm already (%s) that the tests would change; run them on another engine", state)
	}
	bridged := command(t, "docker", "network", "inspect", gateway).code == 0
	docker(t, "swarm", "init", "--advertise-addr", "127.0.0.1")
	// The mark by which leaveSwarm knows the swarm for ours.
	if o := command(t, "sh", "-c", "echo ours | docker secret create --label "+label+"=1 entrypoint-test-mark -"); o.code != 0 {
		t.Error(o)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "swarm", "leave", "--force").CombinedOutput(); err != nil {
			t.Errorf("docker swarm leave: %v\n%s", err, out)
		}
		if !bridged {
			_ = exec.Command("docker", "network", "rm", gateway).Run()
		}
	})
}

// gateway is the network that an engine makes when it becomes part of a swarm.
const gateway = "docker_gwbridge"

// leaveSwarm ends the swarm of a test that was killed: only ours has secrets with
// our label.
func leaveSwarm() {
	out, err := exec.Command("docker", "secret", "ls", "--quiet", "--filter", "label="+label).Output()
	if err == nil && len(out) > 0 {
		_ = exec.Command("docker", "swarm", "leave", "--force").Run()
	}
}

// removeStack removes the stack with the test.
func removeStack(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("docker", "stack", "ps", "--no-trunc", stack).CombinedOutput()
			t.Logf("%s", out)
			for _, service := range []string{"web", "task", "nginx"} {
				out, _ := exec.Command("docker", "service", "logs", "--tail", "20", stack+"_"+service).CombinedOutput()
				t.Logf("%s: %s", service, out)
			}
		}
		_ = exec.Command("docker", "stack", "rm", stack).Run()
		namespace := "label=com.docker.stack.namespace=" + stack
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			if out, err := exec.Command("docker", "ps", "--all", "--quiet", "--filter", namespace).Output(); err == nil && len(out) == 0 {
				break
			}
		}
		removeAll([]string{"volume", "ls", "--quiet", "--filter", namespace}, "volume", "rm", "--force")
	})
}

func buildOn(t *testing.T, tag, dockerfile string) outcome {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	return command(t, "docker", "build", "--quiet", "--label", label+"=1", "--tag", tag, dir)
}

// until asks again and again, because no event tells.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !happened() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func waitPage(t *testing.T, page string) {
	t.Helper()
	until(t, "the page", func() bool {
		answer, err := http.Get(page)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// task is one of a service's, as `docker service ps` shows it.
type task struct{ Image, CurrentState, DesiredState string }

func tasks(t *testing.T, service string) []task {
	t.Helper()
	var all []task
	decoder := json.NewDecoder(strings.NewReader(docker(t, "service", "ps", "--no-trunc", "--format", "{{json .}}", stack+"_"+service)))
	for decoder.More() {
		var one task
		if err := decoder.Decode(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

func waitService(t *testing.T, service, state string) {
	t.Helper()
	until(t, service+" to be "+state, func() bool {
		for _, one := range tasks(t, service) {
			if strings.HasPrefix(one.CurrentState, state) {
				return true
			}
		}
		return false
	})
}

// waitUpdated waits until both replicas run the image.
func waitUpdated(t *testing.T, service, image string) {
	t.Helper()
	until(t, service+" on "+image, func() bool {
		running := 0
		for _, one := range tasks(t, service) {
			if one.Image == image && strings.HasPrefix(one.CurrentState, "Running") {
				running++
			}
		}
		return running == 2
	})
}

// waitGone waits until no container of the image serves.
func waitGone(t *testing.T, service, image string) {
	t.Helper()
	until(t, "the end of "+image, func() bool {
		running := docker(t, "ps", "--filter", "label=com.docker.swarm.service.name="+stack+"_"+service, "--format", "{{.Image}}")
		return !slices.Contains(strings.Fields(running), image)
	})
}

// load asks for a page, two at a time and ten a second at most each, and notes
// what fails.
type load struct {
	sent   atomic.Int64
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	failed []string
}

func startLoad(page string) *load {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	l := &load{cancel: cancel}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 {
		l.done.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				l.ask(ctx, client, page)
			}
		})
	}
	return l
}

func (l *load) ask(ctx context.Context, client *http.Client, page string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		panic(err)
	}
	l.sent.Add(1)
	answer, err := client.Do(request)
	switch {
	case errors.Is(err, context.Canceled): // our own end
	case err != nil:
		l.note(err.Error())
	default:
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			l.note(fmt.Sprint(answer.StatusCode))
		}
	}
}

func (l *load) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, what)
}

func (l *load) stop() {
	l.cancel()
	l.done.Wait()
}

func (l *load) failures() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}
