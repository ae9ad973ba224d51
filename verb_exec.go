package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/codeontap/entrypoint/internal/early"
	"github.com/codeontap/entrypoint/internal/kms"
	"github.com/codeontap/entrypoint/internal/reap"
	"github.com/codeontap/entrypoint/modes"
	"github.com/codeontap/entrypoint/supervisor"
)

// execVerb is exec as the cli calls it.
func (p *program) execVerb(c *cli.Context) error { return p.exec(flagsGiven(c), c.Args().Slice()) }

// exec runs one command once, as tini would.
func (p *program) exec(flags map[string][]string, words []string) error {
	if len(words) == 0 {
		return fail(codeUsage, "cannot run a command: none is given; entrypoint exec COMMAND [ARG...]")
	}
	s := p.prepare(flags)
	s.how = s.readHow()
	if err := s.settled(); err != nil {
		return err
	}
	adminListener, err := s.how.listenAdmin()
	if errors.Is(err, syscall.EADDRINUSE) && s.isGuest("admin") {
		s.log.Debug("the container's supervisor listens at the admin address")
	} else if err != nil {
		return err
	}
	reaper, err := p.startReaper(s)
	if err != nil {
		return err
	}
	if os.Getpid() != 1 {
		s.log.Debug(besideInit)
	}
	signals := early.Signals()
	if len(kms.Classify(s.environment, s.how.mode)) > 0 {
		var ctx context.Context
		signals, ctx = relay(signals, s.how.rewrite)
		if _, err := s.decrypt(ctx, reaper); err != nil {
			return err
		}
	}
	if s.how.mode == kms.Off {
		s.sayOff(kms.Encrypted(s.environment))
	}
	if err := s.environment.Fit(); err != nil {
		return &exitError{codeConfiguration, err}
	}
	m := modes.Settings{Origin: map[string]modes.Origin{"grace": modes.FromVariable}, Grace: s.how.grace, Dir: s.dir}
	if s.of("dir").set() {
		m.Origin["dir"] = modes.FromVariable
		// The command's path is resolved here and executed there.
		if m.Dir, err = filepath.Abs(s.dir); err != nil {
			return fail(codeConfiguration, "cannot use the directory %s: %w", s.dir, err)
		}
	}
	spec := modes.Exec(m, s.environment, words)
	endpoints := &execEndpoints{prepared: s, listener: adminListener, done: make(chan struct{})}
	start := &supervisor.Starter{Reaper: reaper, Ignored: early.Ignored(), Forked: func(pid int) {
		early.CatchRest()
		go reserveThreads()
		endpoints.soon(pid)
	}}
	outcome, err := supervisor.Exec(start, spec, signals, s.how.rewrite, s.log)
	endpoints.close()
	if err != nil {
		return &exitError{outcome.Code, err}
	}
	return silent(outcome.Code)
}

// besideInit is said once: by run when it starts something, by exec to who looks
// closely, since it is often a session beside the container's supervisor.
const besideInit = "not PID 1: subreaper of our own descendants"

// startReaper makes us the one who waits for everything from here on.
func (p *program) startReaper(s *prepared) (*reap.Reaper, error) {
	reaper, err := reap.New()
	if err != nil {
		s.log.Warn("cannot become the subreaper: what the application leaves behind goes to another init", "error", err)
	}
	return reaper, nil
}
