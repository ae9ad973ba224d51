package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/run"
	"github.com/urfave/cli/v2"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/contract"
	"github.com/codeontap/entrypoint/internal/early"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/health"
	"github.com/codeontap/entrypoint/internal/kms"
	"github.com/codeontap/entrypoint/internal/listen"
	"github.com/codeontap/entrypoint/internal/reap"
	"github.com/codeontap/entrypoint/modes"
	"github.com/codeontap/entrypoint/supervisor"
)

// waitForAtMost bounds --wait-for.
const waitForAtMost = 60 * time.Second

// runVerb supervises.
func (p *program) runVerb(c *cli.Context) error {
	err := p.supervise(c)
	if quiet := silent(0); err != nil && !errors.As(err, &quiet) { // of the others the outcome's reason is there
		terminationMessage(err.Error())
	}
	return err
}

func (p *program) supervise(c *cli.Context) error {
	if verb, yes := misplaced(p.args, c.Args().Slice()); yes {
		return fail(codeUsage, "cannot read %s after flags: flags stand after the verb; entrypoint %s [flags], or -- %s for a program of that name", verb, verb, verb)
	}
	s := p.prepare(flagsGiven(c))
	plan, err := s.decide(c.Args().Slice())
	if err != nil {
		return err
	}
	for _, warning := range plan.Warnings {
		s.log.Warn(warning)
	}
	r := &runner{program: p, prepared: s, mode: plan.Mode, plan: plan, words: c.Args().Slice(), phase: "starting", opened: make(chan struct{}), checking: make(chan struct{}, 1), requests: map[string]uint64{}, values: map[string]uint64{}}
	return r.run()
}

// runner is one run of the verb run: it wires the floors and conducts.
type runner struct {
	*program
	*prepared
	mode  modes.Mode
	words []string
	plan  modes.Plan // the conductor's own until the copies are started: it may be made again

	reaper     *reap.Reaper
	sockets    *listen.Set
	supervisor *supervisor.Supervisor

	began   time.Time
	opened  chan struct{} // closed when the endpoints are to be opened
	openAll sync.Once

	mu          sync.Mutex
	phase       string // starting, decrypting, waiting, initialising; "" once the copies are started
	checks      []*health.Prober
	decrypted   kms.Result        // of the environment that the copies have
	decryptTook time.Duration     // the latest one
	requests    map[string]uint64 // to KMS, by code
	values      map[string]uint64 // by what became of them; "plain" were none of KMS's business

	memory memoryKills

	checking chan struct{} // holds the one command of a check that runs
}

// run binds, starts the actors, and turns the outcome into an exit code. Only
// the supervisor may end the group; the endpoints are interrupted last, so that
// /readyz says 503 while processes drain.
func (r *runner) run() (err error) {
	r.began = time.Now()
	adminListener, err := r.how.listenAdmin()
	if err != nil {
		return err
	}
	if r.sockets, err = listen.BindAll(addresses(r.plan)); err != nil {
		return &exitError{codeDependency, err}
	}
	defer r.sockets.Close()
	if r.reaper, err = r.startReaper(r.prepared); err != nil {
		return err
	}
	remove, err := makeRuntimeDir(r.runtimeDir, r.plan)
	defer remove()
	if err != nil {
		r.log.Warn(err.Error())
	}
	start := &supervisor.Starter{
		Reaper: r.reaper, Sockets: r.sockets, Ignored: early.Ignored(), Output: r.output(), Log: r.log, PrivateDir: r.runtimeDir,
		Reserve: reserveThreads,
		Forked: func(int) {
			early.CatchRest()
			r.memory.find()
			r.open()
		},
	}
	r.supervisor = supervisor.New(supervisor.Config{
		Launcher: start, Sockets: r.sockets, Probe: r.probe, OOMKills: r.memory.count, Log: r.log,
	})
	var outcome supervisor.Outcome
	var failure error
	var group run.Group
	group.Add(func() error {
		failure = guarded(func() (err error) {
			outcome, err = r.conduct()
			return err
		})
		return nil
	}, func(error) {}) // the first to return, always
	done := make(chan struct{})
	group.Add(func() error {
		r.supervisor.Forward(early.Signals(), r.how.rewrite, r.restartSoon, done)
		return nil
	}, func(error) { close(done) })
	r.addEndpoints(&group, adminListener)
	if err := group.Run(); err != nil {
		return err
	}
	killed := r.sweep()
	if failure != nil {
		return failure
	}
	return r.code(outcome, killed)
}

// addresses are those that we bind.
func addresses(plan modes.Plan) []command.Address {
	if len(plan.Commands) == 0 {
		return nil
	}
	return plan.Commands[0].Bind
}

// output is what becomes of the copies' lines; nil hands our own descriptors on.
func (r *runner) output() *supervisor.Output {
	switch r.how.output {
	case "prefix":
		return supervisor.NewOutput(supervisor.Prefix, r.stdout, r.stderr, r.log)
	case "json":
		return supervisor.NewOutput(supervisor.JSON, r.stdout, r.stderr, r.log)
	}
	return nil
}

// open lets the endpoints be opened: after the first fork, or before whatever
// takes time.
func (r *runner) open() { r.openAll.Do(func() { close(r.opened) }) }

// conduct is everything between the first and the last process: decrypt, check,
// wait, initialise, run. A stop ends each of it.
func (r *runner) conduct() (supervisor.Outcome, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-r.supervisor.Stopping():
			cancel()
		case <-ctx.Done():
		}
	}()
	stopped := supervisor.Outcome{Code: codeStopped, Why: "stopped before anything ran", Stopped: true}
	if err := r.decryptAndPlan(ctx); err != nil {
		if ctx.Err() != nil {
			return stopped, nil
		}
		return supervisor.Outcome{}, err
	}
	if err := r.waitFor(ctx); err != nil {
		if ctx.Err() != nil {
			return stopped, nil
		}
		return supervisor.Outcome{}, err
	}
	if len(r.plan.Init) > 0 {
		r.enter("initialising")
		if outcome := r.supervisor.Run(r.plan.Init, 0); outcome.Code != 0 || outcome.Stopped {
			return outcome, nil
		}
	}
	if len(r.plan.Commands) == 0 {
		r.log.Info("no task to run: APP_TASK_LIST and --task are empty")
		return supervisor.Outcome{Why: "nothing to do"}, nil
	}
	r.setPhase("")
	stop := r.startChecks(r.plan.Commands[0])
	defer stop()
	what := r.plan.Mode.String()
	if len(r.words) > 0 {
		what = "a command"
	}
	if os.Getpid() != 1 {
		r.log.Info(besideInit)
	}
	r.log.Info("starting", "mode", what, "copies", r.plan.Commands[0].Copies, "grace", r.plan.Commands[0].Grace)
	return r.supervisor.Run(r.plan.Commands, r.plan.Timeout), nil
}

// countDecryption counts what became of values and of requests: a restart
// decrypts again.
func (r *runner) countDecryption(e env.Environment, result kms.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for code, n := range result.Requests {
		r.requests[code] += uint64(n)
	}
	for verdict, n := range result.Counts() {
		r.values[string(verdict)] += uint64(n)
	}
	r.values["plain"] += uint64(e.Len() - len(result.Outcomes))
	r.decryptTook = result.Elapsed
}

// enter opens the endpoints before something that takes time, and says what it
// is in /readyz.
func (r *runner) enter(phase string) {
	r.setPhase(phase)
	r.open()
}

func (r *runner) setPhase(phase string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = phase
}

func (r *runner) setDecrypted(result kms.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decrypted = result
}

func (r *runner) currentPhase() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase
}

func (r *runner) currentChecks() []*health.Prober {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.checks)
}

// decryptAndPlan turns ciphertexts into plaintext, removes what must not stay,
// and checks the contract, all before the first start. The plan is made again
// where a value has changed.
func (r *runner) decryptAndPlan(ctx context.Context) error {
	if r.platform == platformCodeontap {
		if removed, err := env.RemoveDotenv(r.dotenv); err != nil {
			r.log.Warn(err.Error())
		} else if removed {
			r.log.Info("removed, as on every codeontap platform", "file", r.dotenv)
		}
	}
	if len(kms.Classify(r.environment, r.how.mode)) == 0 {
		r.countDecryption(r.environment, kms.Result{})
		return r.acceptable(r.words)
	}
	r.enter("decrypting")
	result, err := r.decrypt(ctx, r.reaper)
	r.countDecryption(r.environment, result)
	if err != nil {
		return err
	}
	r.setDecrypted(result)
	if r.plan, err = r.decide(r.words); err != nil {
		return err
	}
	return r.acceptable(r.words)
}

// targets are the servers that --wait-for names: sets of the contract, or what
// health.ParseTarget reads.
func (r *runner) targets() ([]health.Target, error) {
	var targets []health.Target
	for _, word := range r.plan.WaitFor {
		if set, ok := contract.Lookup(word); ok {
			address, ok := set.Address(r.environment)
			if !ok {
				r.add(r.of("wait-for"), fmt.Errorf("the set %s names no server here; wanted: a set whose host is set", word))
				continue
			}
			targets = append(targets, health.Target{Name: word, Address: address})
			continue
		}
		target, err := health.ParseTarget(word, r.environment)
		if err != nil {
			r.add(r.of("wait-for"), err)
			continue
		}
		targets = append(targets, target)
	}
	return targets, r.settled()
}

// waitFor waits for what --wait-for names.
func (r *runner) waitFor(ctx context.Context) error {
	if len(r.plan.WaitFor) == 0 {
		return nil
	}
	targets, err := r.targets()
	if err != nil {
		return err
	}
	r.enter("waiting")
	ctx, cancel := context.WithTimeout(ctx, waitForAtMost)
	defer cancel()
	if err := health.WaitAll(ctx, targets, r.log); err != nil {
		return &exitError{codeDependency, err}
	}
	return nil
}

// startChecks starts the prober of the whole's check, where it is not a copy's
// own.
func (r *runner) startChecks(spec command.Spec) (stop func()) {
	if spec.Health.Kind == command.HealthNone || spec.Private && spec.Health.Kind == command.HealthHTTP {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	prober := health.NewProber(spec.Health.Kind.String(), r.checkOf(spec, spec.Health, r.askedAddress(spec), 0, nil), spec.Health, func(result health.Result) {
		if !result.Up {
			r.log.Warn("check fails: "+spec.Health.Kind.String(), "error", result.Last)
		}
	})
	r.mu.Lock()
	r.checks = append(r.checks, prober)
	r.mu.Unlock()
	var ended sync.WaitGroup
	ended.Go(func() { prober.Run(ctx) })
	return func() { cancel(); ended.Wait() }
}

// sweep ends what the programs have left behind, within what remains of the
// grace period.
func (r *runner) sweep() (killed bool) {
	rest := r.reaper.Leftover()
	if rest.Empty() {
		return false
	}
	since := r.supervisor.Status().StopAsked
	if since.IsZero() {
		since = time.Now()
	}
	deadline := since.Add(r.how.grace)
	r.log.Info("ending what was left behind", "processes", fmt.Sprint(rest.Members()))
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	return r.reaper.Sweep(ctx, rest)
}

// code is the container's: the outcome's, and 137 where a requested stop left
// something that had to be killed.
func (r *runner) code(o supervisor.Outcome, killed bool) error {
	if killed && o.Stopped && o.Code == codeOK {
		o.Code, o.Why = codeKilled, "stopped as asked, and something that was left behind had to be killed"
	}
	if o.Code == codeOK {
		r.log.Info("ended: " + o.Why)
		return nil
	}
	r.log.Error("ended: "+o.Why, "code", o.Code)
	terminationMessage(o.Why)
	return silent(o.Code)
}

// terminationMessage tells Kubernetes why, a line for each reason: ours, never the
// application's lines. The file is there or it is not for us.
func terminationMessage(why string) {
	f, err := os.OpenFile("/dev/termination-log", os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	defer f.Close()
	for line := range strings.SplitSeq(why, "\n") {
		_, _ = fmt.Fprintln(f, "entrypoint: "+oneLine(line)) // it is a copy of what the log says
	}
}
