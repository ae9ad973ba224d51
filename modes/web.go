package modes

import (
	"strconv"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// web is the mode's own command: gunicorn and the package's wsgi module.
func (p *planner) web() (command.Spec, bool) {
	pkg, ok := p.packageWith("wsgi.py", func(pkg Package) bool { return pkg.WSGI })
	if !ok {
		return command.Spec{}, false
	}
	spec := p.spec("web", "gunicorn", pkg+".wsgi")
	gunicorn, _ := serverOf(spec.Argv)
	p.multiply(&spec, gunicorn, command.Copies)
	spec.Bind = p.addresses()
	if p.BindNone && spec.Copies > 1 {
		p.warn("%s: gunicorn binds by itself, and only one of %d copies can; --strategy native runs one that has them all", p.called("bind"), spec.Copies)
	}
	spec.Restart = p.restart(command.Always)
	p.serve(&spec, gunicorn, launch{words: spec.Argv, exec: true})
	return spec, true
}

// addresses are those that a web server's copies inherit.
func (p *planner) addresses() []command.Address {
	switch {
	case p.BindNone:
		return nil
	case len(p.Bind) > 0:
		return p.Bind
	}
	return p.portAddress()
}

// portAddress is $PORT's on all addresses, 8000 where it is unset.
func (p *planner) portAddress() []command.Address {
	if !p.env.Has("PORT") {
		return []command.Address{{Host: "0.0.0.0", Port: 8000}}
	}
	port, err := strconv.ParseUint(p.env.Get("PORT").Reveal(), 10, 16)
	if err != nil {
		p.problems = append(p.problems, Problem{Name: "PORT", Message: "wanted: a port number, or --bind", Code: codeConfiguration})
		return nil
	}
	return []command.Address{{Host: "0.0.0.0", Port: int(port)}}
}

// serve fills in what goes for programs that answer requests: the drain, when a
// copy is ready, which codes end it, and the way to the sockets that we hold.
func (p *planner) serve(spec *command.Spec, s server, l launch) {
	derive := func(budget time.Duration) command.Stages { return stages(firstSignal(s), budget) }
	// What a command does is not known: it drains where we hold its socket, or when
	// it is told to.
	drains := p.Mode == WEB && len(p.Words) == 0 || len(spec.Bind) > 0 || p.given("drain")
	p.stopping(spec, drains, derive)
	spec.Clean, spec.Fatal = cleanCodes(), fatalCodes(s)
	p.handSockets(spec, s, l)
	p.ready(spec)
	p.tune(spec, s, l)
}

// cleanCodes are what servers end with after a requested stop: puma and waitress
// 143, uwsgi 30.
func cleanCodes() []int { return []int{0, 143, 30} }

// fatalCodes end a copy that was never ready for good: a second try cannot end
// otherwise. gunicorn's 3 is a worker that failed to boot, 4 an application that
// could not be loaded.
func fatalCodes(s server) []int {
	if s.name == "gunicorn" {
		return []int{codeNotExecutable, codeNotFound, 3, 4}
	}
	return []int{codeNotExecutable, codeNotFound}
}
