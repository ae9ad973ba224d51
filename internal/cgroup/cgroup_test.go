package cgroup

import (
	"io/fs"
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// machine is a root file system with these files.
func machine(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, content := range files {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

const (
	v2Mount     = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	hybridMount = "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n" +
		"34 31 0:31 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	hybridMembership = "4:memory:/box/7\n2:cpuacct:/\n1:cpu:/\n0::/\n"
)

func TestLimitsAndKills(t *testing.T) {
	for _, story := range []struct {
		name  string
		files map[string]string
		want  Limits
		kills uint64
		none  bool // the kills are not counted there
	}{
		{
			name: "docker on v2 with a cgroup namespace",
			files: map[string]string{
				"proc/self/cgroup":            "0::/\n",
				"proc/self/mountinfo":         v2Mount,
				"sys/fs/cgroup/cpu.max":       "150000 100000\n",
				"sys/fs/cgroup/memory.max":    "536870912\n",
				"sys/fs/cgroup/memory.events": "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n",
			},
			want:  Limits{CPU: 1.5, Memory: 512 << 20},
			kills: 2,
		},
		{
			name: "v2 without limits",
			files: map[string]string{
				"proc/self/cgroup":            "0::/\n",
				"proc/self/mountinfo":         v2Mount,
				"sys/fs/cgroup/cpu.max":       "max 100000\n",
				"sys/fs/cgroup/memory.max":    "max\n",
				"sys/fs/cgroup/memory.events": "oom_kill 0\n",
			},
		},
		{
			name: "a pod's limits bind a container without its own",
			files: map[string]string{
				"proc/self/cgroup":                              "0::/kubepods/pod7/web\n",
				"proc/self/mountinfo":                           v2Mount,
				"sys/fs/cgroup/kubepods/pod7/web/cpu.max":       "max 100000\n",
				"sys/fs/cgroup/kubepods/pod7/web/memory.max":    "1073741824\n",
				"sys/fs/cgroup/kubepods/pod7/web/memory.events": "oom_kill 1\n",
				"sys/fs/cgroup/kubepods/pod7/cpu.max":           "50000 100000\n",
				"sys/fs/cgroup/kubepods/pod7/memory.max":        "268435456\n",
				"sys/fs/cgroup/kubepods/pod7/memory.events":     "oom_kill 5\n",
				"sys/fs/cgroup/kubepods/cpu.max":                "400000 100000\n",
				"sys/fs/cgroup/kubepods/memory.max":             "max\n",
			},
			want:  Limits{CPU: 0.5, Memory: 256 << 20},
			kills: 1, // ours, not those of the pod's other containers
		},
		{
			name: "docker on v1: the host's path, of which the mount shows the end",
			files: map[string]string{
				"proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n",
				"proc/self/mountinfo": "734 733 0:26 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n" +
					"735 733 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
				"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":  "200000\n",
				"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes":  "134217728\n",
				"sys/fs/cgroup/memory/memory.oom_control":     "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
			},
			want:  Limits{CPU: 2, Memory: 128 << 20},
			kills: 4,
		},
		{
			name: "v1 without limits says so with a huge number",
			files: map[string]string{
				"proc/self/cgroup":                                 hybridMembership,
				"proc/self/mountinfo":                              hybridMount,
				"sys/fs/cgroup/cpu/cpu.cfs_quota_us":               "-1\n",
				"sys/fs/cgroup/cpu/cpu.cfs_period_us":              "100000\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes":       "9223372036854771712\n",
				"sys/fs/cgroup/memory/box/7/memory.limit_in_bytes": "9223372036854771712\n",
				"sys/fs/cgroup/memory/box/7/memory.oom_control":    "oom_kill 0\n",
			},
		},
		{
			name: "a host that mounts both: v1 has the controllers",
			files: map[string]string{
				"proc/self/cgroup":                                 hybridMembership,
				"proc/self/mountinfo":                              hybridMount,
				"sys/fs/cgroup/unified/memory.max":                 "1\n", // not ours
				"sys/fs/cgroup/memory/box/memory.limit_in_bytes":   "67108864\n",
				"sys/fs/cgroup/memory/box/7/memory.limit_in_bytes": "9223372036854771712\n",
				"sys/fs/cgroup/memory/box/7/memory.oom_control":    "oom_kill 3\n",
				"sys/fs/cgroup/memory/memory.oom_control":          "oom_kill 9\n",
			},
			want:  Limits{Memory: 64 << 20},
			kills: 3,
		},
		{
			name: "a host that mounts both: v2 has the memory controller",
			files: map[string]string{
				"proc/self/cgroup":                    "1:name=systemd:/x\n0::/x\n",
				"proc/self/mountinfo":                 "30 1 0:1 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n" + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
				"sys/fs/cgroup/unified/x/memory.max":  "1048576\n",
				"sys/fs/cgroup/unified/x/cpu.max":     "100000 100000\n",
				"sys/fs/cgroup/unified/memory.events": "oom_kill 9\n",
			},
			want: Limits{CPU: 1, Memory: 1 << 20},
			none: true, // memory.events of x does not exist; that of its parent is not asked
		},
		{
			name: "a process that was moved above its namespace",
			files: map[string]string{
				"proc/self/cgroup":            "0::/../other\n",
				"proc/self/mountinfo":         v2Mount,
				"sys/fs/cgroup/memory.max":    "4096\n",
				"sys/fs/cgroup/memory.events": "oom_kill 1\n",
			},
			want:  Limits{Memory: 4096},
			kills: 1,
		},
		{
			name: "a similar name is not the same cgroup",
			files: map[string]string{
				"proc/self/cgroup":         "0::/docker/abcdef\n",
				"proc/self/mountinfo":      "31 23 0:28 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
				"sys/fs/cgroup/memory.max": "8192\n",
				"sys/fs/cgroup/cpu.max":    "garbage\n",
			},
			want: Limits{Memory: 8192},
			none: true,
		},
		{
			name: "no cgroup file system",
			files: map[string]string{
				"proc/self/cgroup":    "0::/\n",
				"proc/self/mountinfo": "1 0 0:1 / / rw - overlay overlay rw\n",
			},
			none: true,
		},
	} {
		t.Run(story.name, func(t *testing.T) {
			g, err := Find(machine(story.files))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(story.want, g.Limits()); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
			kills, err := g.OOMKills()
			if (err != nil) != story.none {
				t.Errorf("error of OOMKills: %v", err)
			}
			if kills != story.kills {
				t.Errorf("kills: %d, want %d", kills, story.kills)
			}
		})
	}
}

func TestKillsAreReadAnew(t *testing.T) {
	files := fstest.MapFS{
		"proc/self/cgroup":            {Data: []byte("0::/\n")},
		"proc/self/mountinfo":         {Data: []byte(v2Mount)},
		"sys/fs/cgroup/memory.events": {Data: []byte("oom_kill 0\n")},
	}
	g, err := Find(files)
	if err != nil {
		t.Fatal(err)
	}
	before, err := g.OOMKills()
	if err != nil {
		t.Fatal(err)
	}
	files["sys/fs/cgroup/memory.events"] = &fstest.MapFile{Data: []byte("oom_kill 1\n")}
	if after, err := g.OOMKills(); err != nil || after != before+1 {
		t.Errorf("after a kill: %d, %v; before: %d", after, err, before)
	}
}

func TestNoProc(t *testing.T) {
	if _, err := Find(fstest.MapFS{}); err == nil {
		t.Error("a root without /proc was taken")
	}
}

// The machine that runs the tests has some cgroup or none, but a /proc.
func TestThisMachine(t *testing.T) {
	g, err := Find(os.DirFS("/"))
	if err != nil {
		t.Fatal(err)
	}
	if l := g.Limits(); l.CPU < 0 || l.Memory < 0 {
		t.Errorf("limits: %+v", l)
	}
	if len(g.memory.levels) > 0 {
		if _, err := fs.Stat(os.DirFS("/"), g.memory.levels[0]); err != nil {
			t.Errorf("our memory cgroup is not where it was found: %v", err)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("0::/\n", v2Mount)
	f.Add(hybridMembership, hybridMount)
	f.Add("0::/../other\n", v2Mount)
	f.Add("4:memory:/a:b\n::\n:::\n", "31 23 0:28 / / rw - cgroup2 cgroup2 rw\n")
	f.Add("0::relative/../..\n", "31 23 0:28 /.. /sys\\040fs rw - cgroup2 cgroup2 rw\n")
	f.Fuzz(func(t *testing.T, membership, mounts string) {
		g, err := Find(machine(map[string]string{"proc/self/cgroup": membership, "proc/self/mountinfo": mounts}))
		if err != nil {
			return
		}
		g.Limits()
		for _, h := range []hierarchy{g.cpu, g.memory} {
			for _, folder := range h.levels {
				if folder == "" || folder[0] == '/' || len(folder) >= 3 && folder[:3] == "../" {
					t.Fatalf("%q is no folder below the root", folder)
				}
			}
		}
	})
}

func FuzzValues(f *testing.F) {
	for _, seed := range []string{
		"", "max", "max 100000", "-1", "0", "0 0", "1 0", "100000 100000\n", "9223372036854771712",
		"oom_kill 3\n", "oom_kill -3\n", "oom_kill\n", "under_oom 0\noom_kill 18446744073709551615",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if cpus, ok := parseCPUMax(text); ok != (cpus > 0) {
			t.Errorf("cpu.max %q: %v, %v", text, cpus, ok)
		}
		if bytes, ok := parseMemory(text); ok != (bytes > 0) || bytes >= unlimited {
			t.Errorf("memory.max %q: %v, %v", text, bytes, ok)
		}
		parseOOMKills(text)
	})
}
