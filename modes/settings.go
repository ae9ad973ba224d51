package modes

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/codeontap/entrypoint/internal/command"
)

// Origin says where a setting comes from; a problem is told in its terms.
type Origin int

const (
	Default Origin = iota
	FromVariable
	FromFlag
)

// Settings are interface.md's table, parsed. Origin holds those that were given,
// by the flag's name without dashes ("workers"); what it does not name has its
// default, and the field may be zero.
type Settings struct {
	Origin map[string]Origin

	Mode     Mode
	Platform string // local, ecs, kubernetes, lambda, codeontap
	Dir      string // as given; main has made sure that it is a directory
	App      string // Python package

	Words []string // the command given to run; none is the mode's own

	Workers  Workers
	Strategy command.Strategy

	Bind     []command.Address
	BindNone bool // "none" was among the addresses

	Tasks       [][]string
	InitTasks   [][]string
	TaskTimeout time.Duration // 0 is none
	WaitFor     []string

	Grace   time.Duration
	Drain   time.Duration
	Stop    command.Stages
	Restart command.Restart
	Backoff command.Backoff
	GiveUp  command.GiveUp
	Health  command.Health // with its rhythm, also where the kind is none
}

func (s Settings) given(flag string) bool { return s.Origin[flag] != Default }

func (s Settings) byFlag(flag string) bool { return s.Origin[flag] == FromFlag }

// variable is the name of a setting's variable: APP_* says what runs, and reaches
// the application; ENTRYPOINT_* says how.
func variable(flag string) string {
	switch flag {
	case "mode":
		return "APP_RUN_MODE"
	case "workers":
		return "APP_WORKER_COUNT"
	case "strategy":
		return "APP_WORKER_STRATEGY"
	case "bind":
		return "APP_BIND"
	case "task":
		return "APP_TASK_LIST"
	case "init-task":
		return "APP_INIT_TASKS"
	}
	return "ENTRYPOINT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// called is what the user called the setting, or may call it.
func (s Settings) called(flag string) string {
	if s.byFlag(flag) {
		return "--" + flag
	}
	return variable(flag)
}

// Workers is how many copies, or processes, are wanted.
type Workers struct {
	Count int  // from 1 on; 0 is unset
	Auto  bool // from the cgroup's limits
}

// maxWorkers is far above what one container can use, and below what would be a
// fork bomb by a typing error.
const maxWorkers = 1000

// ParseWorkers reads a number from 1 on, or auto.
func ParseWorkers(s string) (Workers, error) {
	if s == "auto" {
		return Workers{Auto: true}, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n < 1 || n > maxWorkers {
		return Workers{}, errors.New("wanted: a number from 1 to " + strconv.Itoa(maxWorkers) + ", or auto")
	}
	return Workers{Count: int(n)}, nil
}

// ParseTask reads the one command of a --task or --init-task.
func ParseTask(s string) ([]string, error) {
	words, err := command.Words(s)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("wanted: a manage.py command, such as 'migrate --noinput'")
	}
	return words, nil
}

// ParseTasks reads APP_TASK_LIST or APP_INIT_TASKS: commands with ; between them.
func ParseTasks(s string) ([][]string, error) { return command.Tasks(s) }

// DefaultGrace ends before the platform's own patience does: docker's 10 s, and
// the 30 s of ECS and Kubernetes.
func DefaultGrace(platform string) time.Duration {
	if platform == "ecs" || platform == "kubernetes" {
		return 25 * time.Second
	}
	return 8 * time.Second
}

// defaultDrain is the time in which Kubernetes takes a pod out of its Services.
func defaultDrain(platform string) time.Duration {
	if platform == "kubernetes" {
		return 5 * time.Second
	}
	return 0
}

// withDefaults fills what was not given and does not depend on what runs.
func (s Settings) withDefaults() Settings {
	if s.Mode == "" {
		s.Mode = WEB
	}
	if s.Platform == "" {
		s.Platform = "local"
	}
	if s.Dir == "" {
		s.Dir = "."
	}
	if s.Workers == (Workers{}) {
		s.Workers.Count = 1
	}
	if !s.given("grace") {
		s.Grace = DefaultGrace(s.Platform)
	}
	if !s.given("drain") {
		// A grace that the user has cut short leaves room for the stages.
		s.Drain = min(defaultDrain(s.Platform), s.Grace/2)
	}
	if !s.given("backoff") {
		s.Backoff = command.Backoff{First: 500 * time.Millisecond, Cap: 30 * time.Second}
	}
	if !s.given("give-up") {
		s.GiveUp = command.GiveUp{Deaths: 5, Window: time.Minute}
	}
	if !s.given("health") {
		s.Health.Kind, s.Health.Target, s.Health.MaxAge = command.HealthNone, "", 0
	}
	if !s.given("health-interval") {
		s.Health.Interval = 10 * time.Second
	}
	if !s.given("health-timeout") {
		s.Health.Timeout = 3 * time.Second
	}
	if !s.given("health-retries") {
		s.Health.Retries = 3
	}
	return s
}
