// Package metrics turns what the supervisor knows into Prometheus' metrics, at
// the moment of a scrape and not before: nothing is counted twice, and nothing
// costs anything while nobody asks.
package metrics

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Build is what `entrypoint version` says.
type Build struct{ Version, Revision, Go string }

// Snapshot is everything at one moment. The keys of the maps become labels: they
// are states, codes and reasons, never a variable's name or value.
type Snapshot struct {
	Copies  map[string]int // by state, those without a copy too
	Desired int

	Starts           uint64
	Exits            map[Exit]uint64
	Restarts         map[string]uint64 // by reason
	Signals          map[Signal]uint64
	Orphans          uint64
	OOMKills         uint64
	KilledAfterGrace uint64

	Checks []Check
	Queues []Queue

	EnvValues   map[string]uint64 // by what became of them: plain, decrypted ...
	KMSRequests map[string]uint64 // by code

	// Zero until it has happened.
	Decrypt, Ready, Stop time.Duration
}

// Exit tells ends of copies apart.
type Exit struct {
	Code   int    // 128+n for a signal n
	Signal string // without SIG; empty if it exited
	Reason string
}

// Signal tells apart what arrived and what was done about it.
type Signal struct{ Name, Action string }

// Check is a health check's latest result.
type Check struct {
	Name     string
	Up       bool
	Duration time.Duration
}

// Queue is the connections that wait for a copy to take them.
type Queue struct {
	Listener string // its address
	Length   int
	Limit    int // how many may wait; 0 while clients are refused
}

// Collector makes the metrics from snapshot, which must answer at once and may
// be called from any number of goroutines. Register it where it is wanted.
func Collector(build Build, snapshot func() Snapshot) prometheus.Collector {
	return &collector{build: build, snapshot: snapshot, descriptions: describe()}
}

// Metrics writes the page that is scraped.
type Metrics struct{ registry func() *prometheus.Registry }

// New makes a page of its own registry, which comes to be with the first scrape.
func New(build Build, snapshot func() Snapshot) *Metrics {
	return &Metrics{sync.OnceValue(func() *prometheus.Registry {
		r := prometheus.NewRegistry()
		r.MustRegister(Collector(build, snapshot))
		return r
	})}
}

// Write writes all metrics in the text format 0.0.4, which every scraper reads.
func (m *Metrics) Write(w io.Writer) error {
	families, err := m.registry().Gather()
	if err != nil {
		return fmt.Errorf("cannot collect the metrics: %w", err)
	}
	if _, err := io.WriteString(w, text(families)); err != nil {
		return fmt.Errorf("cannot write the metrics: %w", err)
	}
	return nil
}

type collector struct {
	build    Build
	snapshot func() Snapshot
	descriptions
}

// descriptions are the names, as docs and interface promise them.
type descriptions struct {
	info, copies, desired, starts, exits, restarts, signals, orphans, oomKills, killed      *prometheus.Desc
	checkUp, checkDuration, queue, queueLimit, envValues, kmsRequests, decrypt, ready, stop *prometheus.Desc
}

func describe() descriptions {
	metric := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("entrypoint_"+name, help, labels, nil)
	}
	return descriptions{
		info:          metric("build_info", "What this binary is; the value is always 1.", "version", "revision", "goversion"),
		copies:        metric("copies", "Copies of the application by their state.", "state"),
		desired:       metric("copies_desired", "Copies of the application that there should be."),
		starts:        metric("copy_starts_total", "Starts of copies, the first ones included."),
		exits:         metric("copy_exits_total", "Ends of copies by exit code, signal and reason.", "code", "signal", "reason"),
		restarts:      metric("copy_restarts_total", "Restarts of copies by the reason of the end before.", "reason"),
		signals:       metric("signals_total", "Signals that arrived and what was done about them.", "signal", "action"),
		orphans:       metric("orphans_reaped_total", "Processes reaped that were not started here."),
		oomKills:      metric("oom_kills_total", "Processes of the container that the kernel has killed for memory."),
		killed:        metric("killed_after_grace_total", "Copies that had to be killed at the end of their grace."),
		checkUp:       metric("check_up", "Whether the health check succeeds.", "check"),
		checkDuration: metric("check_duration_seconds", "How long the health check took last time.", "check"),
		queue:         metric("listen_queue", "Connections that wait to be accepted.", "listener"),
		queueLimit:    metric("listen_queue_limit", "Connections that may wait to be accepted; 0 while nobody is let in.", "listener"),
		envValues:     metric("env_values_total", "Variables of the environment by what became of their value.", "result"),
		kmsRequests:   metric("kms_requests_total", "Requests to KMS by their outcome.", "code"),
		decrypt:       metric("decrypt_seconds", "How long decrypting the environment took; 0 until it is done."),
		ready:         metric("ready_seconds", "Time from our start until every copy was ready once; 0 until then."),
		stop:          metric("stop_seconds", "Time since the request to stop; 0 before it."),
	}
}

// Describe sends the names.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.info, c.copies, c.desired, c.starts, c.exits, c.restarts, c.signals, c.orphans, c.oomKills, c.killed,
		c.checkUp, c.checkDuration, c.queue, c.queueLimit, c.envValues, c.kmsRequests, c.decrypt, c.ready, c.stop,
	} {
		out <- d
	}
}

// Collect takes a snapshot and sends what is in it.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.snapshot()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- constant(d, prometheus.GaugeValue, value, labels)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- constant(d, prometheus.CounterValue, float64(value), labels)
	}
	gauge(c.info, 1, c.build.Version, c.build.Revision, c.build.Go)
	for state, n := range s.Copies {
		gauge(c.copies, float64(n), state)
	}
	gauge(c.desired, float64(s.Desired))
	counter(c.starts, s.Starts)
	for exit, n := range s.Exits {
		counter(c.exits, n, strconv.Itoa(exit.Code), exit.Signal, exit.Reason)
	}
	for reason, n := range s.Restarts {
		counter(c.restarts, n, reason)
	}
	for signal, n := range s.Signals {
		counter(c.signals, n, signal.Name, signal.Action)
	}
	counter(c.orphans, s.Orphans)
	counter(c.oomKills, s.OOMKills)
	counter(c.killed, s.KilledAfterGrace)
	seen := map[string]bool{}
	for _, check := range s.Checks {
		if seen[check.Name] {
			continue // two samples of one name would cost the whole page
		}
		seen[check.Name] = true
		up := 0.0
		if check.Up {
			up = 1
		}
		gauge(c.checkUp, up, check.Name)
		gauge(c.checkDuration, check.Duration.Seconds(), check.Name)
	}
	clear(seen)
	for _, queue := range s.Queues {
		if !seen[queue.Listener] {
			seen[queue.Listener] = true
			gauge(c.queue, float64(queue.Length), queue.Listener)
			gauge(c.queueLimit, float64(queue.Limit), queue.Listener)
		}
	}
	for result, n := range s.EnvValues {
		counter(c.envValues, n, result)
	}
	for code, n := range s.KMSRequests {
		counter(c.kmsRequests, n, code)
	}
	gauge(c.decrypt, s.Decrypt.Seconds())
	gauge(c.ready, s.Ready.Seconds())
	gauge(c.stop, s.Stop.Seconds())
}

// constant makes one sample. A label that is not UTF-8 (a path may hold any
// byte) would panic.
func constant(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels []string) prometheus.Metric {
	for i, label := range labels {
		labels[i] = strings.ToValidUTF8(label, "\uFFFD")
	}
	return prometheus.MustNewConstMetric(d, kind, value, labels...)
}
