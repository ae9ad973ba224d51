package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var build = Build{Version: "1.2.3", Revision: "abc", Go: "go1.26"}

// busy has something of everything.
func busy() Snapshot {
	return Snapshot{
		Copies:           map[string]int{"ready": 2, "backoff": 1, "failed": 0},
		Desired:          3,
		Starts:           7,
		Exits:            map[Exit]uint64{{137, "KILL", "oom"}: 2, {1, "", "exit"}: 1},
		Restarts:         map[string]uint64{"oom": 2, "exit": 1},
		Signals:          map[Signal]uint64{{"HUP", "forwarded"}: 1, {"TERM", "stop"}: 1},
		Orphans:          4,
		OOMKills:         2,
		KilledAfterGrace: 1,
		Checks:           []Check{{"http", true, 12 * time.Millisecond}, {"tcp", false, 3 * time.Second}},
		Queues:           []Queue{{"0.0.0.0:8000", 5, 4096}},
		EnvValues:        map[string]uint64{"plain": 40, "decrypted": 3},
		KMSRequests:      map[string]uint64{"ok": 3},
		Decrypt:          11 * time.Millisecond, Ready: 2500 * time.Millisecond, Stop: time.Second,
	}
}

func page(t testing.TB, snapshot func() Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	if err := New(build, snapshot).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage(t *testing.T) {
	var samples []string
	for line := range strings.Lines(page(t, busy)) {
		if !strings.HasPrefix(line, "#") {
			samples = append(samples, strings.TrimSpace(line))
		}
	}
	want := []string{
		`entrypoint_build_info{goversion="go1.26",revision="abc",version="1.2.3"} 1`,
		`entrypoint_check_duration_seconds{check="http"} 0.012`,
		`entrypoint_check_duration_seconds{check="tcp"} 3`,
		`entrypoint_check_up{check="http"} 1`,
		`entrypoint_check_up{check="tcp"} 0`,
		`entrypoint_copies{state="backoff"} 1`,
		`entrypoint_copies{state="failed"} 0`,
		`entrypoint_copies{state="ready"} 2`,
		`entrypoint_copies_desired 3`,
		`entrypoint_copy_exits_total{code="1",reason="exit",signal=""} 1`,
		`entrypoint_copy_exits_total{code="137",reason="oom",signal="KILL"} 2`,
		`entrypoint_copy_restarts_total{reason="exit"} 1`,
		`entrypoint_copy_restarts_total{reason="oom"} 2`,
		`entrypoint_copy_starts_total 7`,
		`entrypoint_decrypt_seconds 0.011`,
		`entrypoint_env_values_total{result="decrypted"} 3`,
		`entrypoint_env_values_total{result="plain"} 40`,
		`entrypoint_killed_after_grace_total 1`,
		`entrypoint_kms_requests_total{code="ok"} 3`,
		`entrypoint_listen_queue{listener="0.0.0.0:8000"} 5`,
		`entrypoint_listen_queue_limit{listener="0.0.0.0:8000"} 4096`,
		`entrypoint_oom_kills_total 2`,
		`entrypoint_orphans_reaped_total 4`,
		`entrypoint_ready_seconds 2.5`,
		`entrypoint_signals_total{action="forwarded",signal="HUP"} 1`,
		`entrypoint_signals_total{action="stop",signal="TERM"} 1`,
		`entrypoint_stop_seconds 1`,
	}
	if diff := cmp.Diff(want, samples); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPageOfNothing(t *testing.T) {
	got := page(t, func() Snapshot { return Snapshot{} })
	for _, line := range []string{"\nentrypoint_copies_desired 0\n", "\nentrypoint_ready_seconds 0\n", "\nentrypoint_oom_kills_total 0\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
}

func TestPromtoolFindsNothing(t *testing.T) {
	lint := func(text string) (string, error) {
		cmd := exec.Command("promtool", "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := lint(page(t, busy))
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("promtool is missing: apt-get install prometheus")
	}
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := lint("entrypoint_x_total 1\n"); err == nil && out == "" {
		t.Error("control: promtool finds nothing in a metric without help")
	}
}

// expfmt is what our writer stands in for.
func TestTextIsThatOfPrometheus(t *testing.T) {
	odd := busy()
	odd.Checks = append(odd.Checks, Check{Name: "a \"b\" \\ \n é \xff", Duration: 1234567 * time.Nanosecond})
	odd.Starts = 1 << 60
	odd.Orphans = 12345678
	r := prometheus.NewRegistry()
	r.MustRegister(Collector(build, func() Snapshot { return odd }))
	help := prometheus.NewGauge(prometheus.GaugeOpts{Name: "help", Help: "two\nlines \\ and \"quotes\""})
	r.MustRegister(help)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&want, family); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want.String(), text(families)); diff != "" {
		t.Errorf("(-expfmt +ours):\n%s", diff)
	}
}

func TestOddSnapshots(t *testing.T) {
	got := page(t, func() Snapshot {
		return Snapshot{
			Checks: []Check{{Name: "http", Up: true}, {Name: "http"}},
			Queues: []Queue{{"unix:/\xff", 1, 9}, {"unix:/\xff", 2, 9}},
		}
	})
	if n := strings.Count(got, "entrypoint_check_up{"); n != 1 {
		t.Errorf("%d samples of one check:\n%s", n, got)
	}
	if !strings.Contains(got, "entrypoint_listen_queue{listener=\"unix:/\uFFFD\"} 1\n") {
		t.Errorf("the queue is missing:\n%s", got)
	}
}

func TestWritersAtOnce(t *testing.T) {
	m := New(build, busy)
	var all sync.WaitGroup
	pages := make([]string, 8)
	for i := range pages {
		all.Go(func() {
			var b bytes.Buffer
			if err := m.Write(&b); err != nil {
				t.Error(err)
			}
			pages[i] = b.String()
		})
	}
	all.Wait()
	if len(slices.Compact(pages)) != 1 {
		t.Error("they differ")
	}
}

func TestNothingIsDoneBeforeTheFirstScrape(t *testing.T) {
	New(build, func() Snapshot { t.Error("a snapshot was taken"); return Snapshot{} })
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestWriteError(t *testing.T) {
	if err := New(build, busy).Write(brokenPipe{}); err == nil {
		t.Error("no error")
	}
}

// A scrape with 200 copies, each with a check of its own.
func BenchmarkScrape(b *testing.B) {
	s := busy()
	for i := range 200 {
		s.Checks = append(s.Checks, Check{Name: fmt.Sprintf("web.%d", i), Up: true, Duration: time.Millisecond})
		s.Exits[Exit{Code: i, Reason: "exit"}] = uint64(i)
	}
	m := New(build, func() Snapshot { return s })
	for b.Loop() {
		var page bytes.Buffer
		if err := m.Write(&page); err != nil {
			b.Fatal(err)
		}
	}
}
