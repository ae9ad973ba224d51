package reap

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/prometheus/procfs"
)

// Entry is a row of the process table.
type Entry struct {
	PID, Parent, Group int
	State              byte // R, S, D, Z, T ... (proc(5))
	Command            string
	started            uint64
}

// String names the process for the log: pid, command and state.
func (e Entry) String() string {
	return fmt.Sprintf("%d %s (%c)", e.PID, e.Command, e.State)
}

// table reads /proc. It is empty where /proc is missing or shows another pid
// namespace: numbers of another namespace must not be signalled.
func table() []Entry {
	if link, err := os.Readlink("/proc/self"); err != nil || link != strconv.Itoa(os.Getpid()) {
		return nil
	}
	processes, err := procfs.AllProcs()
	if err != nil {
		return nil
	}
	entries := make([]Entry, 0, len(processes))
	for _, p := range processes {
		stat, err := p.Stat()
		if err != nil {
			continue // it ended meanwhile
		}
		entries = append(entries, Entry{
			PID: stat.PID, Parent: stat.PPID, Group: stat.PGRP,
			State: stat.State[0], Command: stat.Comm, started: stat.Starttime,
		})
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		if a.started != b.started {
			return int(int64(a.started) - int64(b.started))
		}
		return a.PID - b.PID
	})
	return entries
}

// members are the processes of a group, oldest first.
func members(group int) []Entry {
	return slices.DeleteFunc(table(), func(e Entry) bool { return e.Group != group })
}

// Members lists the living processes of the group, oldest first.
func (g *Group) Members() []Entry {
	return slices.DeleteFunc(members(g.id), func(e Entry) bool { return e.State == 'Z' })
}
