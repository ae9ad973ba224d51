package secrets

import (
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/test/internal/stage"
)

// django is an application's folder whose manage.py holds a mode's run to the
// contract; its mode has a script, so nothing of Django runs.
func django(t *testing.T) string {
	t.Helper()
	dir := stage.Folder(t)
	write(t, dir, "manage.py", "")
	write(t, dir, "container-web.sh", "#!/bin/sh\necho started\nexec sleep 600\n")
	write(t, dir, "container-task.sh", "#!/bin/sh\necho started\n")
	return dir
}

// violations are several, of several sets, with what each has to say.
var violations = map[string]string{
	"DATABASE_HOST=db":                      "",
	"DATABASE_PORT=x":                       "DATABASE_PORT is not a port number: wanted: a number from 1 to 65535",
	"DATABASE_PASSWRD=y":                    "did you mean DATABASE_PASSWORD?",
	"":                                      "DATABASE_USERNAME is required and not set",
	"DJANGO_DEBUG=maybe":                    "DJANGO_DEBUG is not a boolean",
	"DJANGO_TIMEZONE=UTC":                   "",
	"RABBITMQ_PORT=tcp://10.0.0.1:5672":     "",
	"RABBITMQ_HOST=mq":                      "enableServiceLinks: false",
	"RABBITMQ_USERNAME=guest":               "RABBITMQ_PASSWORD is required and not set",
	"SESSION_REDIS_HOST=redis://redis:6379": "SESSION_REDIS_HOST is not a host name but a URL",
	"CACHE_REDIS_HOST=redis":                "",
	"CACHE_REDIS_DB=first":                  "CACHE_REDIS_DB is not a number",
	"SMTP_HOST=mail":                        "",
	"SMTP_USE_TLS=perhaps":                  "SMTP_USE_TLS is not a boolean",
	"BASE_URL=www.example.org":              "BASE_URL is not a URL",
}

func violated() (env, said []string) {
	for entry, says := range violations {
		if entry != "" {
			env = append(env, entry)
		}
		if says != "" {
			said = append(said, says)
		}
	}
	return env, said
}

// A mode's run is refused, with everything that is wrong at once.
func TestAModesRunIsRefused(t *testing.T) {
	env, said := violated()
	for _, words := range [][]string{{}, {"run"}, {"--mode", "TASK", "--task", "check"}} {
		r := run(t, stage.Story{Words: words, Dir: django(t), Env: env})
		r.WantExit(78)
		r.WantOut("")
		r.WantSaid(said...)
		for line := range strings.Lines(r.Stderr.String()) {
			if !strings.HasPrefix(line, "entrypoint: error: cannot start: ") && !strings.Contains(line, "did you mean") {
				t.Errorf("an odd line: %s", line)
			}
		}
	}
}

// A command is warned and started.
func TestACommandIsWarned(t *testing.T) {
	env, said := violated()
	r := run(t, stage.Story{Words: []string{"run", "--", "echo", "started"}, Dir: django(t), Env: env})
	r.WantExit(0)
	r.WantOut("started\n")
	r.WantSaid(said...)
	if strings.Contains(r.Stderr.String(), "error") {
		t.Errorf("it is an error\n%s", r)
	}
}

// A mode's run without a manage.py is another application's.
func TestWithoutDjangoAModeIsWarned(t *testing.T) {
	env, said := violated()
	dir := stage.Folder(t)
	write(t, dir, "container-task.sh", "#!/bin/sh\necho started\n")
	r := run(t, stage.Story{Words: []string{"run", "--mode", "TASK", "--task", "check"}, Dir: dir, Env: env})
	r.WantExit(0)
	r.WantOut("started\n")
	r.WantSaid(said...)
}

// exec is free.
func TestExecIsFree(t *testing.T) {
	env, _ := violated()
	r := run(t, stage.Story{Words: []string{"exec", "echo", "started"}, Dir: django(t), Env: env})
	r.WantExit(0)
	r.WantOut("started\n")
	if text := r.Stderr.String(); text != "" {
		t.Errorf("it says %s", text)
	}
}

// The contract is checked on plaintext: what KMS gives has to be a port.
func TestTheContractIsCheckedOnPlaintext(t *testing.T) {
	k := newKMS(t)
	env := append(k.env, "DJANGO_SECRET_KEY=x", "DATABASE_HOST="+seal("db"), "DATABASE_NAME=n", "DATABASE_USERNAME=u", "DATABASE_PASSWORD="+seal("p"))
	task := []string{"run", "--mode", "TASK", "--task", "check"}
	good := run(t, stage.Story{Words: task, Dir: django(t), Env: append(env, "DATABASE_PORT="+seal("5432"))})
	good.WantExit(0)
	good.WantOut("started\n")
	bad := run(t, stage.Story{Words: task, Dir: django(t), Env: append(env, "DATABASE_PORT="+seal("no port"))})
	bad.WantExit(78)
	bad.WantSaid("DATABASE_PORT is not a port number")
	if strings.Contains(bad.Stderr.String(), "no port") {
		t.Errorf("the plaintext is repeated\n%s", bad)
	}
	// Under keep a value that stays a ciphertext is an error and a start.
	kept := run(t, stage.Story{Words: task, Dir: django(t), Env: append(env, "DATABASE_PORT="+sealUnder("another", "5432"))})
	kept.WantExit(0)
	kept.WantOut("started\n")
	kept.WantSaid("error: cannot decrypt DATABASE_PORT")
}

// Under exit nothing of a set in use may stay a ciphertext, though nothing was
// to be decrypted; what no set knows may.
func TestDecryptOffUnderExit(t *testing.T) {
	env := []string{"DJANGO_SECRET_KEY=" + seal("x"), "ENTRYPOINT_DECRYPT=off"}
	task := []string{"run", "--mode", "TASK", "--task", "check"}
	refused := run(t, stage.Story{Words: append(task, "--decrypt-failure", "exit"), Dir: django(t), Env: env})
	refused.WantExit(78)
	refused.WantSaid("DJANGO_SECRET_KEY is still a ciphertext")
	kept := run(t, stage.Story{Words: task, Dir: django(t), Env: env})
	kept.WantExit(0)
	kept.WantSaid("error: handed on as ciphertexts, because ENTRYPOINT_DECRYPT is off: DJANGO_SECRET_KEY")
	other := run(t, stage.Story{Words: append(task, "--decrypt-failure", "exit"), Dir: django(t), Env: []string{"DJANGO_SECRET_KEY=x", "MINE=" + seal("x"), "ENTRYPOINT_DECRYPT=off"}})
	other.WantExit(0)
}

// The key is required unless debug, as Python reads a boolean.
func TestTheKeyIsRequiredUnlessDebug(t *testing.T) {
	task := []string{"run", "--mode", "TASK", "--task", "check"}
	for _, test := range []struct {
		env  string
		code int
	}{
		{"", 78}, {"DJANGO_DEBUG=False", 78}, {"DJANGO_DEBUG=0", 78}, {"DJANGO_DEBUG=", 78}, {"DJANGO_SECRET_KEY=", 78},
		{"DJANGO_DEBUG=True", 0}, {"DJANGO_DEBUG=yes", 0}, {"DJANGO_DEBUG=ON", 0}, {"DJANGO_SECRET_KEY=x", 0},
	} {
		r := run(t, stage.Story{Words: task, Dir: django(t), Env: []string{test.env}})
		r.WantExit(test.code)
		if test.code != 0 {
			r.WantSaid("DJANGO_SECRET_KEY is required unless DJANGO_DEBUG is true")
		}
	}
}
