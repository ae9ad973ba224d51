package modes

import (
	"fmt"
	"math"
)

// copyMemory is what `auto` reckons a process to need.
const copyMemory = 256 << 20

// maxAuto bounds `auto`: more is a decision for people.
const maxAuto = 12

// workers is how many processes are wanted of a program, and why.
func (p *planner) workers(async bool) (n int, why string) {
	if !p.Workers.Auto {
		if p.given("workers") {
			return p.Workers.Count, p.called("workers")
		}
		return p.Workers.Count, "by default"
	}
	return auto(p.facts.CPUs, p.facts.Memory, async)
}

// auto is a number from the limits: gunicorn's own rule of thumb for processes
// that wait for a database, one for each CPU where a process never waits.
func auto(cpus float64, memory int64, async bool) (n int, why string) {
	whole := max(int(math.Ceil(cpus)), 1)
	rule := fmt.Sprintf("2 x %d CPU + 1", whole)
	n = 2*whole + 1
	if async {
		n, rule = whole, fmt.Sprintf("%d CPU", whole)
	}
	if fit := int(memory / copyMemory); memory > 0 && fit < n {
		n, rule = fit, fmt.Sprintf("%d MB of memory / %d MB each", memory>>20, copyMemory>>20)
	}
	return min(max(n, 1), maxAuto), "auto: " + rule
}
