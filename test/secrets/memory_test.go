package secrets

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

// snoop is another process of a user's, as a hole in the application would be.
// It reports whether it could open what the kernel shows of a process.
func snoop(t *testing.T, user uint32, wrap []string, pid, file string) bool {
	t.Helper()
	path := "/proc/" + pid + "/" + file
	words := append(wrap[:len(wrap):len(wrap)], "sh", "-c", `head -c 1 <"$0" >/dev/null || : ; exec 3<"$0"`, path)
	c := exec.Command(words[0], words[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if out, err := c.CombinedOutput(); err != nil {
		if !strings.Contains(string(out), "ermission denied") {
			t.Fatalf("cannot snoop: %v %s", err, out)
		}
		return false
	}
	return true
}

// asInDocker is root without the capabilities that look into other processes and
// that Docker's containers do not have; since Linux 6.15 CAP_PERFMON is one.
var asInDocker = []string{"setpriv", "--bounding-set", "-sys_ptrace,-perfmon,-sys_admin", "--inh-caps", "-sys_ptrace,-perfmon,-sys_admin"}

// Once it holds secrets, nobody of its own user can read the supervisor's memory
// or environment; the application is as open as it always was, and can be started
// again. With nothing decrypted it is the control: all of it can be read.
func TestTheSupervisorsMemoryIsClosed(t *testing.T) {
	stage.NeedRoot(t)
	yama := strings.TrimSpace(stage.Read(t, "/proc/sys/kernel/yama/ptrace_scope"))
	for name, who := range map[string]struct {
		user uint32
		wrap []string
	}{"a user": {nobody, nil}, "root in a container": {0, asInDocker}} {
		for _, verb := range []string{"run", "exec"} {
			t.Run(name+" "+verb, func(t *testing.T) {
				k := newKMS(t)
				for _, encrypted := range []bool{true, false} {
					env := append(k.env, "SECRET=plain")
					if encrypted {
						env = append(k.env, "SECRET="+seal("open sesame"))
					}
					home := stage.Folder(t)
					r := start(t, stage.Story{Home: home, User: who.user, Wrap: who.wrap, Env: env, Words: []string{verb, "--", "sh", "-c", `echo "app $$ up with ${#SECRET}"; exec sleep 600`}})
					r.Says(" up with ", 1)
					pid, app := fmt.Sprint(r.PID), strings.Fields(r.Stdout.String())[1]
					files := []string{"environ", "maps", "mem"}
					for _, file := range files {
						if file == "mem" && yama != "" && yama != "0" && !encrypted {
							continue // Yama closes it to all but parents (ptrace_scope)
						}
						if got := snoop(t, who.user, who.wrap, pid, file); got == encrypted {
							t.Errorf("holding secrets: %v; its %s can be opened: %v", encrypted, file, got)
						}
					}
					if !snoop(t, who.user, who.wrap, app, "environ") {
						t.Error("the application's environment is closed, which it never was")
					}
					if verb == "run" {
						run(t, stage.Story{Home: home, User: who.user, Wrap: who.wrap, Words: []string{"restart"}}).WantExit(0)
						if got := strings.Count(r.Stdout.String(), " up with "); got != 2 {
							t.Errorf("%d starts after a restart\n%s", got, r)
						}
					}
					r.Signal(syscall.SIGTERM)
					r.Exit()
				}
			})
		}
	}
}

// The child that talks to KMS holds the plaintext too.
func TestTheDecryptingChildsMemoryIsClosed(t *testing.T) {
	stage.NeedRoot(t)
	k := newKMS(t)
	k.Script(nil, kmstest.Hang)
	r := start(t, stage.Story{User: nobody, Env: append(k.env, "SECRET="+seal("x")), Words: []string{"exec", "true"}})
	r.Says("still decrypting", 1)
	children := r.Children()
	if len(children) != 1 {
		t.Fatalf("children: %v", children)
	}
	for _, pid := range []int{r.PID, children[0]} {
		if snoop(t, nobody, nil, fmt.Sprint(pid), "environ") {
			t.Errorf("process %d can be read", pid)
		}
	}
	r.Signal(syscall.SIGTERM)
	r.WantExit(143)
}
