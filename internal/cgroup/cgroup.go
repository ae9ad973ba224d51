// Package cgroup reads what the container may use and whether the kernel has
// killed anything in it for memory, from cgroup v1, v2 and hosts that mix them
// (cgroups(7), kernel: admin-guide/cgroup-v1, admin-guide/cgroup-v2).
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Limits is what the container may use. Zero is no limit.
type Limits struct {
	CPU    float64 // in CPUs: 1.5 is one and a half
	Memory int64   // in bytes
}

// Group is the cgroup of this process, per controller.
type Group struct {
	root   fs.FS
	cpu    hierarchy
	memory hierarchy
}

// hierarchy is where one controller's files are: the folders from our own up to
// the mount point, none if the controller is not there.
type hierarchy struct {
	version int
	levels  []string
}

// Find locates the cgroup by /proc/self/cgroup and /proc/self/mountinfo. root is
// the root file system, os.DirFS("/"). A controller that is not mounted is no
// error: it has no limits and no counts.
func Find(root fs.FS) (*Group, error) {
	membership, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("cannot find our cgroup: %w", err)
	}
	file, err := root.Open("proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot find our cgroup: %w", err)
	}
	defer file.Close()
	mounts, err := mountinfo.GetMountsFromReader(file, mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("cannot find our cgroup: /proc/self/mountinfo: %w", err)
	}
	paths := parseMembership(string(membership))
	return &Group{
		root:   root,
		cpu:    locate("cpu", paths, mounts),
		memory: locate("memory", paths, mounts),
	}, nil
}

// membership is the content of /proc/self/cgroup: the path in each controller's
// hierarchy. That of v2 has the empty name.
func parseMembership(text string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			paths[controller] = fields[2]
		}
	}
	return paths
}

// locate prefers v1: on a host that mounts both, a controller is bound to one of
// them, and /proc/self/cgroup names it in v1's lines only if it is there.
func locate(controller string, paths map[string]string, mounts []*mountinfo.Info) hierarchy {
	if group, ok := paths[controller]; ok {
		for _, m := range mounts {
			if m.FSType == "cgroup" && slices.Contains(strings.Split(m.VFSOptions, ","), controller) {
				return hierarchy{1, levels(m.Mountpoint, m.Root, group)}
			}
		}
	}
	if group, ok := paths[""]; ok {
		for _, m := range mounts {
			if m.FSType == "cgroup2" {
				return hierarchy{2, levels(m.Mountpoint, m.Root, group)}
			}
		}
	}
	return hierarchy{}
}

// levels lists the folders from our cgroup up to the mount point. Without a
// cgroup namespace a container sees the host's path, of which the mount shows
// the part below its root; a path that the mount does not show (it leads above
// the namespace, or elsewhere) leaves the mount point alone.
func levels(mountpoint, root, group string) []string {
	below, inside := strings.CutPrefix(path.Clean("/"+group), path.Clean("/"+root))
	if strings.Contains(group, "..") || strings.Contains(root, "..") || !inside || (below != "" && below[0] != '/' && root != "/") {
		below = ""
	}
	mountpoint = strings.TrimPrefix(path.Clean("/"+mountpoint), "/")
	if mountpoint == "" {
		mountpoint = "."
	}
	folder := path.Join(mountpoint, below)
	all := []string{folder}
	for folder != mountpoint {
		folder = path.Dir(folder)
		all = append(all, folder)
	}
	return all
}

// Limits returns the smallest limit on the way up from our cgroup: a pod's limit
// binds its containers too. What cannot be read limits nothing.
func (g *Group) Limits() Limits {
	var l Limits
	for _, folder := range g.cpu.levels {
		if cpus, ok := g.cpuLimit(folder); ok && (l.CPU == 0 || cpus < l.CPU) {
			l.CPU = cpus
		}
	}
	name := "memory.max"
	if g.memory.version == 1 {
		name = "memory.limit_in_bytes"
	}
	for _, folder := range g.memory.levels {
		if bytes, ok := parseMemory(g.read(folder, name)); ok && (l.Memory == 0 || bytes < l.Memory) {
			l.Memory = bytes
		}
	}
	return l
}

func (g *Group) cpuLimit(folder string) (cpus float64, ok bool) {
	if g.cpu.version == 2 {
		return parseCPUMax(g.read(folder, "cpu.max"))
	}
	return parseQuota(g.read(folder, "cpu.cfs_quota_us"), g.read(folder, "cpu.cfs_period_us"))
}

func (g *Group) read(folder, name string) string {
	content, err := fs.ReadFile(g.root, path.Join(folder, name))
	if err != nil {
		return ""
	}
	return string(content)
}

// errUncounted: there is no memory controller, or its kernel does not count.
var errUncounted = errors.New("the memory cgroup has no oom_kill counter here")

// OOMKills counts the processes of the container that the kernel has killed for
// memory since its cgroup was made, whoever started them. Compare two readings:
// the number alone may be of an earlier life of the cgroup.
func (g *Group) OOMKills() (uint64, error) {
	if len(g.memory.levels) == 0 {
		return 0, errUncounted
	}
	name := "memory.events"
	if g.memory.version == 1 {
		name = "memory.oom_control" // counts since Linux 4.13
	}
	content, err := fs.ReadFile(g.root, path.Join(g.memory.levels[0], name))
	if err != nil {
		return 0, fmt.Errorf("cannot count kills for memory: %w", err)
	}
	kills, ok := parseOOMKills(string(content))
	if !ok {
		return 0, errUncounted
	}
	return kills, nil
}
