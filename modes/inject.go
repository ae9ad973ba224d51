package modes

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/internal/env"
)

// Injection is a variable that a plan sets, and why. Injection is by environment
// alone, never by changing the user's words, and the user's own values win.
type Injection struct {
	Name, Value string // {index} in a value of PerCopy is the copy's index
	Why         string
	Source      env.Source
	PerCopy     bool
	forServer   bool // not for the tasks before it
}

// defaultPath is what an image without a PATH gets: programs are looked up in
// the application's environment, not in ours.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (p *planner) inject(name, value, why string) {
	p.injected = append(p.injected, Injection{Name: name, Value: value, Why: why, Source: env.Injected})
}

// injectServer is for what the program itself reads, not the tasks before it.
func (p *planner) injectServer(name, value, why string) {
	p.injected = append(p.injected, Injection{Name: name, Value: value, Why: why, Source: env.Injected, forServer: true})
}

func (p *planner) injectPerCopy(name, value, why string) {
	p.injected = append(p.injected, Injection{Name: name, Value: value, Why: why, Source: env.Injected, PerCopy: true, forServer: true})
}

// told is what every copy is told about itself.
func (p *planner) told(spec command.Spec) []Injection {
	count, why := "1", "what one copy is"
	if spec.Strategy == command.Native {
		count, why = strconv.Itoa(p.processes), "what the program is to run itself"
	}
	from := func(name, value, why string, perCopy bool) Injection {
		return Injection{Name: name, Value: value, Why: why, Source: env.FromMode, PerCopy: perCopy}
	}
	return []Injection{
		from("APP_PLATFORM", p.Platform, p.Platform, false),
		from("APP_RUN_MODE", p.Mode.String(), p.Mode.String(), false),
		from("APP_WORKER_COUNT", count, count+": "+why, false),
		from("APP_WORKER_INDEX", "{index}", "from 0 on: which copy it is", true),
		from("APP_WORKER_TOTAL", strconv.Itoa(spec.Copies), strconv.Itoa(spec.Copies)+": how many copies there are", false),
	}
}

// surroundings are for every program: somewhere to look, to write and to live.
func (p *planner) surroundings() {
	path := p.env.Get("PATH").Reveal()
	switch {
	case p.ownPython() && p.facts.Python.Folder != "":
		if path == "" {
			path = defaultPath
		}
		p.inject("PATH", p.facts.Python.Folder+":"+path, p.facts.Python.Folder+" first: the application's python, "+p.facts.Python.Why)
	case path == "":
		p.inject("PATH", defaultPath, "there is none")
	}
	if !p.env.Has("TMPDIR") && p.facts.Temp != "/tmp" {
		if p.facts.Temp == "" {
			p.warn("neither /tmp nor /dev/shm can be written: programs that need temporary files will fail (docker run --tmpfs /tmp)")
		} else {
			p.inject("TMPDIR", p.facts.Temp, p.facts.Temp+": /tmp cannot be written; gunicorn needs a temporary file for each worker")
		}
	}
	if p.facts.Temp != "" {
		switch p.facts.Home {
		case HomeMissing:
			p.inject("HOME", p.facts.Temp, p.facts.Temp+": there is none")
		case HomeSealed:
			p.inject("HOME", p.facts.Temp, p.facts.Temp+": the other cannot be written, and holds nothing of use")
		}
	}
	if len(p.Words) > 0 {
		return
	}
	if p.facts.Python.Path != "" {
		p.pythonPath()
	}
	if !p.env.Has("AMAZON_CURRENT_AZ") {
		p.inject("AMAZON_CURRENT_AZ", "local", "local: unset, and names of workers must not wait for the metadata service")
	}
}

// ownPython says whether the choice of the interpreter is ours: it is not for a
// command, which names its own.
func (p *planner) ownPython() bool { return len(p.Words) == 0 }

// pythonPath gains the application's directory, behind the user's own.
func (p *planner) pythonPath() {
	const name = "PYTHONPATH"
	why := "gains " + p.facts.Dir + ", the application's directory"
	if !p.env.Has(name) {
		p.inject(name, p.facts.Dir, why)
		return
	}
	old := p.env.Get(name).Reveal()
	if !slices.Contains(filepath.SplitList(old), p.facts.Dir) {
		p.inject(name, old+":"+p.facts.Dir, why)
	}
}

// handSockets tells the program of the sockets that it inherits.
func (p *planner) handSockets(spec *command.Spec, s server, l launch) {
	if len(spec.Bind) == 0 {
		return
	}
	const wayOut = "--strategy native without --bind, or --bind none, lets it bind by itself"
	if s.takes == never {
		if len(p.Words) > 0 {
			p.fault("bind", "%s cannot take a socket that we hold; %s", s.name, wayOut)
		} else {
			p.warn("%s cannot take a socket that we hold and will find the address in use; %s", s.name, wayOut)
		}
		return
	}
	if s.takes == byWords {
		p.warn("%s takes a socket that we hold by its own words alone: add %s; %s", s.name, s.hint, wayOut)
	}
	sockets := len(spec.Bind)
	if s.name == "gunicorn" {
		_, binds := option(l.words, "-b", "--bind")
		spec.Private = l.exec || !binds
		if !l.exec && binds {
			p.warn("%s starts gunicorn without exec and with an address of its own: it will find the address in use; write 'exec gunicorn', or %s", p.facts.Script.Name, wayOut)
		}
		if !l.exec && !binds {
			// LISTEN_PID is the shell's. With both, gunicorn 20.1 takes
			// descriptor 3 twice and dies.
			return
		}
	}
	if spec.Private {
		sockets++
	} else {
		spec.Held = fmt.Sprintf("we hold %s: a program that finds it in use has to take descriptor 3 instead; %s", bound(spec.Bind), wayOut)
	}
	p.injectServer("LISTEN_FDS", strconv.Itoa(sockets), strconv.Itoa(sockets)+": our sockets, from descriptor 3 on; LISTEN_PID is set at its start")
	switch s.takes {
	case byUvicornFD:
		if !p.env.Has("UVICORN_FD") {
			p.injectServer("UVICORN_FD", "3", "3: it takes our socket")
		}
	case byPumaInherit:
		p.pumaInherit(spec, l)
	}
}

func bound(addresses []command.Address) string {
	names := make([]string, len(addresses))
	for i, a := range addresses {
		names[i] = a.String()
	}
	return strings.Join(names, ", ")
}

// pumaInherit names each socket as puma's own binding is written: it compares
// texts, and closes what it does not find.
func (p *planner) pumaInherit(spec *command.Spec, l launch) {
	bindings := p.pumaBindings(spec.Bind, l.words)
	for i, url := range bindings {
		name := "PUMA_INHERIT_" + strconv.Itoa(i)
		if !p.env.Has(name) {
			p.injectServer(name, fmt.Sprintf("%d:%s", 3+i, url), url+": it takes our socket where its own binding is written so")
		}
	}
}

// pumaBindings guesses how puma writes its binding. One socket goes by whatever
// it is; several have to be written as they are.
func (p *planner) pumaBindings(addresses []command.Address, words []string) []string {
	const anywhere = "tcp://0.0.0.0:"
	if len(addresses) == 1 {
		if binding, ok := option(words, "-b", "--bind"); ok {
			return []string{binding}
		}
		if port, ok := option(words, "-p", "--port"); ok {
			return []string{anywhere + port}
		}
		_, config := option(words, "-C", "--config")
		if !config && !p.facts.PumaConfig {
			return []string{anywhere + "9292"} // without a word and without a file
		}
		if !addresses[0].IsUnix() {
			// "port ENV.fetch('PORT')", as Rails writes it for everybody.
			port := strconv.Itoa(addresses[0].Port)
			if p.env.Has("PORT") {
				port = p.env.Get("PORT").Reveal()
			} else {
				p.injectServer("PORT", port, port+": the port that config/puma.rb looks for")
			}
			return []string{anywhere + port}
		}
	}
	var bindings []string
	for _, a := range addresses {
		switch {
		case a.IsUnix():
			bindings = append(bindings, "unix://"+a.Path)
		case a.Host == "":
			bindings = append(bindings, anywhere+strconv.Itoa(a.Port))
		default:
			bindings = append(bindings, "tcp://"+a.String())
		}
	}
	return bindings
}

// tune sets what the server has to be told so that it fits among copies and
// into the grace.
func (p *planner) tune(spec *command.Spec, s server, l launch) {
	p.concurrency(spec, s)
	patience := patience(spec.Stop)
	switch s.name {
	case "gunicorn":
		// It changes its main process: the new one would be nobody's copy.
		spec.Unsent = []syscall.Signal{syscall.SIGUSR2}
		p.gunicornArguments(spec, l, patience)
		if spec.Copies > 1 && p.facts.RuntimeDir != "" && !p.env.Has("XDG_RUNTIME_DIR") {
			p.injectPerCopy("XDG_RUNTIME_DIR", p.facts.RuntimeDir+"/copy-{index}", "one for each copy: control sockets of several gunicorns overwrite each other")
		}
	case "uvicorn":
		if !p.env.Has("UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN") {
			p.injectServer("UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN", patience, patience+": it waits for open streams for ever; less than our own patience")
		}
	case "celery":
		if slices.Contains(l.words, "worker") {
			p.tuneCelery(spec, s)
		}
	}
}

// patience is a second less than the first stage of the stop, in seconds.
func patience(stop command.Stages) string {
	seconds := 1
	if len(stop) > 0 {
		seconds = max(int((stop[0].Wait-time.Second)/time.Second), 1)
	}
	return strconv.Itoa(seconds)
}

// gunicornArguments come before the user's own, so that the user's, being later,
// win. They know nothing that gunicorn 19 does not.
func (p *planner) gunicornArguments(spec *command.Spec, l launch, patience string) {
	own := p.env.Get("GUNICORN_CMD_ARGS").Reveal()
	given := slices.Concat(l.words, roughWords(own))
	_, config := option(given, "-c", "--config")
	_, graceful := option(given, "--graceful-timeout")
	if _, binds := option(roughWords(own), "-b", "--bind"); binds && len(spec.Bind) > 0 {
		p.warn("gunicorn will not bind what GUNICORN_CMD_ARGS says, because we hold its sockets: --bind or APP_BIND says where")
	}
	var arguments, why []string
	if !config && !graceful && !p.facts.SetsGraceful {
		arguments = append(arguments, "--graceful-timeout "+patience)
		why = append(why, "--graceful-timeout "+patience+": its patience ends before ours")
	}
	if spec.Private && !l.exec {
		for i := range len(spec.Bind) + 1 {
			arguments = append(arguments, "--bind fd://"+strconv.Itoa(3+i))
		}
		why = append(why, "--bind fd://3: it takes our sockets from behind a shell")
	}
	if len(arguments) == 0 {
		return
	}
	if own != "" {
		arguments = append(arguments, own)
	}
	p.injectServer("GUNICORN_CMD_ARGS", strings.Join(arguments, " "), strings.Join(why, "; "))
}

// concurrency keeps N copies from being N times N processes, and tells the one
// of native to be N.
func (p *planner) concurrency(spec *command.Spec, s server) {
	const name = "WEB_CONCURRENCY"
	if spec.Strategy == command.Native {
		if !p.env.Has(name) && (p.given("workers") || p.processes > 1) {
			p.injectServer(name, strconv.Itoa(p.processes), strconv.Itoa(p.processes)+": native, it runs them itself")
		}
		return
	}
	if spec.Copies < 2 {
		return
	}
	one := "1"
	if s.name == "puma" {
		one = "0" // 1 would be a second process to watch over one
	}
	if old := p.env.Get(name).Reveal(); old != "" && old != one {
		p.warn("%s is %s in each of the %d copies, or they would be that many times more processes; --strategy native lets one program run them", name, one, spec.Copies)
	}
	p.injectServer(name, one, one+": each copy is one process")
}

// tuneCelery gives each worker a name and one process.
func (p *planner) tuneCelery(spec *command.Spec, s server) {
	if !p.env.Has("CELERY_WORKER_HOSTNAME") {
		p.injectPerCopy("CELERY_WORKER_HOSTNAME", "w{index}@%h", "w0@%h and so on: equal names would hide a dead twin")
	}
	if spec.Strategy == command.Copies && s.celery && len(p.Words) == 0 && !p.env.Has("CELERY_WORKER_CONCURRENCY") {
		p.injectServer("CELERY_WORKER_CONCURRENCY", "1", "1: each copy is one process for tasks; celery's own default is one for each CPU")
	}
}
