package secrets

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/guide"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

// script is what make demo-kms runs; it gets the binary under test.
var script = []string{"sh", "devops/local/demo-kms.sh"}

// demo starts the demonstration by a program whose last word is the binary under
// test. Its folders are below the one that is returned.
func demo(t *testing.T, by []string, env ...string) (terminal, string) {
	t.Helper()
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	temp := stage.Folder(t)
	_, port, _ := strings.Cut(stage.FreeAddress(t), ":")
	env = slices.Concat(env, goCaches(t), []string{"TMPDIR=" + temp, "PORT=" + port, "PATH=" + os.Getenv("PATH")})
	c := onTerminal(t, stage.Story{Wrap: by, Dir: repository, Env: env})
	return c, temp
}

// goCaches are those of whoever runs this test: HOME is another here.
func goCaches(t *testing.T) []string {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	must(t, err)
	var env []string
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		env = append(env, names[i]+"="+line)
	}
	return env
}

// wantNothingLeft looks for files and processes of the demo's.
func wantNothingLeft(t *testing.T, temp string) {
	t.Helper()
	left, err := filepath.Glob(temp + "/*")
	must(t, err)
	if len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	for _, p := range processes {
		words, _ := os.ReadFile(p + "/cmdline") // it may have ended
		env, _ := os.ReadFile(p + "/environ")
		if strings.Contains(string(words), temp) || strings.Contains(string(env), temp) {
			t.Errorf("a process is left: %s %q", p, words)
		}
	}
}

// The whole way, told by what the demonstration prints, with the command of the
// page.
func TestDemoKMS(t *testing.T) {
	stage.NeedRoot(t)
	t.Parallel()
	blocks, err := guide.Section(filepath.Join("..", "..", "docs/secrets.md"), "Try it without an account")
	must(t, err)
	c, temp := demo(t, []string{"sh", "-e", "-c", blocks[0].Text}, "DEMO_ONCE=1")
	select {
	case <-c.Done:
	case <-time.After(4 * stage.Patience):
		t.Fatalf("no end\n%s\n%s", c.Stdout, stage.Read(t, c.printed))
	}
	c.WantExit(0)
	out := stage.Read(t, c.printed)
	for _, want := range []string{
		`(?m)^DATABASE_PASSWORD=kms\+base64:AQIC.*\.\.\.$`,
		`(?m)^ciphertext  DATABASE_PASSWORD: ok, current layout, key a, 24 bytes of plaintext$`,
		`(?m)^[0-9a-f]{64} Django$`, `(?m)^[0-9a-f]{64} encrypted$`,
		`(?m)^\{'in_use': True, 'reachable': True`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("it does not show %s\n%s\n%s", want, out, c.Stdout)
		}
	}
	sums := regexp.MustCompile(`(?m)^([0-9a-f]{64}) `).FindAllStringSubmatch(out, -1)
	if len(sums) != 2 || sums[0][1] != sums[1][1] {
		t.Errorf("Django has another password: %v", sums)
	}
	c.wantRestored()
	wantNothingLeft(t, temp)
}

// Ctrl-C ends all of it.
func TestCtrlCEndsTheDemo(t *testing.T) {
	stage.NeedRoot(t)
	t.Parallel()
	c, temp := demo(t, script)
	deadline := time.After(4 * stage.Patience)
	tick := time.NewTicker(100 * time.Millisecond) // a file tells nobody that it grows
	defer tick.Stop()
	for !strings.Contains(stage.Read(t, c.printed), "until Ctrl-C") {
		select {
		case <-tick.C:
		case <-c.Done:
			t.Fatalf("ended too early\n%s\n%s", stage.Read(t, c.printed), c.Stdout)
		case <-deadline:
			t.Fatalf("no site\n%s\n%s", stage.Read(t, c.printed), c.Stdout)
		}
	}
	c.Say("\x03")
	c.WantExit(128 + int(syscall.SIGINT))
	c.wantRestored()
	wantNothingLeft(t, temp)
}
