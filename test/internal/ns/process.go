package ns

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Process is one row of the namespace's table.
type Process struct {
	PID     int // as the machine numbers it
	Inside  int // as the namespace does
	Parent  int // inside; 0 where it is not known
	State   string
	Command string // its words
}

func (p Process) String() string {
	return fmt.Sprintf("%d (machine: %d, of %d) %s %s", p.Inside, p.PID, p.Parent, p.State, p.Command)
}

// Kill signals it; one that has just ended is no error.
func (p Process) Kill(s syscall.Signal) { _ = syscall.Kill(p.PID, s) }

// Processes lists what there is beside PID 1, zombies included.
func (c *Container) Processes() []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil || c.space == "" {
		return nil
	}
	inside := map[int]int{} // numbers of the machine to those inside
	var list []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		folder := "/proc/" + entry.Name()
		// Of a zombie the link may be gone, but not the numbers.
		space, _ := os.Readlink(folder + "/ns/pid")
		if space != "" && space != c.space {
			continue
		}
		status, err := os.ReadFile(folder + "/status")
		if err != nil {
			continue
		}
		p := Process{PID: pid}
		var numbers []string
		for line := range strings.Lines(string(status)) {
			switch name, value, _ := strings.Cut(line, ":"); name {
			case "State":
				p.State = strings.Fields(value)[0]
			case "PPid":
				p.Parent, _ = strconv.Atoi(strings.TrimSpace(value))
			case "NSpid":
				numbers = strings.Fields(value)
			}
		}
		if space == "" && (p.State != "Z" || len(numbers) < 2) {
			continue
		}
		p.Inside, _ = strconv.Atoi(numbers[len(numbers)-1])
		inside[pid] = p.Inside
		words, _ := os.ReadFile(folder + "/cmdline")
		p.Command = strings.TrimSpace(strings.ReplaceAll(string(words), "\x00", " "))
		if pid != c.PID {
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
	return known
}

// Find returns the processes whose words contain the text, zombies excluded:
// they have none.
func (c *Container) Find(text string) []Process {
	var found []Process
	for _, p := range c.Processes() {
		if strings.Contains(p.Command, text) {
			found = append(found, p)
		}
	}
	return found
}

// Descriptors counts the open files of PID 1.
func (c *Container) Descriptors() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.PID))
	return len(entries)
}
