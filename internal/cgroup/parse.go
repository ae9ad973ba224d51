package cgroup

import (
	"strconv"
	"strings"
)

// unlimited is where v1 begins to mean "none": it writes the greatest multiple
// of the page size, which differs between machines. No machine has an exbibyte.
const unlimited = 1 << 60

// parseCPUMax reads v2's cpu.max: "150000 100000", or "max 100000" for none.
func parseCPUMax(text string) (cpus float64, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return 0, false
	}
	return parseQuota(fields[0], fields[1])
}

// parseQuota reads a quota of CPU time and its period, both in microseconds. -1
// and "max" are no quota.
func parseQuota(quota, period string) (cpus float64, ok bool) {
	q, err := strconv.ParseInt(strings.TrimSpace(quota), 10, 64)
	if err != nil || q <= 0 {
		return 0, false
	}
	p, err := strconv.ParseInt(strings.TrimSpace(period), 10, 64)
	if err != nil || p <= 0 {
		return 0, false
	}
	return float64(q) / float64(p), true
}

// parseMemory reads memory.max or memory.limit_in_bytes.
func parseMemory(text string) (bytes int64, ok bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 || n >= unlimited {
		return 0, false
	}
	return n, true
}

// parseOOMKills finds the oom_kill line of memory.events or memory.oom_control.
func parseOOMKills(text string) (kills uint64, ok bool) {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, "oom_kill "); found {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
