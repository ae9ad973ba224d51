package broker

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// path leaves out what is not Debian's: another python3 knows no Django.
const path = "PATH=/usr/bin:/bin:/usr/sbin:/sbin"

// component is a copy of src, migrated, with the environment that it runs in.
type component struct {
	t   *testing.T
	dir string
	env []string
}

func newComponent(t *testing.T, broker string) *component {
	t.Helper()
	c := &component{t: t, dir: stage.Component(t), env: []string{path, "DJANGO_SECRET_KEY=k", "CELERY_BROKER_URL=" + broker}}
	c.manage("migrate", "-v0")
	return c
}

// manage runs a command of manage.py and returns what it prints.
func (c *component) manage(words ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), stage.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", append([]string{"manage.py"}, words...)...)
	cmd.Dir = c.dir
	cmd.Env = append([]string{"HOME=" + c.dir, "LANG=C.UTF-8"}, c.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("manage.py %v: %v\n%s", words, err, out)
	}
	return strings.TrimSpace(string(out))
}

// send sends a task: call is Python such as slow.delay(3).
func (c *component) send(call string) {
	c.t.Helper()
	c.manage("shell", "-c", "from app_dir.tasks import *; "+call)
}

// greetings counts the rows of a name.
func (c *component) greetings(name string) string {
	c.t.Helper()
	return c.manage("shell", "-c", "from app_dir.models import Greeting; print(Greeting.objects.filter(name='"+name+"').count())")
}

// start runs a mode of it.
func (c *component) start(mode string, flags ...string) *stage.Running {
	c.t.Helper()
	return stage.Start(c.t, stage.Story{
		Dir: c.dir, Env: append([]string{"APP_RUN_MODE=" + mode}, c.env...),
		Words: append([]string{"run"}, flags...),
	})
}

// workers starts two copies and waits until both take tasks.
func (c *component) workers(flags ...string) *stage.Running {
	c.t.Helper()
	w := c.start("WORKER", append([]string{"-w", "2", "--strategy", "copies"}, flags...)...)
	w.Says(" ready.", 2)
	return w
}

// write replaces a file of it.
func (c *component) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o755); err != nil {
		c.t.Fatal(err)
	}
}
