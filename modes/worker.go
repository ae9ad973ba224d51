package modes

import (
	"slices"
	"strconv"
	"strings"

	"github.com/codeontap/entrypoint/internal/command"
)

// worker is the mode's own command: celery's worker.
func (p *planner) worker() (command.Spec, bool) {
	application, ok := p.celeryApplication()
	if !ok {
		return command.Spec{}, false
	}
	spec := p.spec("worker", "celery", "-A", application, "worker")
	celery, _ := serverOf(spec.Argv)
	p.multiply(&spec, celery, command.Copies)
	if spec.Strategy == command.Native {
		spec.Argv = append(spec.Argv, "--concurrency", strconv.Itoa(p.processes))
	}
	p.oneOverFiles(&spec)
	p.asWorker(&spec, celery)
	return spec, true
}

// asWorker fills in what goes for workers, the mode's own and a script's.
func (p *planner) asWorker(spec *command.Spec, s server) {
	p.stopping(spec, false, workerStages)
	spec.Restart = p.restart(command.Always)
	spec.Clean, spec.Fatal = cleanCodes(), fatalCodes(s)
	p.ready(spec)
	p.tuneCelery(spec, s)
}

// oneOverFiles: with two worker processes on kombu's file system broker, one dies
// of a race and exits 0 (5.2.4).
func (p *planner) oneOverFiles(spec *command.Spec) {
	if spec.Copies < 2 || p.hasBroker() {
		return
	}
	p.warn("%s is %d, but one worker runs: no broker is configured (RABBITMQ_HOST), and the file system's serves one worker process; --strategy native makes it one with %d processes for tasks",
		p.called("workers"), spec.Copies, spec.Copies)
	spec.Copies = 1
	spec.Why += "; one, over the file system broker"
}

// hasBroker looks for any of the ways in which applications are told of one.
func (p *planner) hasBroker() bool {
	if p.facts.SetsBroker {
		return true
	}
	for _, name := range p.env.Names() {
		if !p.env.Has(name) {
			continue
		}
		for _, known := range []string{"RABBITMQ_HOST", "RABBITMQ_URL", "REDIS_URL", "CELERY_BROKER"} {
			if name == known {
				return true
			}
		}
		for _, ending := range []string{"BROKER_URL", "BROKER_HOST", "AMQP_URL"} {
			if strings.HasSuffix(name, ending) {
				return true
			}
		}
	}
	return false
}

// celeryApplication is what celery's -A is told: the module that is there.
func (p *planner) celeryApplication() (string, bool) {
	const file = "celery_app.py or celery.py"
	has := func(pkg Package) bool { return pkg.CeleryApp || pkg.Celery }
	if p.given("app") {
		has = func(Package) bool { return true }
	}
	name, ok := p.packageWith(file, has)
	if !ok {
		return "", false
	}
	i := slices.IndexFunc(p.facts.Packages, func(pkg Package) bool { return pkg.Name == name })
	switch pkg := p.facts.Packages[i]; {
	case pkg.CeleryApp:
		return name + ".celery_app", true
	case pkg.Celery:
		return name + ".celery", true
	}
	return name, true
}
