//go:build engine

package docker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait: a test that needs it has failed.
const patience = 3 * time.Minute

// outcome is how a command ended.
type outcome struct {
	code           int
	stdout, stderr string
}

func (o outcome) String() string {
	return fmt.Sprintf("code %d\nstdout: %s\nstderr: %s", o.code, o.stdout, o.stderr)
}

// command runs a program to its end in the copy of the checkout.
func command(t *testing.T, name string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = checkout
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s %s did not end\n%s%s", name, strings.Join(args, " "), &stdout, &stderr)
	case err != nil && !errors.As(err, &ended):
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// docker runs a docker command that has to succeed and returns what it prints.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	o := command(t, "docker", args...)
	if o.code != 0 {
		t.Fatalf("docker %s: %v", strings.Join(args, " "), o)
	}
	return strings.TrimSpace(o.stdout)
}

// run is `docker run` to its end: args are options, image and words.
func run(t *testing.T, args ...string) outcome {
	t.Helper()
	return command(t, "docker", append([]string{"run", "--rm", "--label", label + "=1"}, args...)...)
}

// container is one that runs in the background.
type container struct {
	t       *testing.T
	id      string
	started string // the engine's clock, for the events since
}

// start is `docker run --detach`; the container is removed with the test, and
// its log is shown if the test failed.
func start(t *testing.T, args ...string) container {
	t.Helper()
	// One second back: the engine cuts a moment to whole seconds.
	c := container{t: t, started: strconv.FormatInt(time.Now().Unix()-1, 10)}
	c.id = docker(t, append([]string{"run", "--detach", "--label", label + "=1"}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("docker", "logs", c.id).CombinedOutput()
			t.Logf("log of %.12s:\n%s", c.id, out)
		}
		_ = exec.Command("docker", "rm", "--force", "--volumes", c.id).Run()
	})
	return c
}

// waitLog waits for a line of the log that holds text and returns it.
func (c container) waitLog(text string) string {
	c.t.Helper()
	return c.waitLine("a log line with "+text, func(line string) bool { return strings.Contains(line, text) }, "logs", "--follow", c.id)
}

// waitHealth waits until the engine has said that the container is "healthy" or
// "unhealthy".
func (c container) waitHealth(state string) {
	c.t.Helper()
	c.waitLine("the health "+state, func(line string) bool { return strings.HasSuffix(line, " "+state) },
		"events", "--since", c.started, "--filter", "container="+c.id, "--filter", "event=health_status", "--format", "{{.Status}}")
}

// waitHealthAgain waits until the engine says so after the container was in
// another state: only the last of its events counts.
func (c container) waitHealthAgain(state string) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for docker(c.t, "inspect", "--format", "{{.State.Health.Status}}", c.id) != state {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited in vain for the health %s", state)
		}
	}
}

// waitLine follows a docker command until it prints the line that is wanted.
func (c container) waitLine(what string, wanted func(string) bool, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", args...)
	read, written := io.Pipe()
	cmd.Stdout, cmd.Stderr = written, written
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { written.CloseWithError(cmd.Wait()) }()
	defer read.Close()
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if wanted(lines.Text()) {
			return lines.Text()
		}
	}
	c.t.Fatalf("waited in vain for %s (%v)", what, lines.Err())
	return ""
}

// stop is `docker stop`, with the engine's own patience of ten seconds, and
// returns the container's code: 137 if the engine or we had to kill.
func (c container) stop() int {
	c.t.Helper()
	docker(c.t, "stop", c.id)
	return c.wait()
}

// wait returns the code of the container when it has ended.
func (c container) wait() int {
	c.t.Helper()
	code, err := strconv.Atoi(docker(c.t, "wait", c.id))
	if err != nil {
		c.t.Fatal(err)
	}
	return code
}

// log is everything it has said so far.
func (c container) log() string {
	c.t.Helper()
	o := command(c.t, "docker", "logs", c.id)
	return o.stdout + o.stderr
}

// exec is `docker exec`.
func (c container) exec(args ...string) outcome {
	c.t.Helper()
	return command(c.t, "docker", append([]string{"exec", c.id}, args...)...)
}

// url is where the container's port 8000, published with -p 127.0.0.1::8000, is
// reached from here.
func (c container) url(path string) string {
	c.t.Helper()
	return "http://" + docker(c.t, "port", c.id, "8000/tcp") + path
}

// get asks for a page once and returns its status and body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}
