package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/modes"
)

// verbs as bits, for the settings that several of them share.
type verb uint16

const (
	onRun verb = 1 << iota
	onExec
	onPlan
	onCheck
	onHealth
	onStatus
	onRestart
	onEncrypt

	onPlanned   = onRun | onPlan | onCheck // what decides what runs
	onDecrypted = onRun | onExec | onCheck // what decrypts
	onStarted   = onRun | onExec | onPlan  // what starts something, or says so
	onClient    = onHealth | onStatus | onRestart
	onAll       = onPlanned | onExec | onClient | onEncrypt
)

// setting is one row of interface.md's table: flag > variable > default.
type setting struct {
	flag, short string
	variable    string
	fallback    string // as documentation; the code that reads it holds it too
	wanted      string // one line of help
	on          verb
	repeat      bool // the flag may be given several times
}

// settings is the table itself. The help texts, docs/settings.md and the
// resolution below come from it.
func settings() []setting {
	return []setting{
		{flag: "mode", short: "m", variable: "APP_RUN_MODE", fallback: "WEB", on: onPlanned, wanted: "WEB, TASK, WORKER, BEAT, or NAME of a container-NAME.sh"},
		{flag: "workers", short: "w", variable: "APP_WORKER_COUNT", fallback: "1", on: onPlanned, wanted: "number of copies, or auto (from the cgroup's limits)"},
		{flag: "strategy", variable: "APP_WORKER_STRATEGY", fallback: "by what runs", on: onPlanned, wanted: "copies: we start N; native: one process is told to run N"},
		{flag: "bind", variable: "APP_BIND", fallback: "by what runs", on: onPlanned, repeat: true, wanted: "address that the copies inherit: host:port, unix:/path, none"},
		{flag: "task", variable: "APP_TASK_LIST", on: onPlanned, repeat: true, wanted: "TASK: a manage.py command; the variable takes several, with ; between them"},
		{flag: "init-task", variable: "APP_INIT_TASKS", on: onPlanned, repeat: true, wanted: "a manage.py command to run once before the first copy"},
		{flag: "task-timeout", variable: "ENTRYPOINT_TASK_TIMEOUT", fallback: "none", on: onPlanned, wanted: "TASK: time for all tasks together; then exit 124"},
		{flag: "wait-for", variable: "ENTRYPOINT_WAIT_FOR", on: onPlanned, wanted: "contract sets, host:port, URLs or names of variables, with commas; 60 s, then exit 69"},
		{flag: "dir", variable: "ENTRYPOINT_DIR", fallback: ".", on: onPlanned | onExec, wanted: "application directory (src if only that has a manage.py)"},
		{flag: "app", variable: "ENTRYPOINT_APP", fallback: "found", on: onPlanned, wanted: "Python package, where more than one has a wsgi.py or celery.py"},
		{flag: "env-file", variable: "ENTRYPOINT_ENV_FILE", fallback: ".env in --dir", on: onPlanned | onExec, wanted: "file of variables, read on platform local only"},
		{flag: "platform", variable: "ENTRYPOINT_PLATFORM", fallback: "detected", on: onPlanned | onExec, wanted: "ecs, kubernetes, lambda, codeontap or local"},
		{flag: "decrypt", variable: "ENTRYPOINT_DECRYPT", fallback: "auto", on: onDecrypted | onPlan, wanted: "auto: recognised or marked values; all: every base64 value; off"},
		{flag: "decrypt-failure", variable: "ENTRYPOINT_DECRYPT_FAILURE", fallback: "keep", on: onDecrypted | onPlan, wanted: "keep: the value as it is; exit: end with 75 or 78"},
		{flag: "decrypt-timeout", variable: "ENTRYPOINT_DECRYPT_TIMEOUT", fallback: "10s", on: onDecrypted | onPlan, wanted: "time for all values together"},
		{flag: "kms-region", variable: "ENTRYPOINT_KMS_REGION", fallback: "AWS_REGION, AWS_DEFAULT_REGION", on: onDecrypted | onPlan | onEncrypt, wanted: "region of the key"},
		{flag: "kms-key-id", variable: "ENTRYPOINT_KMS_KEY_ID", fallback: "none", on: onDecrypted | onPlan | onEncrypt, wanted: "only this key may decrypt"},
		{flag: "encryption-context", variable: "KMS_ENCRYPTION_CONTEXT", fallback: "none", on: onDecrypted | onPlan | onEncrypt, wanted: "k=v,k=v"},
		{flag: "grace", variable: "ENTRYPOINT_GRACE", fallback: "8s; 25s on ecs and kubernetes", on: onStarted | onCheck, wanted: "from the request to stop to the KILL; below the platform's own"},
		{flag: "drain", variable: "ENTRYPOINT_DRAIN", fallback: "0s; 5s on kubernetes", on: onPlanned, wanted: "WEB: part of the grace in which we are not ready but still serve"},
		{flag: "stop", variable: "ENTRYPOINT_STOP", fallback: "by mode", on: onPlanned, wanted: "expert: stages such as 'TERM 5s, QUIT 3s, KILL'"},
		{flag: "signals", variable: "ENTRYPOINT_SIGNALS", fallback: "none", on: onStarted | onCheck, wanted: "rewrite of what arrives: TERM:QUIT,USR1:0,HUP:restart"},
		{flag: "restart", variable: "ENTRYPOINT_RESTART", fallback: "by mode", on: onPlanned, wanted: "always, on-failure or never"},
		{flag: "backoff", variable: "ENTRYPOINT_BACKOFF", fallback: "500ms..30s", on: onPlanned, wanted: "wait before a restart: first and cap, doubled between"},
		{flag: "give-up", variable: "ENTRYPOINT_GIVE_UP", fallback: "5/60s", on: onPlanned, wanted: "the death of a copy within the window that is its last"},
		{flag: "health", variable: "ENTRYPOINT_HEALTH", fallback: "by mode", on: onPlanned, wanted: "http:/path, tcp:host:port, exec:command, file:path<30s or none"},
		{flag: "health-interval", variable: "ENTRYPOINT_HEALTH_INTERVAL", fallback: "10s", on: onPlanned, wanted: "time between two checks"},
		{flag: "health-timeout", variable: "ENTRYPOINT_HEALTH_TIMEOUT", fallback: "3s", on: onPlanned, wanted: "time for one check"},
		{flag: "health-retries", variable: "ENTRYPOINT_HEALTH_RETRIES", fallback: "3", on: onPlanned, wanted: "failures in a row that count"},
		{flag: "health-start-period", variable: "ENTRYPOINT_HEALTH_START_PERIOD", fallback: "0s", on: onPlanned, wanted: "time in which failures do not count"},
		{flag: "admin", variable: "ENTRYPOINT_ADMIN", fallback: "off", on: onPlanned | onExec, wanted: "TCP address of /livez, /readyz, /startupz and /metrics"},
		{flag: "control", variable: "ENTRYPOINT_CONTROL", fallback: "found", on: onPlanned | onExec | onClient, wanted: "path of the control socket"},
		{flag: "app-output", variable: "ENTRYPOINT_APP_OUTPUT", fallback: "pass", on: onPlanned, wanted: "pass, prefix or json"},
		{flag: "log-format", variable: "ENTRYPOINT_LOG_FORMAT", fallback: "text", on: onAll, wanted: "text or json: our own lines, on stderr"},
		{flag: "log-level", variable: "ENTRYPOINT_LOG_LEVEL", fallback: "info", on: onAll, wanted: "debug, info, warn or error (APP_DEBUG set: debug)"},
	}
}

// flagsOf are the flags of a verb, for the cli. Variables are not given to it:
// its errors quote values, and ours may not.
func flagsOf(v verb) []cli.Flag {
	var flags []cli.Flag
	for _, s := range settings() {
		if s.on&v == 0 {
			continue
		}
		usage := s.wanted + " [" + s.variable + "]"
		if s.fallback != "" {
			usage += " (" + s.fallback + ")"
		}
		var short []string
		if s.short != "" {
			short = []string{s.short}
		}
		if s.repeat {
			flags = append(flags, &cli.StringSliceFlag{Name: s.flag, Aliases: short, Usage: usage})
		} else {
			flags = append(flags, &cli.StringFlag{Name: s.flag, Aliases: short, Usage: usage})
		}
	}
	return flags
}

// given is what the flags and the environment say, before anything is parsed.
type given struct {
	flags map[string][]string
	env   env.Environment
	table []setting
}

// flagsGiven reads what stood on the command line.
func flagsGiven(c *cli.Context) map[string][]string {
	flags := map[string][]string{}
	for _, s := range settings() {
		if !c.IsSet(s.flag) {
			continue
		}
		if s.repeat {
			flags[s.flag] = c.StringSlice(s.flag)
		} else {
			flags[s.flag] = []string{c.String(s.flag)}
		}
	}
	return flags
}

// value is one setting's text and where it stands.
type value struct {
	setting
	text     []string // one, or several of a repeated flag
	fromFlag bool
}

func (v value) set() bool { return len(v.text) > 0 }

// name is what an error calls it.
func (v value) name() string {
	if v.fromFlag {
		return "--" + v.flag
	}
	return v.variable
}

// code is that of a bad value.
func (v value) code() int {
	if v.fromFlag {
		return codeUsage
	}
	return codeConfiguration
}

// of looks a setting up: flag, else variable; an empty variable is an unset one.
func (g given) of(flag string) value {
	i := slices.IndexFunc(g.table, func(s setting) bool { return s.flag == flag })
	v := value{setting: g.table[i]}
	if text, ok := g.flags[flag]; ok {
		v.text, v.fromFlag = text, true
	} else if g.env.Has(v.variable) {
		v.text = []string{g.env.Get(v.variable).Reveal()}
	}
	return v
}

// problems collects what is wrong with the settings: all of it is told at once.
type problems struct{ list []modes.Problem }

// add notes a bad value, once for each setting: some are read more than once.
func (p *problems) add(v value, err error) {
	if !p.named(v.name()) {
		p.list = append(p.list, modes.Problem{Name: v.name(), Message: err.Error(), FromFlag: v.fromFlag, Code: v.code()})
	}
}

// has reports whether something is wrong with the setting.
func (s *prepared) has(flag string) bool { return s.named(s.of(flag).name()) }

// named reports whether something of that name is wrong.
func (p *problems) named(name string) bool {
	return slices.ContainsFunc(p.list, func(one modes.Problem) bool { return one.Name == name })
}

// code is the exit code: a flag's 64 wins over all others, because it is what
// the user has just typed; else that of the first.
func (p *problems) code() int {
	for _, one := range p.list {
		if one.Code == codeUsage {
			return codeUsage
		}
	}
	if len(p.list) == 0 {
		return codeOK
	}
	return p.list[0].Code
}

// settled returns all of them as one error, or nil.
func (p *problems) settled() error {
	if len(p.list) == 0 {
		return nil
	}
	lines := make([]string, len(p.list))
	for i, one := range p.list {
		lines[i] = one.String()
	}
	return &exitError{p.code(), errors.New(strings.Join(lines, "\n"))}
}
