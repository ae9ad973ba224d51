package main

import (
	"maps"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/codeontap/entrypoint/internal/listen"
	"github.com/codeontap/entrypoint/internal/metrics"
	"github.com/codeontap/entrypoint/supervisor"
)

// build is what the metric build_info says.
func build() metrics.Build {
	b := metrics.Build{Version: buildVersion(), Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

// snapshot is everything that is counted, at this moment.
func (r *runner) snapshot() metrics.Snapshot {
	status, counts := r.supervisor.Status(), r.supervisor.Counts()
	s := metrics.Snapshot{
		Copies: map[string]int{}, Desired: status.Desired,
		Starts: counts.Starts, KilledAfterGrace: counts.KilledAfterGrace,
		Exits: map[metrics.Exit]uint64{}, Restarts: map[string]uint64{}, Signals: map[metrics.Signal]uint64{},
		Orphans: r.reaper.Orphans(), KMSRequests: map[string]uint64{}, EnvValues: map[string]uint64{},
	}
	for _, state := range supervisor.States() {
		s.Copies[state.String()] = 0
	}
	for _, c := range status.Copies {
		s.Copies[c.State.String()]++
	}
	for e, n := range counts.Exits {
		s.Exits[metrics.Exit{Code: e.Code, Signal: e.Signal, Reason: string(e.Reason)}] = n
	}
	for reason, n := range counts.Restarts {
		s.Restarts[string(reason)] = n
	}
	for k, n := range counts.Signals {
		s.Signals[metrics.Signal{Name: k.Signal, Action: k.Action}] = n
	}
	s.OOMKills = r.memory.count()
	for _, check := range r.currentChecks() {
		result := check.Result()
		s.Checks = append(s.Checks, metrics.Check{Name: check.Name(), Up: result.Up, Duration: result.Duration})
	}
	for _, socket := range r.sockets.Sockets() {
		if length, limit, err := listen.Queue(socket.FD()); err == nil {
			s.Queues = append(s.Queues, metrics.Queue{Listener: socket.Address.String(), Length: length, Limit: limit})
		}
	}
	r.mu.Lock()
	maps.Copy(s.KMSRequests, r.requests)
	maps.Copy(s.EnvValues, r.values)
	s.Decrypt = r.decryptTook
	r.mu.Unlock()
	if !status.ReadyAt.IsZero() {
		s.Ready = status.ReadyAt.Sub(r.began)
	}
	if !status.StopAsked.IsZero() {
		s.Stop = time.Since(status.StopAsked)
	}
	return s
}
