package e2e

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// process is one row of the namespace's table, numbered as inside.
type process struct {
	pid, parent, group int
	state              string
	command            string // its words, or the name in brackets
}

func (p process) String() string {
	return fmt.Sprintf("%d (of %d, group %d) %s %s", p.pid, p.parent, p.group, p.state, p.command)
}

// processes lists what is alive inside: without the binary itself, and without
// the init beside it. It is empty when the namespace is gone.
func (r *running) processes() []process {
	fs, err := procfs.NewFS(fmt.Sprintf("/proc/%d/root/proc", r.init))
	if err != nil {
		return nil
	}
	all, err := fs.AllProcs()
	if err != nil {
		return nil
	}
	binary := 1
	if r.place == besideInit {
		binary = r.inside(r.pid)
	}
	var list []process
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil || stat.PID == 1 || stat.PID == binary {
			continue // it has ended meanwhile
		}
		words, _ := p.CmdLine()
		command := strings.Join(words, " ")
		if command == "" {
			command = "[" + stat.Comm + "]"
		}
		list = append(list, process{stat.PID, stat.PPID, stat.PGRP, stat.State, command})
	}
	return list
}

// find returns the processes whose command contains the text.
func (r *running) find(text string) []process {
	var found []process
	for _, p := range r.processes() {
		if strings.Contains(p.command, text) {
			found = append(found, p)
		}
	}
	return found
}

// await waits until there are n processes of that command, and returns them.
func (r *running) await(n int, command string) (found []process) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("%d of %q run", n, command), func() bool {
		found = r.find(command)
		return len(found) == n
	})
	return found
}

// eventually polls for what no process announces: the state of the kernel's
// table. The condition decides, the deadline only ends the wait.
func (r *running) eventually(what string, condition func() bool) {
	r.t.Helper()
	pause := 5 * time.Millisecond // then longer: a look costs the machine something
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-time.After(pause):
			pause = min(2*pause, 100*time.Millisecond)
		case <-deadline:
			r.t.Fatalf("waited %s until %s\n%s", patience, what, r)
		}
	}
}

// wantEmpty checks that the binary has left nobody behind. As PID 1 the kernel
// sees to it; what the end of the others was like is told by their own traces.
func (r *running) wantEmpty() {
	r.t.Helper()
	if left := r.processes(); len(left) > 0 {
		r.t.Errorf("left behind: %v\n%s", left, r)
	}
}

// kill signals a process by its number inside.
func (r *running) kill(pid int, s syscall.Signal) {
	r.t.Helper()
	outer, ok := r.outside(pid)
	if !ok {
		r.t.Fatalf("no process %d\n%s", pid, r)
	}
	if err := syscall.Kill(outer, s); err != nil {
		r.t.Fatalf("cannot send %v to %d: %v", s, pid, err)
	}
}

// outside is the machine's number of the namespace's process pid.
func (r *running) outside(pid int) (outer int, ok bool) {
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", r.init))
	if err != nil {
		return 0, false
	}
	spaces, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, path := range spaces {
		outer, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil {
			continue
		}
		if link, err := os.Readlink(path); err == nil && link == space && r.inside(outer) == pid {
			return outer, true
		}
	}
	return 0, false
}

// inside is the number that a process has in its own namespace, 0 if it is
// gone.
func (r *running) inside(outer int) int {
	value := statusOf(outer, "NSpid")
	n, _ := strconv.Atoi(value[strings.LastIndexAny(value, " \t")+1:])
	return n
}

// statusOf reads a field of /proc/PID/status; "" where there is none.
func statusOf(outer int, field string) string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", outer))
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// childOfKeeper is the machine's number of the binary beside another init, 0 if
// it has ended already.
func (r *running) childOfKeeper() int {
	r.t.Helper()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", r.init))
	for _, path := range tasks {
		if pid, err := strconv.Atoi(strings.TrimSpace(read(r.t, path))); err == nil {
			return pid
		}
	}
	return 0 // it has ended already
}

// signalSet reads a mask of /proc/PID/status, such as SigIgn, out of a status
// file's text.
func signalSet(t *testing.T, status, field string) map[syscall.Signal]bool {
	t.Helper()
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, field+":")
		if !ok {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		set := map[syscall.Signal]bool{}
		for n := range syscall.Signal(64) {
			if mask&(1<<n) != 0 {
				set[n+1] = true
			}
		}
		return set
	}
	t.Fatalf("no %s in:\n%s", field, status)
	return nil
}
