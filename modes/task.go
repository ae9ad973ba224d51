package modes

import (
	"fmt"
	"path"
	"strconv"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// tasks are the mode's own commands: manage.py, once for each, in order.
func (p *planner) tasks() []command.Spec {
	if len(p.Tasks) == 0 {
		p.warn("APP_TASK_LIST and --task are empty: there is nothing to do")
	}
	return p.manage("task", p.Tasks)
}

// manage makes a spec of each manage.py command.
func (p *planner) manage(name string, tasks [][]string) []command.Spec {
	specs := make([]command.Spec, 0, len(tasks))
	for i, words := range tasks {
		argv := append([]string{p.facts.Python.Path, "manage.py"}, afterManage(words)...)
		spec := p.spec(name+" "+strconv.Itoa(i+1), argv...)
		spec.Why = fmt.Sprintf("%d of %d, in order, up to the first that fails; python: %s", i+1, len(tasks), p.facts.Python.Why)
		p.once(&spec)
		specs = append(specs, spec)
	}
	return specs
}

// afterManage are a task's words without the program that some write in front:
// no command of Django's is called manage.py.
func afterManage(words []string) []string {
	rest := words
	if len(rest) > 1 && (path.Base(rest[0]) == "python" || path.Base(rest[0]) == "python3") {
		rest = rest[1:]
	}
	if len(rest) > 1 && path.Base(rest[0]) == "manage.py" {
		return rest[1:]
	}
	return words
}

// once fills in what goes for commands that run to their end.
func (p *planner) once(spec *command.Spec) {
	spec.Copies, spec.Once, spec.Restart = 1, true, command.Never
	p.stopping(spec, false, func(budget time.Duration) command.Stages { return stages(syscall.SIGTERM, budget) })
}

// needsManage reports a directory in which no manage.py command can run.
func (p *planner) needsManage() bool {
	switch {
	case !p.facts.ManagePy:
		p.noApplication("manage.py")
		return false
	case p.facts.Python.Path == "":
		p.faultAt(codeNotFound, "cannot run manage.py: there is no python3 and no python in PATH, and no virtual environment (VIRTUAL_ENV, .venv)")
		return false
	}
	return true
}
