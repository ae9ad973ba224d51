package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/codeontap/entrypoint/internal/contract"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/modes"
)

// The platforms, as APP_PLATFORM names them.
const (
	platformLocal      = "local"
	platformECS        = "ecs"
	platformKubernetes = "kubernetes"
	platformLambda     = "lambda"
	platformCodeontap  = "codeontap" // only when told
)

// prepared is what every verb begins with: the settings, the environment with
// .env and X_FILE merged, nothing decrypted yet.
type prepared struct {
	given
	problems
	log         *slog.Logger
	environment env.Environment
	platform    string
	dir         string
	dotenv      string // path of the file that counts, read or not
	dotenvRead  bool
	runtimeDir  string // of this run; made if the plan uses it
	how         how
}

// prepare reads everything that can be read without asking anybody. What is
// wrong with files and settings is collected until the caller asks for it, so
// that all of it is told at once.
func (p *program) prepare(flags map[string][]string) *prepared {
	e, dropped := env.Parse(p.environ)
	s := &prepared{given: given{flags: flags, env: e, table: settings()}, environment: e}
	s.log = p.logger(s)
	if dropped > 0 {
		s.log.Warn("entries of the environment without a name or '=' are ignored", "entries", dropped)
	}
	s.platform = s.choosePlatform()
	s.dir = s.chooseDirectory()
	if err := s.readFiles(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			s.list = append(s.list, modes.Problem{Message: line, Code: codeConfiguration})
		}
	}
	s.log = p.logger(s) // .env may say how to log
	return s
}

// readFiles merges .env, where it counts, and the values of X_FILE.
func (s *prepared) readFiles() error {
	dotenv := s.readDotenv()
	files, err := env.ReadFiles(s.environment, contract.Names())
	s.environment, s.env = files, files
	if err := errors.Join(dotenv, err); err != nil {
		return &exitError{codeConfiguration, err}
	}
	return nil
}

func (p *program) logger(s *prepared) *slog.Logger {
	format := s.choice(s.of("log-format"), "text", "json")
	level := slog.LevelInfo
	switch s.choice(s.of("log-level"), "info", "debug", "warn", "error") {
	case "debug":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	default:
		if !s.of("log-level").set() && s.env.Has("APP_DEBUG") {
			level = slog.LevelDebug
		}
	}
	return newLogger(p.messages, format, level)
}

// choice returns the value, or the first of the possible ones where it is
// unset or wrong.
func (s *prepared) choice(v value, possible ...string) string {
	if !v.set() {
		return possible[0]
	}
	for _, one := range possible {
		if v.text[0] == one {
			return one
		}
	}
	s.add(v, fmt.Errorf("wanted: %s", oneOf(possible)))
	return possible[0]
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// choosePlatform sees what the platforms themselves set.
func (s *prepared) choosePlatform() string {
	if v := s.of("platform"); v.set() {
		return s.choice(v, platformLocal, platformECS, platformKubernetes, platformLambda, platformCodeontap)
	}
	switch {
	case s.env.Has("AWS_LAMBDA_FUNCTION_NAME"):
		return platformLambda
	case s.env.Has("ECS_CONTAINER_METADATA_URI_V4"), s.env.Has("ECS_CONTAINER_METADATA_URI"),
		strings.HasPrefix(s.env.Get("AWS_EXECUTION_ENV").Reveal(), "AWS_ECS_"):
		return platformECS
	case s.env.Has("KUBERNETES_SERVICE_HOST"):
		return platformKubernetes
	}
	return platformLocal
}

// chooseDirectory is --dir, else the working directory, else src where only
// that has a manage.py.
func (s *prepared) chooseDirectory() string {
	if v := s.of("dir"); v.set() {
		if info, err := os.Stat(v.text[0]); err != nil || !info.IsDir() {
			s.add(v, errors.New("wanted: a directory that is there"))
			return "."
		}
		return v.text[0]
	}
	if !exists("manage.py") && exists("src/manage.py") {
		return "src"
	}
	return "."
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readDotenv merges the file under the environment, on platform local only.
func (s *prepared) readDotenv() error {
	named := s.of("env-file")
	s.dotenv = filepath.Join(s.dir, ".env")
	if named.set() {
		s.dotenv = named.text[0]
	}
	if s.platform != platformLocal {
		if exists(s.dotenv) {
			s.log.Info("not read: .env files are for platform local", "file", s.dotenv, "platform", s.platform)
		}
		return nil
	}
	file, err := env.ReadDotenv(s.dotenv, s.environment)
	for _, warning := range file.Warnings {
		s.log.Warn(warning)
	}
	if err != nil {
		return err
	}
	if !file.Found {
		if named.set() {
			s.add(named, errors.New("wanted: a file that is there"))
		}
		return nil
	}
	s.dotenvRead = true
	s.environment = s.environment.Merge(file.Variables...)
	s.env = s.environment
	return nil
}
