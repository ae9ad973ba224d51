//go:build vm

// Package vm plays the stories of cgroup v2 with the built binary on a kernel of
// their own: one boot of Debian's, by qemu, with nothing but busybox around it.
//
//	sh test/vm.sh
//
// A story is played in two places: in a cgroup of the machine's own view, as with
// `--cgroupns host`, and as PID 1 of a container that sees its group as the root.
package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

func TestMain(m *testing.M) { stage.Main(m, 0, nil) }

// patience bounds the machine's whole life, which takes half a minute.
const patience = 4 * time.Minute

// story is what the guest's shell does with a cgroup of its own, $G, and what it
// has to print. $IN puts a command into that group and its place.
type story struct {
	name, script string
	says         []string // regular expressions
	never        []string // and what may not be there
	code         string   // that the script prints at its end
}

// eats is a program that wants more memory than it gets.
const eats = "dd if=/dev/zero of=/dev/null bs=300M count=1"

var stories = []story{
	{
		name: "copies that memory allows", script: `echo 600M >$G/memory.max; $IN /entrypoint plan --workers auto -- sleep 9; echo "code $?"`,
		says: []string{`why +2 \(auto: 600 MB of memory / 256 MB each\)`}, code: "0",
	},
	{
		name: "copies that processors allow", script: `echo max >$G/memory.max; echo "50000 100000" >$G/cpu.max; $IN /entrypoint plan --workers auto -- sleep 9; echo "code $?"`,
		says: []string{`why +3 \(auto: 2 x 1 CPU \+ 1\)`}, code: "0",
	},
	{
		name: "the copy is killed for memory", script: `$IN /entrypoint run --give-up 2/60s --backoff 10ms..10ms -- ` + eats + `; echo "code $?"`,
		says: []string{`warning: command ended: killed for memory \(the container's limit\); it is started again`, `ended: command failed: killed for memory \(the container's limit\) code=137`}, code: "137",
	},
	{
		name: "a child of the copy is", script: `$IN /entrypoint run --give-up 2/60s --backoff 10ms..10ms -- sh -c '` + eats + `; exit 5'; echo "code $?"`,
		says: []string{`a process of the container was killed for memory \(its limit\) while command ran`, `command failed: exit code 5`}, never: []string{"ended: killed for memory"}, code: "5",
	},
	{
		name: "exec", script: `$IN /entrypoint exec -- ` + eats + `; echo "code $?"`, code: "137",
	},
	{ // control: a KILL is not memory
		name: "somebody's kill", script: `$IN /entrypoint run --give-up 2/60s --backoff 10ms..10ms -- sh -c 'kill -9 $$'; echo "code $?"`,
		says: []string{`command failed: killed by KILL`}, never: []string{"memory"}, code: "137",
	},
	{
		name: "the count", script: `$IN /entrypoint run --admin 127.0.0.1:9000 --backoff 10ms..10ms -- sh -c '[ -e /tmp/once ] || { touch /tmp/once; exec ` + eats + `; }; exec sleep 1000' &
while kill -0 $! 2>/dev/null && ! { wget -qO- http://127.0.0.1:9000/metrics >/tmp/metrics 2>/dev/null && grep -q 'copy_restarts_total{reason="oom"} 1' /tmp/metrics; }; do sleep 0.1; done
grep oom /tmp/metrics; rm /tmp/once; killall entrypoint; wait $!; echo "code $?"`,
		says: []string{`entrypoint_oom_kills_total 1\b`, `copy_exits_total\{code="137",reason="oom",signal="KILL"\} 1`}, code: "0",
	},
	{
		name: "more copies than there is room for", script: `echo 24 >$G/pids.max; rm -f /tmp/log; $IN /entrypoint run --workers 60 --backoff 10ms..10ms -- sleep 1000 >/tmp/log 2>&1 &
until [ -e /tmp/log ]; do sleep 0.1; done
while kill -0 $! 2>/dev/null && ! grep -q 'the kernel refuses another process' /tmp/log; do sleep 0.1; done
killall entrypoint; wait $!; echo "code $?"; grep -v 'the kernel refuses' /tmp/log | tail -n 40`,
		says: []string{`ended: stopped as asked`}, code: "0",
	},
}

// places are the values of $IN.
var places = []struct{ name, in string }{
	{"the machine's view", "enter"},
	{"a container's view", "contain"},
}

// guest is the machine's init.
const guest = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
ip link set lo up
mount -t cgroup2 none /sys/fs/cgroup
echo "+memory +cpu +pids" >/sys/fs/cgroup/cgroup.subtree_control
cd /tmp
sh /stories 2>&1
echo "=== over"
poweroff -f
`

// enter and contain become what they are told, in the group $G.
const (
	enter   = "#!/bin/sh\necho $$ >$G/cgroup.procs\nexec \"$@\"\n"
	contain = "#!/bin/sh\necho $$ >$G/cgroup.procs\nexec /usr/bin/unshare --cgroup --mount --pid --fork --mount-proc root \"$@\"\n"
	root    = "#!/bin/sh\numount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"\n"
)

func TestCgroup2(t *testing.T) {
	kernel := os.Getenv("ENTRYPOINT_KERNEL")
	if kernel == "" {
		t.Fatal("cannot test without a kernel: run sh test/vm.sh")
	}
	var script strings.Builder
	for i, place := range places {
		for j, s := range stories {
			fmt.Fprintf(&script, "echo '=== %d %d'\nexport G=/sys/fs/cgroup/g%d-%d IN=%s\nmkdir $G; echo 96M >$G/memory.max\n%s\n", i, j, i, j, place.in, s.script)
		}
	}
	said := boot(t, kernel, initramfs(t, script.String()))
	if !strings.Contains(said, "=== over") {
		t.Fatalf("the machine has not come to its end:\n%s", said)
	}
	for i, place := range places {
		for j, s := range stories {
			t.Run(place.name+"/"+s.name, func(t *testing.T) {
				_, text, found := strings.Cut(said, fmt.Sprintf("=== %d %d\n", i, j))
				text, _, _ = strings.Cut(text, "=== ")
				if !found {
					t.Fatal("it was not played")
				}
				for _, want := range append(s.says, `(?m)^code `+s.code+`$`) {
					if !regexp.MustCompile(want).MatchString(text) {
						t.Errorf("no %s in\n%s", want, text)
					}
				}
				for _, never := range append(s.never, "goroutine ", "fatal error", "panic") {
					if strings.Contains(text, never) {
						t.Errorf("%s in\n%s", never, text)
					}
				}
			})
		}
	}
}

// initramfs packs the guest's files.
func initramfs(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	files := filepath.Join(dir, "files")
	for _, folder := range []string{"bin", "proc", "sys", "dev", "run", "tmp", "usr/bin"} {
		if err := os.MkdirAll(filepath.Join(files, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"init": guest, "stories": script, "bin/enter": enter, "bin/contain": contain, "bin/root": root} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pack := exec.Command("sh", "-euc", `cp "$1" entrypoint; cp /bin/busybox bin
for file in /usr/bin/unshare $(ldd /usr/bin/unshare | grep -o '/[^ ]*'); do mkdir -p ".${file%/*}"; cp -L "$file" ".$file"; done
find . | cpio --quiet -o -H newc | gzip -1 >../initramfs`, "sh", stage.Binary)
	pack.Dir = files
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "initramfs")
}

// boot runs the machine to its end and returns what its console said.
func boot(t *testing.T, kernel, initramfs string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	machine := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg,thread=multi", // where we run is often a machine in a machine
		"-m", "1024", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none",
		"-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet loglevel=1 panic=-1 cgroup_no_v1=all")
	out, err := machine.CombinedOutput()
	if err != nil {
		t.Fatalf("qemu: %v\n%s", err, out)
	}
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}
