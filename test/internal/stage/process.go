package stage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one row of the namespace's table.
type Process struct {
	PID     int // as the machine numbers it
	Inside  int // as the namespace does
	Parent  int // inside; 0 where it is not known
	State   string
	Command string // its words; a zombie has none
}

func (p Process) String() string {
	return fmt.Sprintf("%d (machine: %d, of %d) %s %s", p.Inside, p.PID, p.Parent, p.State, p.Command)
}

// Kill signals it; one that has just ended is no error.
func (p Process) Kill(s syscall.Signal) { _ = syscall.Kill(p.PID, s) }

// StatusOf reads /proc/PID/status, by field; it is empty where there is none.
func StatusOf(pid int) map[string]string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// Processes lists what is in the namespace, zombies included, but for the binary
// and the init beside it, by their numbers inside.
func (r *Running) Processes() []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil || r.space == "" {
		return nil
	}
	inside := map[int]int{} // numbers of the machine to those inside
	var list []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// Of a zombie the link may be gone, but not the numbers.
		space, _ := os.Readlink("/proc/" + entry.Name() + "/ns/pid")
		if space != "" && space != r.space {
			continue
		}
		status := StatusOf(pid)
		numbers, state := strings.Fields(status["NSpid"]), status["State"]
		if len(numbers) == 0 || state == "" || space == "" && (state[:1] != "Z" || len(numbers) < 2) {
			continue
		}
		p := Process{PID: pid, State: state[:1]}
		p.Parent, _ = strconv.Atoi(status["PPid"])
		p.Inside, _ = strconv.Atoi(numbers[len(numbers)-1])
		inside[pid] = p.Inside
		words, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		p.Command = strings.TrimSpace(strings.ReplaceAll(string(words), "\x00", " "))
		if pid != r.PID && p.Inside != 1 {
			list = append(list, p)
		}
	}
	// A zombie belongs here if its parent does.
	known := list[:0]
	for _, p := range list {
		parent, ours := inside[p.Parent]
		if p.State == "Z" && !ours {
			continue
		}
		p.Parent = parent
		known = append(known, p)
	}
	slices.SortFunc(known, func(a, b Process) int { return a.Inside - b.Inside })
	return known
}

// Find returns the processes whose words contain the text.
func (r *Running) Find(text string) []Process {
	var found []Process
	for _, p := range r.Processes() {
		if strings.Contains(p.Command, text) {
			found = append(found, p)
		}
	}
	return found
}

// Await waits until there are n processes of that command, and returns them.
func (r *Running) Await(n int, command string) (found []Process) {
	r.t.Helper()
	r.Until(fmt.Sprintf("%d of %q run", n, command), func() bool {
		found = r.Find(command)
		return len(found) == n
	})
	return found
}

// Kill signals the process that has this number inside.
func (r *Running) Kill(inside int, s syscall.Signal) {
	r.t.Helper()
	all := r.Processes()
	i := slices.IndexFunc(all, func(p Process) bool { return p.Inside == inside })
	if i < 0 {
		r.t.Fatalf("no process %d\n%s", inside, r)
	}
	all[i].Kill(s)
}

// WantEmpty checks that the binary has left nobody behind. As PID 1 the kernel
// sees to it; what the end of the others was like is told by their own traces.
func (r *Running) WantEmpty() {
	r.t.Helper()
	if left := r.Processes(); len(left) > 0 {
		r.t.Errorf("left behind: %v\n%s", left, r)
	}
}

// Descriptors counts the open files of the binary.
func (r *Running) Descriptors() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.PID))
	return len(entries)
}

// Children are those of the binary, as the machine numbers them.
func (r *Running) Children() []int { return children(r.PID) }

func children(pid int) (pids []int) {
	for _, field := range strings.Fields(threads(pid, "children")) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// onProcessor is the time that the binary's threads have had.
func (r *Running) onProcessor() (ran time.Duration) {
	for line := range strings.Lines(threads(r.PID, "schedstat")) {
		var ns int64
		_, _ = fmt.Sscan(line, &ns)
		ran += time.Duration(ns)
	}
	return ran
}

// threads is the text of a file of each of a process' threads.
func threads(pid int, file string) string {
	var b strings.Builder
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/%s", pid, file))
	for _, path := range paths {
		text, _ := os.ReadFile(path) // it may have ended
		b.Write(text)
	}
	return b.String()
}
