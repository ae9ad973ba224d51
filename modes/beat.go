package modes

import (
	"path/filepath"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// codeStalePID is celery's EX_CANTCREAT: its pid file names a process that
// lives, which in a container is another one of the same number.
const codeStalePID = 73

// beat is the mode's own command: celery's scheduler.
func (p *planner) beat() (command.Spec, bool) {
	application, ok := p.celeryApplication()
	if !ok {
		p.one(&command.Spec{}) // a count that is wrong is told all the same
		return command.Spec{}, false
	}
	spec := p.spec("beat", "celery", "-A", application, "beat")
	celery, _ := serverOf(spec.Argv)
	p.one(&spec)
	p.asBeat(&spec, celery, launch{words: spec.Argv})
	return spec, true
}

// one: two beats send everything twice. A count in the environment is there for
// other containers that share its file; on the command line it is a mistake.
func (p *planner) one(spec *command.Spec) {
	spec.Copies, spec.Strategy, spec.Why = 1, command.Copies, "BEAT is exactly one: two send everything twice"
	if p.Workers.Count <= 1 {
		return
	}
	if p.byFlag("workers") {
		p.fault("workers", "wanted: 1, or none; BEAT is exactly one, two send everything twice")
		return
	}
	p.warn("%s is ignored: BEAT is exactly one", p.called("workers"))
}

// asBeat fills in what goes for schedulers, the mode's own and a script's.
func (p *planner) asBeat(spec *command.Spec, s server, l launch) {
	p.stopping(spec, false, func(budget time.Duration) command.Stages { return stages(syscall.SIGTERM, budget) })
	spec.Restart = p.restart(command.Always)
	spec.Clean, spec.Fatal = cleanCodes(), fatalCodes(s)
	p.ready(spec)
	if pid, ok := option(l.words, "--pidfile"); ok {
		spec.Stale = pid
	} else if p.env.Has("CELERY_BEAT_PIDFILE") {
		spec.Stale = p.env.Get("CELERY_BEAT_PIDFILE").Reveal()
	}
	if spec.Stale != "" {
		spec.StaleCode = codeStalePID
		if !filepath.IsAbs(spec.Stale) {
			spec.Stale = filepath.Join(spec.Dir, spec.Stale)
		}
	}
	// Where celery has it by itself, while that can be written: it outlives a
	// restart of the container.
	folder := p.facts.Temp
	if p.facts.DirWritable {
		folder = p.facts.Dir
	}
	if folder != "" && !p.facts.SetsSchedule && !p.env.Has("CELERY_BEAT_SCHEDULE") {
		schedule := filepath.Join(folder, "celerybeat-schedule")
		p.injectServer("CELERY_BEAT_SCHEDULE", schedule, schedule+": its state, under a directory that can be written")
	}
}
