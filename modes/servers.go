package modes

import (
	"path"
	"slices"
	"strings"
	"syscall"
)

// server is a program whose habits we know (modes.md holds the measurements).
type server struct {
	name string

	// How it takes an inherited socket. The zero value is a program that looks
	// for LISTEN_FDS, or is written to know descriptor 3.
	takes taking
	hint  string // words that make it take descriptor 3, where only words do

	async   bool           // one process serves many at a time: one per CPU is enough
	stopsBy syscall.Signal // 0 is TERM
	celery  bool
}

// taking is the way of a server to an inherited socket.
type taking int

const (
	byListenFDS taking = iota
	byUvicornFD
	byPumaInherit
	byWords // only if its words say so
	never
)

// servers is the table. Names are those of programs and of Python modules
// (python -m NAME).
func servers() map[string]server {
	return map[string]server{
		"gunicorn":       {name: "gunicorn"},
		"uvicorn":        {name: "uvicorn", takes: byUvicornFD, async: true},
		"hypercorn":      {name: "hypercorn", takes: byWords, hint: "--bind fd://3", async: true},
		"daphne":         {name: "daphne", takes: byWords, hint: "--fd 3", async: true},
		"uwsgi":          {name: "uwsgi", takes: byWords, hint: "--http-socket fd://3", stopsBy: syscall.SIGINT},
		"puma":           {name: "puma", takes: byPumaInherit},
		"waitress-serve": {name: "waitress", takes: never},
		"waitress":       {name: "waitress", takes: never},
		"granian":        {name: "granian", takes: never, async: true},
		"pm2":            {name: "node's cluster (pm2)", takes: never, async: true},
		"pm2-runtime":    {name: "node's cluster (pm2)", takes: never, async: true},
		"node":           {name: "node", async: true},
		"celery":         {name: "celery", celery: true},
	}
}

// serverOf recognises the server that words start: by the program's name, by
// python -m NAME, or behind wrappers (bundle exec puma).
func serverOf(words []string) (server, bool) {
	all := servers()
	for len(words) > 0 {
		name := path.Base(words[0])
		if s, ok := all[name]; ok {
			return s.refine(words[1:]), true
		}
		if !strings.HasPrefix(name, "python") {
			if words = unwrap(name, words[1:]); words == nil {
				return server{}, false
			}
			continue
		}
		if i := slices.Index(words, "-m"); i >= 0 {
			if i+1 == len(words) {
				return server{}, false
			}
			s, ok := all[words[i+1]]
			return s.refine(words[i+2:]), ok
		}
		words = withoutFlags(words[1:]) // python /usr/bin/gunicorn
	}
	return server{}, false
}

// unwrap returns what a wrapper of that name starts, nil where it is none.
func unwrap(name string, words []string) []string {
	words = withoutFlags(words)
	switch name {
	case "env", "nice", "nohup", "time", "setsid", "tini", "dumb-init", "catatonit", "opentelemetry-instrument", "ddtrace-run":
		return words
	case "bundle", "poetry", "pipenv", "uv", "newrelic-admin", "gosu", "su-exec":
		if len(words) > 0 { // exec, run, run-program, the user's name
			return withoutFlags(words[1:])
		}
	}
	return nil
}

// withoutFlags drops flags and assignments in front.
func withoutFlags(words []string) []string {
	for len(words) > 0 && (strings.HasPrefix(words[0], "-") || isAssignment(words[0])) {
		words = words[1:]
	}
	return words
}

// refine looks at the words behind the server's name.
func (s server) refine(words []string) server {
	for i, word := range words {
		switch {
		case s.name == "gunicorn" && (strings.Contains(word, "uvicorn") || word == "gevent" || word == "eventlet" || strings.HasSuffix(word, "=gevent") || strings.HasSuffix(word, "=eventlet")):
			s.async = true
		case s.name == "uwsgi" && (word == "--die-on-term" || word == "--hook-master-start"):
			s.stopsBy = 0
		case s.takes == byWords && (strings.HasSuffix(word, "fd://3") || word == "--fd=3" || word == "3" && i > 0 && words[i-1] == "--fd"):
			s.takes = byListenFDS
		}
	}
	return s
}

// option returns the value of a flag among words: "-b X", "--bind X", "--bind=X".
func option(words []string, names ...string) (value string, ok bool) {
	for i, word := range words {
		for _, name := range names {
			if word == name && i+1 < len(words) {
				value, ok = words[i+1], true
			} else if v, cut := strings.CutPrefix(word, name+"="); cut {
				value, ok = v, true
			}
		}
	}
	return value, ok
}
