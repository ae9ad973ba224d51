package main

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/early"
	"github.com/codeontap/entrypoint/internal/kms"
	"github.com/codeontap/entrypoint/internal/reap"
	"github.com/codeontap/entrypoint/supervisor"
)

// execVerb runs one command once, as tini would.
func (p *program) execVerb(c *cli.Context) error {
	if c.NArg() == 0 {
		return fail(codeUsage, "cannot run a command: none is given; entrypoint exec COMMAND [ARG...]")
	}
	s, err := p.prepare(c)
	if err != nil {
		return err
	}
	grace := s.grace()
	rewrite := s.signals()
	how := s.decryption()
	if err := s.settled(); err != nil {
		return err
	}
	reaper, err := p.startReaper(s)
	if err != nil {
		return err
	}
	signals := early.Signals()
	if len(kms.Classify(s.environment, how.mode)) > 0 {
		var ctx context.Context
		signals, ctx = relay(signals, rewrite)
		if _, err := s.decrypt(ctx, how, reaper); err != nil {
			return err
		}
	}
	if err := s.environment.Fit(); err != nil {
		return &exitError{codeConfiguration, err}
	}
	spec := command.Spec{
		Name: "command", Argv: c.Args().Slice(), Env: s.environment.WithoutOwn(), Copies: 1, Grace: grace, Once: true,
	}
	if v := s.of("dir"); v.set() {
		spec.Dir = s.dir
	}
	start := &supervisor.Starter{Reaper: reaper, Ignored: early.Ignored(), Forked: early.CatchRest}
	outcome, err := supervisor.Exec(start, spec, signals, rewrite, s.log)
	if err != nil {
		return &exitError{outcome.Code, err}
	}
	return silent(outcome.Code)
}

// startReaper makes us the one who waits for everything from here on.
func (p *program) startReaper(s *prepared) (*reap.Reaper, error) {
	reaper, err := reap.New()
	if err != nil {
		s.log.Warn("cannot become the subreaper: what the application leaves behind goes to another init", "error", err)
	}
	if os.Getpid() != 1 {
		s.log.Debug("not PID 1: subreaper of our own descendants")
	}
	return reaper, nil
}

// grace is everything between the request to stop and KILL. It has to end
// before the platform's own patience does (docker 10 s, ECS and Kubernetes
// 30 s), which no container can read.
func (s *prepared) grace() time.Duration {
	if s.platform == platformECS || s.platform == platformKubernetes {
		return s.duration("grace", "25s")
	}
	return s.duration("grace", "8s")
}

// duration reads a setting that is one.
func (s *prepared) duration(flag, fallback string) time.Duration {
	d, _ := command.ParseDuration(fallback)
	v := s.of(flag)
	if !v.set() {
		return d
	}
	given, err := command.ParseDuration(v.text[0])
	if err != nil {
		s.addOnce(v, err)
		return d
	}
	return given
}

func (s *prepared) signals() command.SignalMap {
	v := s.of("signals")
	if !v.set() {
		return nil
	}
	m, err := command.ParseSignalMap(v.text[0])
	if err != nil {
		s.add(v, err)
	}
	return m
}
