//go:build engine

package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every sample of an environment keeps the contract as it stands.
func TestEnvironmentSamples(t *testing.T) {
	t.Parallel()
	for _, sample := range []string{
		"devops/docker/app.env.sample",
		"devops/docker-local/local-docker-compose.env.sample",
		"devops/docker-local/local-classic.env.example",
	} {
		if o := run(t, "--env-file", filepath.Join(checkout, sample), image, "check", "--offline"); o.code != 0 {
			t.Errorf("%s: %v", sample, o)
		}
	}
}

// An environment that Docker hands on as it stands in the file.
func TestBadEnvironment(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 50)
	for _, c := range []struct {
		name    string
		lines   []string
		code    int
		says    string // in what it says
		secrets string // nowhere in it
	}{
		{"no key without debugging", []string{"DJANGO_DEBUG=False"}, 78, "DJANGO_SECRET_KEY", ""},
		{"nothing at all", nil, 78, "DJANGO_SECRET_KEY", ""},
		{"quotes, which Docker keeps", []string{`DJANGO_DEBUG="True"`}, 78, "DJANGO_DEBUG", ""},
		{"Windows line ends, which Docker drops", []string{"DJANGO_DEBUG=True\r", "APP_RUN_MODE=TASK\r", "APP_TASK_LIST=check\r"}, 0, "no issues", ""},
		{"a service link of Kubernetes", []string{
			"DJANGO_DEBUG=True", "RABBITMQ_HOST=rabbitmq", "RABBITMQ_PORT=tcp://10.0.0.1:5672", "RABBITMQ_USERNAME=app", "RABBITMQ_PASSWORD=r4bbit",
		}, 78, "enableServiceLinks", "r4bbit"},
		{"half a database", []string{"DJANGO_SECRET_KEY=" + key, "DATABASE_HOST=database", "DATABASE_USERNAME=app"}, 78, "DATABASE_PASSWORD", key},
		{"bananas", []string{"DJANGO_DEBUG=True", "APP_WORKER_COUNT=banana"}, 78, "APP_WORKER_COUNT", "banana"},
	} {
		file := filepath.Join(t.TempDir(), "file.env")
		if err := os.WriteFile(file, []byte(strings.Join(c.lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := run(t, "--env-file", file, image)
		if said := o.stdout + o.stderr; o.code != c.code || !strings.Contains(said, c.says) || strings.Contains(said, "Traceback") || strings.Contains(said, "goroutine") {
			t.Errorf("%s: wanted code %d and %q, got %v", c.name, c.code, c.says, o)
		} else if c.secrets != "" && strings.Contains(said, c.secrets) {
			t.Errorf("%s: it tells the value: %v", c.name, o)
		}
	}
}

// The build job, dry and in earnest.
func TestBuildJob(t *testing.T) {
	t.Parallel()
	job := func(env []string, args ...string) outcome {
		cmd := exec.Command("devops/codeontap/buildPython.sh", args...)
		cmd.Dir, cmd.Env = checkout, append(os.Environ(), env...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	}
	dry := job([]string{"PRODUCT=shop", "GIT_COMMIT=abc123", "DOCKER_REGISTRY=registry.example.org", "DEPLOYMENT_UNITS=www api"}, "--dry-run")
	if dry.code != 0 {
		t.Fatal(dry)
	}
	for _, line := range []string{
		"+ docker build --build-arg VERSION=abc123 --build-arg REVISION=abc123 --tag registry.example.org/shop/www-abc123 .",
		"+ docker tag registry.example.org/shop/www-abc123 registry.example.org/shop/api-abc123",
		"+ docker push registry.example.org/shop/api-abc123",
	} {
		if !strings.Contains(dry.stdout, line+"\n") {
			t.Errorf("it does not say %q: %v", line, dry)
		}
	}
	if o := command(t, "docker", "image", "inspect", "registry.example.org/shop/www-abc123"); o.code == 0 {
		t.Error("the dry run made an image")
	}
	for _, c := range []struct {
		env  []string
		args []string
		says string
	}{
		{[]string{"PRODUCT="}, nil, "PRODUCT"},
		{[]string{"PRODUCT=shop", "GIT_COMMIT=abc123", "ENVIRONMENT_FILE=missing.env"}, nil, "missing.env"},
		{[]string{"PRODUCT=shop", "GIT_COMMIT="}, nil, "GIT_COMMIT"}, // the copy has no history
		{[]string{"PRODUCT=shop"}, []string{"--wet-run"}, "--wet-run"},
	} {
		if o := job(c.env, c.args...); o.code == 0 || !strings.Contains(o.stderr, c.says) || strings.Count(o.stderr, "\n") != 1 {
			t.Errorf("%q %q: %v", c.env, c.args, o)
		}
	}

	// In earnest: the same Dockerfile, so the builder has all but the version;
	// the component's tests run in the image.
	o := job([]string{"PRODUCT=entrypoint-test", "GIT_COMMIT=1.2.3", "DEPLOYMENT_UNITS=www api"})
	t.Cleanup(func() {
		_ = exec.Command("docker", "rmi", "entrypoint-test/www-1.2.3", "entrypoint-test/api-1.2.3").Run()
	})
	if o.code != 0 {
		t.Fatal(o)
	}
	if !strings.Contains(o.stderr, "OK") {
		t.Errorf("the component's tests did not run: %v", o)
	}
	docker(t, "image", "inspect", "entrypoint-test/www-1.2.3", "entrypoint-test/api-1.2.3")
}

// AWS' own description of the API finds no fault in the sample; a field that it
// does not know it does.
func TestECSTaskDefinition(t *testing.T) {
	t.Parallel()
	const validate = `
import json, sys
import botocore.session
from botocore.validate import ParamValidator
text = open('/sample.json').read().replace(*sys.argv[1:3]) if sys.argv[1:] else open('/sample.json').read()
model = botocore.session.get_session().get_service_model('ecs')
report = ParamValidator().validate(json.loads(text), model.operation_model('RegisterTaskDefinition').input_shape)
sys.exit(report.generate_report() if report.has_errors() else 0)
`
	// By bind mount: the file's folder is readable by the container's user.
	sample := filepath.Join(t.TempDir(), "sample.json")
	content, err := os.ReadFile(filepath.Join(checkout, "devops/codeontap/ecs-task-definition.json"))
	if err == nil {
		err = os.WriteFile(sample, content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	ask := func(replace ...string) outcome {
		return run(t, append([]string{"-v", sample + ":/sample.json:ro", image, "python3", "-c", validate}, replace...)...)
	}
	if o := ask(); o.code != 0 {
		t.Errorf("the sample: %v", o)
	}
	if o := ask("stopTimeout", "stopTimeOut"); o.code == 0 {
		t.Error("a misspelt field is taken")
	}
	for _, wanted := range []string{`"stopTimeout": 30`, `"command": ["CMD", "entrypoint", "health"]`, `{"name": "ENTRYPOINT_DECRYPT_FAILURE", "value": "exit"}`} {
		if !strings.Contains(string(content), wanted) {
			t.Errorf("the sample has no %s", wanted)
		}
	}
}

// A copy that the kernel kills for memory is told apart from any other death.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	// Without the image's own first task: nothing here is Django's.
	o := run(t, "--memory", "64m", "--memory-swap", "64m", "-e", "APP_INIT_TASKS=", image,
		"run", "--restart", "never", "--", "python3", "-c", "held = [bytes(1 << 20) + b'1' for _ in range(1000)]")
	if o.code != 137 {
		t.Error(o)
	}
	wantQuote(t, troubleshooting, "memory", o.stderr)
}

// So it is of a worker that is started again: status and the metric say why it
// died.
func TestAWorkerOutOfMemory(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "container-worker.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec python3 -c 'held = [bytes(1 << 20) + b\"1\" for _ in range(1000)]'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := start(t, "--memory", "64m", "--memory-swap", "64m", "-e", debug, "-e", "APP_INIT_TASKS=", "-e", "APP_RUN_MODE=WORKER",
		"-e", "ENTRYPOINT_BACKOFF=1h..1h", "-v", script+":/app/src/container-worker.sh:ro", image)
	c.waitStatus("the death for memory", func(s status) bool {
		return s.Copies[0].LastExit != nil && s.Copies[0].LastExit.Reason == "oom"
	})
	c.waitLog("killed for memory (the container's limit); it is started again")
}
