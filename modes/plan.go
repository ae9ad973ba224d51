package modes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/env"
)

// Plan is what run would do.
type Plan struct {
	Mode     Mode
	Modes    []Mode // those there are
	Platform string
	Dir      string // as given
	Package  string // empty where it does not matter

	WaitFor  []string
	Init     []command.Spec // in order, each to its end, before Commands
	Commands []command.Spec // in order; only TASK has several, or none
	Timeout  time.Duration  // for all of Commands together; 0 is none

	Injected []Injection // sorted by name
	Warnings []string
}

// Folders are those that have to be there, private to us, before the copies
// start.
func (p Plan) Folders() []string {
	var folders []string
	for _, spec := range p.Commands {
		for _, v := range spec.PerCopy {
			if v.Name != "XDG_RUNTIME_DIR" {
				continue
			}
			for i := range spec.Copies {
				folders = append(folders, strings.ReplaceAll(v.Value, "{index}", fmt.Sprint(i)))
			}
		}
	}
	return folders
}

// planner collects what a plan is made of while it is decided.
type planner struct {
	Settings
	facts     Facts
	env       env.Environment
	processes int // wanted in all, copies or not
	pkg       string
	injected  []Injection
	problems  []Problem
	warnings  []string
}

// New decides what runs. Where there are problems the plan holds what could be
// decided all the same, and must not be carried out. The environment is the
// decrypted one for run; for the verb plan ciphertexts do as well, because what
// is decided upon is never encrypted.
func New(s Settings, e env.Environment, f Facts) (Plan, []Problem) {
	s = s.withDefaults()
	p := &planner{Settings: s, facts: f, env: e.WithoutOwn(), processes: 1}
	plan := Plan{
		Mode: s.Mode, Modes: known(f.Scripts), Platform: s.Platform, Dir: s.Dir,
		WaitFor: s.WaitFor,
	}
	p.rhythm()
	if p.BindNone && len(p.Bind) > 0 {
		p.fault("bind", "wanted: none alone, or addresses")
	}
	p.surroundings()
	if len(p.InitTasks) > 0 && p.needsManage() {
		plan.Init = p.manage("init", p.InitTasks)
	}
	plan.Commands = p.commands(plan.Modes)
	if p.Mode == TASK && len(p.Words) == 0 {
		plan.Timeout = p.TaskTimeout
	}
	plan.Package = p.pkg
	if p.pkg == "" && len(f.Packages) == 1 {
		plan.Package = f.Packages[0].Name
	}
	plan.Warnings = p.warnings
	plan.Injected = p.finish(plan.Init, plan.Commands)
	return plan, p.problems
}

// commands follows interface.md's table "What runs", row by row.
func (p *planner) commands(modes []Mode) []command.Spec {
	one := func(spec command.Spec, ok bool) []command.Spec {
		if !ok {
			return nil
		}
		return []command.Spec{spec}
	}
	switch {
	case len(p.Words) > 0:
		return one(p.command())
	case p.facts.Script != nil:
		return one(p.script())
	case p.Mode == WEB:
		return one(p.web())
	case p.Mode == WORKER:
		return one(p.worker())
	case p.Mode == BEAT:
		return one(p.beat())
	case p.Mode == TASK:
		if len(p.Tasks) > 0 && !p.needsManage() {
			return nil
		}
		return p.tasks()
	}
	names := make([]string, len(modes))
	for i, m := range modes {
		names[i] = m.String()
	}
	p.fault("mode", "wanted: one of %s, or NAME of a container-NAME.sh in %s", strings.Join(names, ", "), p.facts.Dir)
	return nil
}

// command is the user's own, under run.
func (p *planner) command() (command.Spec, bool) {
	if p.Words[0] == "" {
		p.faultAt(codeNotFound, `cannot run "": the command is empty`)
		return command.Spec{}, false
	}
	spec := p.spec("command", p.Words...)
	if !p.given("dir") {
		spec.Dir = ""
	}
	s, _ := serverOf(p.Words)
	l := launch{words: p.Words, exec: true}
	if p.Mode == BEAT {
		p.one(&spec)
	} else {
		p.multiply(&spec, s, command.Copies)
	}
	spec.Bind = p.Bind
	spec.Restart = p.restart(command.OnFailure)
	p.serve(&spec, s, l)
	return spec, true
}

// script is the mode's script. Scripts expect to be started once and told how
// many processes to run.
func (p *planner) script() (command.Spec, bool) {
	script := p.facts.Script
	if strings.HasSuffix(script.firstLine(), "\r") {
		p.faultAt(codeNotExecutable, "cannot run %s: it has Windows line ends (CRLF); save it with LF (sed -i 's/\\r$//' %[1]s)", script.Name)
		return command.Spec{}, false
	}
	if strings.HasPrefix(script.Text, "\uFEFF") {
		p.faultAt(codeNotExecutable, "cannot run %s: a byte order mark stands before its #!; save it as UTF-8 without one", script.Name)
		return command.Spec{}, false
	}
	argv, why := script.argv()
	if why != "" {
		p.warn("%s is run by %s: %s", script.Name, argv[0], why)
	}
	spec := p.spec(p.Mode.lower(), argv...)
	l := script.launch()
	s, _ := serverOf(l.words)
	switch p.Mode {
	case TASK:
		spec.Why = "TASK runs once"
		p.once(&spec)
		if len(p.Tasks) > 0 && p.byFlag("task") {
			p.injected = append(p.injected, Injection{Name: "APP_TASK_LIST", Value: command.List(p.Tasks), Why: "from --task", Source: env.FromMode})
		}
	case BEAT:
		p.one(&spec)
		p.asBeat(&spec, s, l)
	case WORKER:
		p.multiply(&spec, s, command.Native)
		if s.celery {
			p.oneOverFiles(&spec)
		}
		p.asWorker(&spec, s)
	case WEB:
		p.multiply(&spec, s, command.Native)
		if spec.Strategy == command.Copies || len(p.Bind) > 0 {
			spec.Bind = p.addresses()
		}
		spec.Restart = p.restart(command.Always)
		p.serve(&spec, s, l)
	default:
		p.multiply(&spec, s, command.Native)
		spec.Bind = p.Bind
		spec.Restart = p.restart(command.OnFailure)
		p.serve(&spec, s, l)
	}
	return spec, true
}

// spec begins a command with what all have in common.
func (p *planner) spec(name string, argv ...string) command.Spec {
	return command.Spec{
		Name: name, Argv: slices.Clone(argv), Dir: p.facts.Dir, Copies: 1,
		Backoff: p.Backoff, GiveUp: p.GiveUp,
	}
}

// multiply decides who makes how many of the program.
func (p *planner) multiply(spec *command.Spec, s server, byDefault command.Strategy) {
	n, why := p.workers(s.async || s.celery)
	spec.Strategy = byDefault
	who := "by default for " + p.kind()
	if p.given("strategy") {
		spec.Strategy, who = p.Strategy, p.called("strategy")
	}
	p.processes = n
	spec.Copies = n
	spec.Why = fmt.Sprintf("%d (%s); copies: we start each (%s)", n, why, who)
	if spec.Strategy == command.Native {
		spec.Copies = 1
		spec.Why = fmt.Sprintf("%d (%s); native: started once and told to run %[1]d (%[3]s)", n, why, who)
	}
}

// kind is the row of the table.
func (p *planner) kind() string {
	switch {
	case len(p.Words) > 0:
		return "a command"
	case p.facts.Script != nil:
		return "a script"
	}
	return "the mode's own command"
}

func (p *planner) restart(byDefault command.Restart) command.Restart {
	if p.given("restart") {
		return p.Restart
	}
	return byDefault
}

// packageWith finds the one package that has the file.
func (p *planner) packageWith(file string, has func(Package) bool) (string, bool) {
	var fit []string
	for _, pkg := range p.facts.Packages {
		if has(pkg) {
			fit = append(fit, pkg.Name)
		}
	}
	switch {
	case len(fit) == 1:
		p.pkg = fit[0]
		return fit[0], true
	case len(fit) > 1:
		p.fault("app", "wanted: one of the packages with a %s in %s: %s", file, p.facts.Dir, strings.Join(fit, ", "))
	case p.given("app"):
		p.fault("app", "wanted: a package in %s with a %s", p.facts.Dir, file)
	case !p.facts.ManagePy && len(p.facts.Packages) == 0:
		p.noApplication("manage.py, no package with a " + file)
	default:
		p.faultAt(codeConfiguration, "cannot run %s: no package in %s has a %s, and there is no container-%s.sh", p.Mode, p.facts.Dir, file, p.Mode.lower())
	}
	return "", false
}

// noApplication reports a directory that holds nothing of ours.
func (p *planner) noApplication(missing string) {
	message := fmt.Sprintf("there is no %s and no container-%s.sh in %s", missing, p.Mode.lower(), p.facts.Dir)
	if p.given("dir") {
		p.fault("dir", "%s; wanted: the application's directory", message)
		return
	}
	p.faultAt(codeConfiguration, "cannot run %s: %s; --dir or ENTRYPOINT_DIR says where the application is", p.Mode, message)
}

// finish gives every command its environment.
func (p *planner) finish(init, commands []command.Spec) []Injection {
	for i := range init {
		all := append(p.told(init[i]), p.injected...)
		init[i].Env, init[i].PerCopy = environment(p.env, slices.DeleteFunc(all, func(v Injection) bool { return v.forServer }))
	}
	shown := p.injected
	for i := range commands {
		all := append(p.told(commands[i]), p.injected...)
		commands[i].Env, commands[i].PerCopy = environment(p.env, all)
		if i == 0 {
			shown = all
		}
	}
	shown = slices.Clone(shown)
	slices.SortStableFunc(shown, func(a, b Injection) int { return strings.Compare(a.Name, b.Name) })
	return shown
}

// environment sets what is injected. What depends on the copy is taken out of
// the rest, so that there is one of each name.
func environment(e env.Environment, injected []Injection) (env.Environment, []command.PerCopy) {
	var variables []env.Variable
	var each []command.PerCopy
	for _, v := range injected {
		if v.PerCopy {
			each = append(each, command.PerCopy{Name: v.Name, Value: v.Value})
		} else {
			variables = append(variables, env.Variable{Name: v.Name, Value: env.NewSecret(v.Value), Source: v.Source})
		}
	}
	return e.With(variables...), each
}

// Exec is the one command of the verb exec: every signal verbatim, no
// escalation, and the command's own code.
func Exec(s Settings, e env.Environment, words []string) command.Spec {
	s = s.withDefaults()
	e = e.WithoutOwn()
	if !e.Has("PATH") {
		e = e.Set(env.Injected, "PATH", defaultPath)
	}
	spec := command.Spec{
		Name: "command", Argv: words, Env: e, Copies: 1, Grace: s.Grace, Once: true, Restart: command.Never,
		Why: "exec runs it once",
	}
	if s.given("dir") {
		spec.Dir = s.Dir
	}
	return spec
}
