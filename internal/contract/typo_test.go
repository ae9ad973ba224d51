package contract_test

import (
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/internal/contract"
	"github.com/codeontap/entrypoint/internal/env"
)

// typed returns the variable that is meant, if any.
func typed(t *testing.T, name string, others ...string) (meant string, fatal bool) {
	t.Helper()
	for _, p := range contract.Check(environment(append(others, name+"=x")...), contract.Facts{}) {
		if p.Variable != name {
			continue
		}
		meant = strings.TrimSuffix(strings.TrimPrefix(p.Hint, "did you mean "), "?")
		return meant, !p.Warning
	}
	return "", false
}

func TestOneEditAwayIsATypo(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"DATABASE_PASWORD": "DATABASE_PASSWORD", "DATABASE_PASSSWORD": "DATABASE_PASSWORD", "DATABASE_PASSWROD": "DATABASE_PASSWORD", "DATABSE_HOST": "DATABASE_HOST",
		"DATABASE-HOST": "DATABASE_HOST", "SENTRY_DNS": "SENTRY_DSN", "RABITMQ_HOST": "RABBITMQ_HOST", "DJANGO_SECRETKEY": "DJANGO_SECRET_KEY", "database_host": "DATABASE_HOST",
		"Database_Name": "DATABASE_NAME", "AWS_REGIN": "AWS_REGION", "DATABASE_H0ST": "DATABASE_HOST", "APP_RUNMODE": "APP_RUN_MODE", "XDATABASE_HOST": "DATABASE_HOST",
		"DATABASE_PASSWORD_FIEL": "DATABASE_PASSWORD_FILE", "DATABASE_PASWORD_FILE": "DATABASE_PASSWORD_FILE",
	} {
		if got, _ := typed(t, name); got != want {
			t.Errorf("%s: meant %q, want %q", name, got, want)
		}
	}
}

// A variable may be called anything: these are somebody's own.
func TestWhatIsMeantIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"DATABASE_URL", "DATABASE_USER", "DATABASE_PASS", "DATABASE_HOST2", "DATABASE2_HOST", "DATABASE_1_HOST", "REDIS_HOST", "SESSION_REDIS_URL", "SESSION_HOST",
		"SESSION_COOKIE_AGE", "CACHE_URL", "CACHE_REDIS_DB1", "SMTP_FROM_NAME", "SMTP_USE_SSL", "SMTP_USER", "SMTP_FROM", "SENTRY_RELEASE", "SENTRY_ENVIRONMENT", "AWS_DEFAULT_REGION",
		"AWS_REGION_NAME", "APPDATA_KEY", "DJANGO_SETTINGS_MODULE", "DJANGO_SECRET", "DJANGO_ALLOWED_HOSTS", "APP_BIND", "APP_DEBUG", "APP_INIT_TASKS", "APP_PLATFORM",
		"APP_WORKER_INDEX", "APP_WORKER_STRATEGY", "APP_WORKER_TOTAL", "COUCHDB_URL", "RABBITMQ_NODENAME", "RABBITMQ_DEFAULT_USER", "RABBITMQ_SERVICE_HOST", "ENTRYPOINT_GRACE", "PORT",
		"HOST", "PASSWORD", "_", "", "DATABASE_PASSWORD_FILE", "POSTGRES_PASSWORD",
	} {
		if meant, _ := typed(t, name); meant != "" {
			t.Errorf("%s is taken for %s", name, meant)
		}
	}
	// Once the right one is there, the other one is another one.
	if meant, _ := typed(t, "DATABASE_HOSTS", "DATABASE_HOST=x"); meant != "" {
		t.Errorf("DATABASE_HOSTS beside DATABASE_HOST is taken for %s", meant)
	}
	if got := contract.Check(environment("DATABASE_PASWORD="), contract.Facts{}); len(got) != 0 {
		t.Errorf("an empty variable is an unset one: %v", got)
	}
}

// A wrong first name turns its set off: an application on SQLite in production,
// in silence.
func TestATypoIsFatalWhereItTurnsASetOff(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		others []string
		fatal  bool
	}{
		{"DATABASE_HOTS", []string{"DATABASE_NAME=x", "DATABASE_PASSWORD=x"}, true},
		{"DATABASE_HOTS", nil, false},
		{"DATABASE_PROT", []string{"DATABASE_HOST=x"}, false},
		{"BASE_URI", []string{"DJANGO_DEBUG=1"}, false},
	} {
		if meant, fatal := typed(t, test.name, test.others...); meant == "" || fatal != test.fatal {
			t.Errorf("%s beside %v: meant %q, fatal %v, want %v", test.name, test.others, meant, fatal, test.fatal)
		}
	}
}

// No two of the contract's names are so near that one is the other's typo.
func TestTheContractsNamesAreFarApart(t *testing.T) {
	t.Parallel()
	var e env.Environment
	for _, s := range contract.Sets() {
		for _, v := range s.Variables {
			one := e.Set(env.FromEnvironment, v.Name, "x").Set(env.FromEnvironment, v.Name+"_FILE", "x")
			for _, p := range contract.Check(one, contract.Facts{}) {
				if strings.Contains(p.Hint, "did you mean") {
					t.Error(p)
				}
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	e := environment("DJANGO_DEBUG=1", "DATABASE_HOST=db", "DATABASE_NAME=x", "DATABASE_USERNAME=x", "DATABASE_PASSWORD=x", "PATH=x", "HOME=x", "HOSTNAME=x", "LANG=x",
		"GPG_KEY=x", "PYTHON_VERSION=x", "PYTHON_SHA256=x", "AWS_EXECUTION_ENV=x", "ECS_CONTAINER_METADATA_URI_V4=x", "RABBITMQ_SERVICE_HOST=x", "RABBITMQ_SERVICE_PORT=x",
		"DJANGO_SETTINGS_MODULE=x", "SESSION_COOKIE_AGE=1", "MY_OWN_VARIABLE=x", "ANOTHER_VARIABLE=x", "DATABASE_URL=x", "SMTP_FROM_NAME=x", "KUBERNETES_SERVICE_HOST=x")
	for b.Loop() {
		contract.Check(e, contract.Facts{})
	}
}
