package secrets

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demo starts make demo-kms's script with the binary under test. Its folders are
// below the one that is returned.
func demo(t *testing.T, env ...string) (terminal, string) {
	t.Helper()
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	temp := shortFolder(t)
	_, port, _ := strings.Cut(freeAddress(t), ":")
	env = join(env, goCaches(t), []string{"TMPDIR=" + temp, "PORT=" + port, "PATH=" + os.Getenv("PATH")})
	c := onTerminal(t, given{wrap: []string{"sh", "devops/local/demo-kms.sh"}, dir: repository, env: env})
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

// The whole way, told by what the demonstration prints.
func TestDemoKMS(t *testing.T) {
	needRoot(t)
	t.Parallel()
	c, temp := demo(t, "DEMO_ONCE=1")
	select {
	case <-c.done:
	case <-time.After(4 * patience):
		t.Fatalf("no end\n%s\n%s", c.screen, read(t, c.printed))
	}
	c.wantExit(0)
	out := read(t, c.printed)
	for _, want := range []string{
		`(?m)^DATABASE_PASSWORD=kms\+base64:AQIC.*\.\.\.$`,
		`(?m)^ciphertext  DATABASE_PASSWORD: ok, current layout, key a, 24 bytes of plaintext$`,
		`(?m)^[0-9a-f]{64} Django$`, `(?m)^[0-9a-f]{64} encrypted$`,
		`(?m)^\{'in_use': True, 'reachable': True`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("it does not show %s\n%s\n%s", want, out, c.screen)
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
	needRoot(t)
	t.Parallel()
	c, temp := demo(t)
	deadline := time.After(4 * patience)
	tick := time.NewTicker(100 * time.Millisecond) // a file tells nobody that it grows
	defer tick.Stop()
	for !strings.Contains(read(t, c.printed), "until Ctrl-C") {
		select {
		case <-tick.C:
		case <-c.done:
			t.Fatalf("ended too early\n%s\n%s", read(t, c.printed), c.screen)
		case <-deadline:
			t.Fatalf("no site\n%s\n%s", read(t, c.printed), c.screen)
		}
	}
	_, err := c.master.WriteString("\x03")
	must(t, err)
	c.wantExit(128 + int(syscall.SIGINT))
	c.wantRestored()
	wantNothingLeft(t, temp)
}
