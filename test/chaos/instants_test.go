package chaos

import (
	"io/fs"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

// grace is longer than a machine holds up what dies at once, and so short that
// what hangs is seen; slack is for a busy machine.
const (
	grace = 15 * time.Second
	slack = 10 * time.Second
)

// TestTERMAtAnyInstant: from 10 ms after exec on a TERM ends in 143 (nothing ran
// yet, or the task has died of it) or in the requested stop: never in Go's own 2,
// never later than the grace and a second, and no file is left behind.
func TestTERMAtAnyInstant(t *testing.T) {
	scripts := t.TempDir()
	for _, mode := range []string{"web", "task", "worker", "beat"} {
		stage.Write(t, scripts, "container-"+mode+".sh", "#!/bin/sh\nexec sleep 1000\n", 0o755)
	}
	component := t.TempDir()
	stage.Write(t, component, "manage.py", "import time; time.sleep(1000)\n", 0o644)
	stage.Write(t, component, "container-web.sh", "#!/bin/sh\nexec sleep 1000\n", 0o755)
	for _, test := range []struct {
		name   string
		story  stage.Story
		times  int
		within time.Duration
	}{
		{"WEB", stage.Story{Dir: scripts}, 200, 40 * time.Millisecond},
		{"WEB, three copies on our socket", stage.Story{Dir: scripts, Words: []string{"--strategy", "copies", "--workers", "3", "--bind", "127.0.0.1:0"}}, 40, 40 * time.Millisecond},
		{"TASK", stage.Story{Dir: scripts, Env: []string{"APP_RUN_MODE=TASK", "APP_TASK_LIST=sleep"}}, 200, 40 * time.Millisecond},
		{"WORKER", stage.Story{Dir: scripts, Env: []string{"APP_RUN_MODE=WORKER"}}, 200, 40 * time.Millisecond},
		{"BEAT", stage.Story{Dir: scripts, Env: []string{"APP_RUN_MODE=BEAT"}}, 200, 40 * time.Millisecond},
		{"initialising", stage.Story{Dir: component, Env: []string{"APP_INIT_TASKS=migrate", "DJANGO_DEBUG=True"}}, 40, 80 * time.Millisecond},
		{"waiting", stage.Story{Dir: scripts, Env: []string{"ENTRYPOINT_WAIT_FOR=" + stage.FreeAddress(t)}}, 40, 60 * time.Millisecond},
		{"decrypting", stage.Story{Dir: scripts, Env: hangingKMS(t)}, 40, 150 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.story.Words = append([]string{"run", "--grace", grace.String()}, test.story.Words...)
			codes := map[int]int{}
			for range test.times {
				codes[stopSomewhen(t, test.story, test.within)]++
				if t.Failed() {
					return // one story is enough
				}
			}
			t.Logf("codes: %v", codes)
		})
	}
}

// stopSomewhen sends TERM between 10 ms and within after exec, and returns the
// code.
func stopSomewhen(t *testing.T, story stage.Story, within time.Duration) int {
	t.Helper()
	c := stage.Start(t, story)
	defer c.End()
	c.AnyInstant(within)
	asked := time.Now()
	c.Signal(syscall.SIGTERM)
	c.WantExit(0, 143)
	if took := time.Since(asked); took > grace+time.Second+slack {
		t.Errorf("the stop took %s\n%s", took, c)
	}
	_ = filepath.WalkDir(c.Home, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && (!entry.IsDir() || strings.Contains(entry.Name(), "entrypoint-0-")) {
			t.Errorf("left behind: %s\n%s", path, c)
		}
		return nil
	})
	return c.Code
}

// hangingKMS is an environment with a ciphertext and a KMS that never answers.
func hangingKMS(t *testing.T) []string {
	t.Helper()
	const arn = "arn:aws:kms:eu-west-1:111122223333:key/app"
	kms := &kmstest.Server{Keys: map[string]string{"alias/app": arn}}
	kms.Script(nil, kmstest.Hang)
	server := httptest.NewServer(kms)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return []string{
		"AWS_ENDPOINT_URL_KMS=" + server.URL, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=nobody",
		"AWS_SECRET_ACCESS_KEY=nothing", "AWS_EC2_METADATA_DISABLED=true",
		"SECRET=" + kmstest.Text(kmstest.Current, arn, "a plaintext of some length", 1),
		"ENTRYPOINT_DECRYPT_TIMEOUT=1h",
	}
}
