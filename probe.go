package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/health"
	"github.com/codeontap/entrypoint/internal/listen"
	"github.com/codeontap/entrypoint/internal/reap"
	"github.com/codeontap/entrypoint/supervisor"
)

// eager is the rhythm of the look for a copy's first answer: a connection waits
// in the socket's queue until the server takes it, so few looks are needed.
var eager = command.Health{Interval: 100 * time.Millisecond, Timeout: 3 * time.Second, Retries: 1}

// own reports whether the check asks this copy and no other.
func own(spec command.Spec, life supervisor.Life) bool {
	switch spec.Health.Kind {
	case command.HealthHTTP:
		return life.Private() != ""
	case command.HealthFile:
		return spec.Copies == 1 || strings.Contains(spec.Health.Target, "{index}")
	}
	return false
}

// checkOf makes the check of a program, or of one copy of it: life is nil for
// the whole.
func (r *runner) checkOf(spec command.Spec, h command.Health, address command.Address, index int, life supervisor.Life) health.Check {
	h.Target = strings.ReplaceAll(h.Target, "{index}", strconv.Itoa(index))
	argv, _ := command.Words(h.Target) // was read before
	subject := health.Subject{
		Address: address, Dir: spec.Dir, Argv: argv, Run: r.checkRunner(spec.Env, spec.Dir),
	}
	if life != nil && life.Private() == "" {
		subject.Ours = func(conn net.Conn) (ours, settled bool) { return acceptedBy(life, conn) }
	}
	return health.New(h, subject)
}

// acceptedBy tells whether a process of this copy has accepted the connection:
// the copies share one socket, and an old copy's answer says nothing of a new
// one. What cannot be seen counts as the copy's own: then the first answer has to
// do.
func acceptedBy(life supervisor.Life, conn net.Conn) (ours, settled bool) {
	inode, found := listen.Taken(conn)
	switch {
	case !found:
		return true, true
	case inode == 0:
		return false, false
	}
	holds, seen := life.Holds(inode)
	return holds || !seen, true
}

// probe is the supervisor's Probe: ready with the first answer, and where the
// check is the copy's own, replaced when it fails.
func (r *runner) probe(ctx context.Context, spec command.Spec, index int, life supervisor.Life, ready func(bool), replace func(string)) {
	address := r.askedAddress(spec)
	if path := life.Private(); path != "" {
		address = command.Address{Path: path}
	}
	h := spec.Health
	if h.Kind == command.HealthNone {
		h = command.Health{Kind: command.HealthHTTP} // any answer
	}
	check := r.checkOf(spec, h, address, index, life)
	rhythm := eager
	if h.Kind == command.HealthExec { // an interpreter's start: not ten times a second
		rhythm = h
		rhythm.Retries = math.MaxInt // until it is well
	}
	first, cancel := context.WithCancel(ctx)
	health.NewProber("first answer", check, rhythm, func(result health.Result) {
		if result.Up {
			cancel()
		}
	}).Run(first)
	if ctx.Err() != nil {
		return
	}
	ready(true)
	if spec.Health.Kind == command.HealthNone || !own(spec, life) {
		return
	}
	prober := health.NewProber(spec.Health.Kind.String(), check, spec.Health, func(result health.Result) {
		ready(result.Up)
		if !result.Up {
			replace("its check " + spec.Health.Kind.String() + " fails")
		}
	})
	prober.Run(ctx)
}

// askedAddress is where a check of the whole asks: a plan has no http check
// without an address.
func (r *runner) askedAddress(spec command.Spec) command.Address {
	if all := r.sockets.Sockets(); len(all) > 0 {
		return all[0].Address
	}
	return spec.Asked
}

// checkRunner runs a check's command through the reaper, one at a time: it asks
// the whole, so that the looks of several copies are the same.
func (r *runner) checkRunner(e env.Environment, dir string) health.Runner {
	return func(ctx context.Context, argv []string) error {
		select {
		case r.checking <- struct{}{}:
			defer func() { <-r.checking }()
		case <-ctx.Done():
			return ctx.Err()
		}
		path, err := reap.LookPath(argv[0], e.Get("PATH").Reveal(), dir)
		if err != nil {
			return err
		}
		status, err := r.reaper.Run(ctx, reap.Program{Path: path, Argv: argv, Env: e.Block(), Dir: dir})
		switch {
		case err != nil:
			return err
		case status.Signaled():
			return fmt.Errorf("%s was killed by %s", argv[0], command.SignalName(status.Signal()))
		case status.ExitStatus() != 0:
			return fmt.Errorf("%s ended with code %d", argv[0], status.ExitStatus())
		}
		return nil
	}
}
