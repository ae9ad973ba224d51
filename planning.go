package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/codeontap/entrypoint/internal/cgroup"
	"github.com/codeontap/entrypoint/internal/command"
	"github.com/codeontap/entrypoint/modes"
)

// readSettings parses what decides what runs. What is wrong is added to the
// problems; the field then has its default.
func (s *prepared) readSettings(words []string) modes.Settings {
	m := modes.Settings{Origin: map[string]modes.Origin{}, Platform: s.platform, Dir: s.dir, Words: words}
	for _, row := range s.table {
		switch v := s.of(row.flag); {
		case v.fromFlag:
			m.Origin[row.flag] = modes.FromFlag
		case v.set():
			m.Origin[row.flag] = modes.FromVariable
		}
	}
	read(s, m.Origin, "mode", &m.Mode, modes.ParseMode)
	read(s, m.Origin, "app", &m.App, func(text string) (string, error) { return text, nil })
	read(s, m.Origin, "workers", &m.Workers, modes.ParseWorkers)
	read(s, m.Origin, "strategy", &m.Strategy, command.ParseStrategy)
	read(s, m.Origin, "stop", &m.Stop, command.ParseStages)
	read(s, m.Origin, "restart", &m.Restart, command.ParseRestart)
	read(s, m.Origin, "backoff", &m.Backoff, command.ParseBackoff)
	read(s, m.Origin, "give-up", &m.GiveUp, command.ParseGiveUp)
	read(s, m.Origin, "health", &m.Health, command.ParseHealth)
	read(s, m.Origin, "health-interval", &m.Health.Interval, positive)
	read(s, m.Origin, "health-timeout", &m.Health.Timeout, positive)
	read(s, m.Origin, "health-start-period", &m.Health.StartPeriod, command.ParseDuration)
	read(s, m.Origin, "health-retries", &m.Health.Retries, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 0, errors.New("wanted: a number from 1 on")
		}
		return n, nil
	})
	read(s, m.Origin, "grace", &m.Grace, command.ParseDuration)
	read(s, m.Origin, "drain", &m.Drain, command.ParseDuration)
	read(s, m.Origin, "task-timeout", &m.TaskTimeout, positive)
	m.Tasks = s.tasks("task")
	m.InitTasks = s.tasks("init-task")
	m.WaitFor = s.words("wait-for")
	s.readBind(&m)
	return m
}

// read parses one setting into its place. What is wrong is a problem, and no
// longer given; origin may be nil.
func read[T any](s *prepared, origin map[string]modes.Origin, flag string, into *T, parse func(string) (T, error)) {
	v := s.of(flag)
	if !v.set() {
		return
	}
	parsed, err := parse(v.text[0])
	if err != nil {
		s.add(v, err)
		delete(origin, flag) // the default then, so that one mistake is told once
		return
	}
	*into = parsed
}

func positive(text string) (time.Duration, error) {
	d, err := command.ParseDuration(text)
	if err == nil && d == 0 {
		return 0, errors.New("wanted: a duration above 0 with its unit, such as 3s")
	}
	return d, err
}

// tasks reads a list of commands: each flag holds one, the variable all.
func (s *prepared) tasks(flag string) [][]string {
	v := s.of(flag)
	if !v.set() {
		return nil
	}
	if !v.fromFlag {
		all, err := modes.ParseTasks(v.text[0])
		if err != nil {
			s.add(v, err)
		}
		return all
	}
	var all [][]string
	for _, text := range v.text {
		words, err := modes.ParseTask(text)
		if err != nil {
			s.add(v, err)
			return nil
		}
		all = append(all, words)
	}
	return all
}

// list reads words with commas between them.
func (s *prepared) words(flag string) []string {
	v := s.of(flag)
	if !v.set() {
		return nil
	}
	return splitList(v.text[0])
}

func (s *prepared) readBind(m *modes.Settings) {
	v := s.of("bind")
	texts := v.text
	if v.set() && !v.fromFlag {
		texts = splitList(v.text[0])
	}
	for _, text := range texts {
		if text == "none" {
			m.BindNone = true
			continue
		}
		address, err := command.ParseAddress(text)
		if err != nil {
			s.add(v, err)
			return
		}
		m.Bind = append(m.Bind, address)
	}
}

// facts are what is there: the directory, and the machine's limits.
func (s *prepared) facts(m modes.Settings) modes.Facts {
	f := modes.Look(m, s.environment)
	f.RuntimeDir = s.runtimeDir
	f.CPUs = float64(runtime.NumCPU())
	if m.Workers.Auto { // the only one that asks; reading the cgroup costs a millisecond
		if group, err := cgroup.Find(os.DirFS("/")); err == nil {
			limits := group.Limits()
			if limits.CPU > 0 {
				f.CPUs = limits.CPU
			}
			f.Memory = limits.Memory
		}
	}
	return f
}

// splitList splits at commas and white space.
func splitList(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
}

// decide makes the plan: what runs. The error holds everything that is wrong, the
// settings' problems and the plan's.
func (s *prepared) decide(words []string) (modes.Plan, error) {
	s.how = s.readHow()
	if s.runtimeDir == "" {
		s.runtimeDir = runtimeDir(s.environment)
	}
	m := s.readSettings(words)
	elsewhere := s.has("mode") || s.has("dir")
	plan, problems := modes.New(m, s.environment, s.facts(m))
	for _, problem := range problems {
		// What cannot run of the default mode, in the default directory, is not
		// what the user has asked for.
		if !elsewhere || problem.Name != "" && !s.named(problem.Name) {
			s.list = append(s.list, problem)
		}
	}
	return plan, s.settled()
}

// how is what the settings say beside what runs.
type how struct {
	grace   time.Duration
	rewrite command.SignalMap
	output  string // pass, prefix or json
	admin   *command.Address
	decryption
}

// readHow parses it. What is wrong is added to the problems.
func (s *prepared) readHow() how {
	h := how{
		grace: s.grace(), rewrite: s.signals(), decryption: s.decryption(),
		output: s.choice(s.of("app-output"), "pass", "prefix", "json"),
	}
	if v := s.of("control"); v.set() {
		if err := controlPath(v.text[0]); err != nil {
			s.add(v, err)
		}
	}
	if v := s.of("admin"); v.set() && v.text[0] != "off" {
		address, err := command.ParseAddress(v.text[0])
		if err != nil {
			s.add(v, err)
		}
		h.admin = &address
	}
	return h
}

// controlPath says what is wrong with the path of a control socket: clients are
// elsewhere, and sun_path of unix(7) has 108 bytes with the final NUL.
func controlPath(path string) error {
	if !filepath.IsAbs(path) || len(path) > 107 {
		return errors.New("wanted: an absolute path of at most 107 bytes")
	}
	return nil
}

// grace is everything between the request to stop and KILL.
func (s *prepared) grace() time.Duration {
	return s.duration("grace", modes.DefaultGrace(s.platform))
}

// duration reads a setting that is one.
func (s *prepared) duration(flag string, fallback time.Duration) time.Duration {
	read(s, nil, flag, &fallback, command.ParseDuration)
	return fallback
}

func (s *prepared) signals() command.SignalMap {
	var m command.SignalMap
	read(s, nil, "signals", &m, command.ParseSignalMap)
	return m
}
