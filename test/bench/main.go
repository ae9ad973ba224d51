// Bench measures the built binary against its peers, interleaved, and writes
// docs/benchmarks.md. No figure decides a test: machines are noisy, so every
// figure is a ratio against a peer that was measured in the same run.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// bench is one run.
type bench struct {
	dir        string // stamp, bareinit, kms-demo
	entrypoint string
	rounds     int
	rows       []string
}

func main() {
	b := &bench{}
	out := flag.String("out", "docs/benchmarks.md", "the table")
	only := flag.String("only", "", "one measure, by name; the table is then printed")
	flag.StringVar(&b.dir, "dir", "", "folder of the built peers")
	flag.StringVar(&b.entrypoint, "entrypoint", "bin/entrypoint", "the binary")
	flag.IntVar(&b.rounds, "rounds", 40, "rounds of start-up")
	flag.Parse()
	path, err := filepath.Abs(b.entrypoint)
	if err != nil {
		fail(err)
	}
	b.entrypoint = path
	for _, m := range measures() {
		if *only != "" && m.name != *only {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", m.name)
		if err := m.run(b); err != nil {
			fail(fmt.Errorf("cannot measure %s: %w", m.name, err))
		}
	}
	table := b.table()
	if *only != "" {
		fmt.Print(table)
		return
	}
	if err := os.WriteFile(*out, []byte(table), 0o644); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

type measure struct {
	name string
	run  func(*bench) error
}

func measures() []measure {
	return []measure{
		{"start", start},
		{"kms", kmsBatch}, // like the one above it minds what a thousand copies leave behind
		{"nokms", noCredentials},
		{"memory", memory},
		{"wakeups", wakeups},
		{"signal", signalLatency},
		{"orphans", orphans},
		{"restart", restart},
		{"copies", copies},
		{"health", healthVerb},
		{"web", web},
		{"roll", roll},
		{"size", size},
	}
}

func (b *bench) peer(name string) string { return filepath.Join(b.dir, name) }

// row notes one line of the table.
func (b *bench) row(measure, figure, reach string) {
	b.rows = append(b.rows, fmt.Sprintf("| %s | %s | %s |", measure, figure, reach))
	fmt.Fprintln(os.Stderr, " ", measure, "-", figure)
}

func (b *bench) table() string {
	var s strings.Builder
	fmt.Fprintf(&s, "# Benchmarks\n\nWritten by `make bench` on %s, %s/%s, %d CPU, %s, kernel %s.\n",
		time.Now().UTC().Format("2006-01-02"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), kernel())
	s.WriteString("Medians with p10 and p90 in parentheses, peers interleaved in the same run. A ratio says more than a time.\n\n")
	s.WriteString("| measure | figure | to reach |\n|---|---|---|\n")
	for _, row := range b.rows {
		s.WriteString(row + "\n")
	}
	return s.String()
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}

// series is what one subject gave in all rounds.
type series []float64

func (s series) at(quantile float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(quantile*float64(len(sorted)-1)+0.5)]
}

func (s series) median() float64 { return s.at(0.5) }

func (s series) String() string {
	return fmt.Sprintf("%.2f (%.2f, %.2f)", s.median(), s.at(0.1), s.at(0.9))
}

// over is the ratio of two medians.
func (s series) over(t series) string { return fmt.Sprintf("%.2f x", s.median()/t.median()) }

// quiet starts a command whose own words do not matter.
func quiet(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "ENTRYPOINT_LOG_LEVEL=error")
	return c
}
