package contract_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/contract"
	"github.com/codeontap/entrypoint/internal/env"
)

const canary = "CANARYhunter2"

func environment(entries ...string) env.Environment {
	e, _ := env.Parse(entries)
	return e
}

// brief is a problem as `set variable problem`, with ! where it is fatal.
func brief(problems []contract.Problem) []string {
	lines := []string{}
	for _, p := range problems {
		line := p.Set + " " + p.Variable + " " + p.Problem
		if !p.Warning {
			line = "! " + line
		}
		lines = append(lines, line)
	}
	return lines
}

var django = contract.Facts{Django: true}

func expect(t *testing.T, facts contract.Facts, entries []string, want ...string) []contract.Problem {
	t.Helper()
	got := contract.Check(environment(entries...), facts)
	if diff := cmp.Diff(append([]string{}, want...), brief(got)); diff != "" {
		t.Errorf("%q (- want, + got):\n%s", entries, diff)
	}
	for _, p := range got {
		if strings.Contains(p.String(), canary) {
			t.Errorf("a value is shown: %s", p)
		}
		if p.Hint == "" || p.Set == "" || strings.Contains(p.String(), "\n") {
			t.Errorf("incomplete, or of several lines: %q", p)
		}
	}
	return got
}

func TestDebugAloneIsEnough(t *testing.T) {
	t.Parallel()
	expect(t, django, []string{"DJANGO_DEBUG=True", "HOME=/root", "PATH=/bin", "HOSTNAME=x", "PORT=banana"})
}

func TestASecretKeyIsRequiredUnlessDebug(t *testing.T) {
	t.Parallel()
	const missing = "! django DJANGO_SECRET_KEY required unless DJANGO_DEBUG is true"
	expect(t, django, nil, missing)
	expect(t, django, []string{"DJANGO_DEBUG=", "DJANGO_SECRET_KEY="}, missing)
	expect(t, django, []string{"DJANGO_DEBUG=off"}, missing)
	expect(t, django, []string{"DJANGO_DEBUG=YES"})
	expect(t, django, []string{"DJANGO_SECRET_KEY=" + canary})
	expect(t, django, []string{"DJANGO_DEBUG=" + canary}, "! django DJANGO_DEBUG not a boolean", missing)
	// Where no manage.py stands, what is set is looked at and nothing is demanded.
	expect(t, contract.Facts{}, nil)
	expect(t, contract.Facts{}, []string{"DJANGO_DEBUG=" + canary}, "! django DJANGO_DEBUG not a boolean")
}

func TestEverySetIsOffUntilItsFirstVariableIsSet(t *testing.T) {
	t.Parallel()
	for _, s := range contract.Sets() {
		if s.Always {
			continue
		}
		first := s.Variables[0].Name
		var others, required []string
		for _, v := range s.Variables[1:] {
			others = append(others, v.Name+"=not \x7f right at all ")
			if v.Required {
				required = append(required, "! "+s.Name+" "+v.Name+" required and not set")
			}
		}
		expect(t, contract.Facts{}, others)
		if s.Name != "sentry" && s.Name != "search" { // their first is of a form
			expect(t, contract.Facts{}, []string{first + "=x"}, required...)
		}
	}
}

// What the documents promise of each set: another way of writing the table.
func TestTheRequiredOnesAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, s := range contract.Sets() {
		var names []string
		for _, v := range s.Variables {
			if v.Required {
				names = append(names, v.Name)
			}
			if v.Default != "" {
				names = append(names, v.Name+"="+v.Default)
			}
		}
		got[s.Name] = strings.Join(names, " ")
	}
	want := map[string]string{
		"run":      "APP_RUN_MODE=WEB APP_WORKER_COUNT=1",
		"django":   "DJANGO_DEBUG=False DJANGO_SECRET_KEY DJANGO_TIMEZONE=UTC",
		"database": "DATABASE_HOST DATABASE_PORT=5432 DATABASE_NAME DATABASE_USERNAME DATABASE_PASSWORD DATABASE_ENGINE=postgresql",
		"rabbitmq": "RABBITMQ_HOST RABBITMQ_PORT=5672 RABBITMQ_VHOST=/ RABBITMQ_USERNAME RABBITMQ_PASSWORD",
		"session":  "SESSION_REDIS_HOST SESSION_REDIS_PORT=6379 SESSION_REDIS_DB=0",
		"cache":    "CACHE_REDIS_HOST CACHE_REDIS_PORT=6379 CACHE_REDIS_DB=0",
		"couchdb":  "COUCHDB_USERNAME COUCHDB_PASSWORD COUCHDB_HOST=couchdb COUCHDB_PORT=5984",
		"sentry":   "SENTRY_DSN", "smtp": "SMTP_HOST SMTP_PORT=587 SMTP_USE_TLS=False", "aws": "AWS_REGION", "appdata": "APPDATA_BUCKET", "search": "ANALYTICS_ES_ENDPOINT",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// One start, one list: nobody repairs an environment restart by restart.
func TestEverythingIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	expect(t, django, []string{
		"DATABASE_HOST=postgres://u:" + canary + "@db/x", "DATABASE_PORT=" + canary, "DATABASE_ENGINE=" + canary, "DATABASE_PASWORD=" + canary,
		"RABBITMQ_HOST=" + canary, "RABBITMQ_PORT=tcp://10.0.0.1:5672", "SESSION_REDIS_HOST=redis", "SESSION_REDIS_PORT=65536", "SESSION_REDIS_DB=-1",
		"CACHE_REDIS_HOST=a b", "COUCHDB_USERNAME=x", "SENTRY_DSN=" + canary, "SMTP_HOST=mail", "SMTP_USE_TLS=maybe", "BASE_URL=//" + canary,
		"ANALYTICS_ES_ENDPOINT=" + canary,
	},
		"! django DJANGO_SECRET_KEY required unless DJANGO_DEBUG is true",
		"! django BASE_URL not a URL",
		"! database DATABASE_HOST not a host name but a URL",
		"! database DATABASE_PORT not a port number",
		"! database DATABASE_NAME required and not set",
		"! database DATABASE_USERNAME required and not set",
		"! database DATABASE_PASSWORD required and not set",
		"! database DATABASE_ENGINE not a known choice",
		"! rabbitmq RABBITMQ_PORT not a port number but a service link of Kubernetes",
		"! rabbitmq RABBITMQ_USERNAME required and not set",
		"! rabbitmq RABBITMQ_PASSWORD required and not set",
		"! session SESSION_REDIS_PORT not a port number",
		"! session SESSION_REDIS_DB not a number",
		"! cache CACHE_REDIS_HOST not a host name",
		"! couchdb COUCHDB_PASSWORD required and not set",
		"! sentry SENTRY_DSN not a URL",
		"! smtp SMTP_USE_TLS not a boolean",
		"! search ANALYTICS_ES_ENDPOINT not an endpoint",
		"database DATABASE_PASWORD not a variable of the contract",
	)
}

func TestAServiceLinkSaysWhereItComesFrom(t *testing.T) {
	t.Parallel()
	for name, service := range map[string]string{"RABBITMQ_PORT": "rabbitmq", "SESSION_REDIS_PORT": "session-redis"} {
		first := strings.TrimSuffix(name, "_PORT") + "_HOST"
		problems := contract.Check(environment(first+"=x", name+"=tcp://10.0.0.1:5672", "RABBITMQ_USERNAME=x", "RABBITMQ_PASSWORD=x"), contract.Facts{})
		if len(problems) != 1 || !strings.Contains(problems[0].Hint, "enableServiceLinks: false") || !strings.HasSuffix(problems[0].Hint, "Service called "+service) {
			t.Errorf("%s: %v", name, problems)
		}
	}
	// Those that come with it mean nothing to anybody.
	expect(t, contract.Facts{}, []string{
		"RABBITMQ_PORT=tcp://10.0.0.1:5672", "RABBITMQ_SERVICE_HOST=10.0.0.1", "RABBITMQ_SERVICE_PORT=5672", "RABBITMQ_PORT_5672_TCP=tcp://10.0.0.1:5672",
		"RABBITMQ_PORT_5672_TCP_PROTO=tcp", "RABBITMQ_PORT_5672_TCP_PORT=5672", "RABBITMQ_PORT_5672_TCP_ADDR=10.0.0.1", "KUBERNETES_PORT=tcp://10.0.0.1:443",
	})
}

// What stays encrypted counts as set and is nobody's to judge: under keep the
// application starts with it, offline it cannot be read.
func TestCiphertextIsNotJudged(t *testing.T) {
	t.Parallel()
	facts := contract.Facts{Django: true, Ciphertext: func(name string) bool { return strings.HasPrefix(name, "DATABASE_P") || name == "DJANGO_DEBUG" }}
	entries := []string{"DJANGO_DEBUG=AQICAH", "DATABASE_HOST=db", "DATABASE_PORT=AQICAH", "DATABASE_NAME=x", "DATABASE_USERNAME=x", "DATABASE_PASSWORD=AQICAH\n"}
	expect(t, facts, entries)
	expect(t, django, entries, "! django DJANGO_DEBUG not a boolean", "! django DJANGO_SECRET_KEY required unless DJANGO_DEBUG is true",
		"! database DATABASE_PORT not a port number", "database DATABASE_PASSWORD ending in a line end")
}

func TestAHintSaysWhatToDo(t *testing.T) {
	t.Parallel()
	problems := contract.Check(environment("DATABASE_HOST=db", "DATABASE_NAME=x", "DATABASE_USERNAME=x", "DATABASE_PASWORD=x"), contract.Facts{})
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	want := []string{
		"DATABASE_PASSWORD is required and not set: set it, or unset DATABASE_HOST if the SQL database set is not in use; DATABASE_PASSWORD_FILE may name a file with it",
		"DATABASE_PASWORD is not a variable of the contract: did you mean DATABASE_PASSWORD?",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

func TestProblemsHaveTheFormThatCheckPromises(t *testing.T) {
	t.Parallel()
	p := contract.Check(environment("DATABASE_HOST=db", "DATABASE_NAME=x", "DATABASE_USERNAME=x", "DATABASE_PASSWORD=x", "DATABASE_PORT=x"), contract.Facts{})
	got, err := json.Marshal(p)
	want := `[{"set":"database","variable":"DATABASE_PORT","problem":"not a port number","hint":"wanted: a number from 1 to 65535, without white space"}]`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	if got, err := json.Marshal(contract.Check(env.Environment{}, contract.Facts{})); err != nil || string(got) != "[]" {
		t.Errorf("nothing wrong is %s, %v", got, err)
	}
}

func TestValuesAreOfTheirKind(t *testing.T) {
	t.Parallel()
	kinds := map[string]struct{ right, wrong []string }{
		"DATABASE_PORT":   {[]string{"1", "5432", "65535"}, []string{"0", "65536", "-1", "+1", " 5432", "5432 ", "0x50", "5_432", "５４３２", "tcp", "99999999999999999999"}},
		"DATABASE_HOST":   {[]string{"db", "10.0.0.1", "::1", "[::1]", "/run/postgresql", "a,b", "db.example"}, []string{"a b", "db\n", "mysql://x", "\x00"}},
		"DATABASE_ENGINE": {[]string{"postgresql", "mysql", "sqlite3", "django.contrib.gis.db.backends.postgis"}, []string{"postgres", "Postgresql", "x..y", ".", "a b.c"}},
		"DJANGO_DEBUG":    {[]string{"true", "True", "TRUE", "on", "ok", "y", "Yes", "1", "false", "OFF", "n", "no", "0"}, []string{"t", "f", "2", " true", "true ", "enabled", "None"}},
		"BASE_URL":        {[]string{"http://x", "https://example.com:8443/a?b#c", "http://[::1]:80/"}, []string{"example.com", "/path", "ftp://x", "http://", "http:///x", "http://x:0", "http://x:99999", "http://x y", ":", "https://%zz"}},
		"ANALYTICS_ES_ENDPOINT": {[]string{"https://es.example:443", "localhost:9200", "search-x.eu-west-1.es.amazonaws.com", "[::1]:9200"},
			[]string{"banana", "es:port", ":9200", "a b:1", "es:0", "u:p@es:1", "ftp://es:21"}},
		"SESSION_REDIS_DB": {[]string{"0", "15"}, []string{"-1", "1.0", "a", "1 "}},
		"SENTRY_DSN":       {[]string{"https://key@o1.ingest.sentry.io/42"}, []string{"key@sentry.io", "sentry"}},
	}
	complete := []string{"DATABASE_HOST=x", "DATABASE_NAME=x", "DATABASE_USERNAME=x", "DATABASE_PASSWORD=x", "SESSION_REDIS_HOST=x"}
	for name, values := range kinds {
		for _, value := range slices.Concat(values.right, values.wrong) {
			want := 0
			if slices.Contains(values.wrong, value) {
				want = 1
			}
			problems := contract.Check(environment(append([]string{name + "=" + value}, complete...)...), contract.Facts{})
			if len(problems) != want {
				t.Errorf("%s=%q: %v", name, value, problems)
			}
		}
	}
}

func TestBooleansAreThoseOfPython(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"true", "on", "ok", "y", "yes", "1"} {
		for _, s := range []string{s, strings.ToUpper(s), strings.ToUpper(s[:1]) + s[1:]} {
			if value, ok := contract.Bool(s); !value || !ok {
				t.Errorf("%s is %v, %v", s, value, ok)
			}
		}
	}
	for _, s := range []string{"false", "off", "n", "no", "0", "FALSE", "No"} {
		if value, ok := contract.Bool(s); value || !ok {
			t.Errorf("%s is %v, %v", s, value, ok)
		}
	}
	for _, s := range []string{"", " ", "truе" /* a Cyrillic e */, "yes please", "2"} {
		if value, ok := contract.Bool(s); value || ok {
			t.Errorf("%q is %v, %v", s, value, ok)
		}
	}
}

func TestFilesAreReadForTheContractsOwn(t *testing.T) {
	t.Parallel()
	names := contract.Names()
	for _, name := range []string{"DATABASE_PASSWORD", "DJANGO_SECRET_KEY", "APPDATA_BUCKET", "SENTRY_DSN", "BASE_URL", "DJANGO_EMAIL_BACKEND"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s_FILE is not read", name)
		}
	}
	for _, name := range names {
		if strings.HasPrefix(name, "APP_") || strings.HasPrefix(name, "AWS_") || strings.HasSuffix(name, "_FILE") {
			t.Errorf("%s_FILE is read", name)
		}
	}
	if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) != len(names) {
		t.Error("a variable stands in two sets")
	}
}

func TestASetsServerHasAnAddress(t *testing.T) {
	t.Parallel()
	for want, entries := range map[string][]string{
		"database db:5432":              {"DATABASE_HOST=db"},
		"database db:3306":              {"DATABASE_HOST=db", "DATABASE_ENGINE=mysql"},
		"database db:1":                 {"DATABASE_HOST=db", "DATABASE_PORT=1", "DATABASE_ENGINE=mysql"},
		"database [::1]:5432":           {"DATABASE_HOST=::1"},
		"database [::2]:5432":           {"DATABASE_HOST=[::2]"},
		"rabbitmq mq:5672":              {"RABBITMQ_HOST=mq", "RABBITMQ_PORT="},
		"session r:6379":                {"SESSION_REDIS_HOST=r"},
		"cache r:6380":                  {"CACHE_REDIS_HOST=r", "CACHE_REDIS_PORT=6380"},
		"couchdb couchdb:5984":          {"COUCHDB_USERNAME=x"},
		"sentry sentry.io:443":          {"SENTRY_DSN=https://k@sentry.io/1"},
		"smtp mail:587":                 {"SMTP_HOST=mail"},
		"search es.example:9200":        {"ANALYTICS_ES_ENDPOINT=es.example"},
		"search es:9201":                {"ANALYTICS_ES_ENDPOINT=es:9201"},
		"search es:80":                  {"ANALYTICS_ES_ENDPOINT=http://es/x"},
		"database none, not in use":     {"DATABASE_PORT=1"},
		"database none, a folder":       {"DATABASE_HOST=/run/postgresql"},
		"rabbitmq none, a service link": {"RABBITMQ_HOST=mq", "RABBITMQ_PORT=tcp://10.0.0.1:5672"},
		"sentry none, no URL":           {"SENTRY_DSN=x"},
		"aws none, no server":           {"AWS_REGION=eu-west-1"},
		"django none, ourselves":        {"BASE_URL=http://x"},
	} {
		name, address, _ := strings.Cut(want, " ")
		s, known := contract.Lookup(name)
		got, ok := s.Address(environment(entries...))
		if !known || ok == strings.HasPrefix(address, "none") || ok && got != address {
			t.Errorf("%q: %s, %v, want %s", entries, got, ok, address)
		}
	}
	if _, known := contract.Lookup("postgres"); known {
		t.Error("there is no set postgres")
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("tcp://10.0.0.1:1", "DATABASE_HOTS")
	f.Add("https://u:p@[::1]:0/%zz", "DATABASE_PASSWORD_FIL")
	f.Add("\n", "")
	f.Fuzz(func(t *testing.T, value, name string) {
		var e env.Environment
		for _, s := range contract.Sets() {
			for _, v := range s.Variables {
				e = e.Set(env.FromEnvironment, v.Name, canary+value)
			}
		}
		if name != "" && !strings.Contains(name, canary) {
			e = e.Set(env.FromEnvironment, name, canary)
		}
		for _, p := range contract.Check(e, django) {
			if strings.Contains(fmt.Sprintf("%+v", p), canary) {
				t.Errorf("%q: %v", value, p)
			}
		}
		for _, s := range contract.Sets() {
			s.Address(environment(s.Variables[0].Name + "=" + value))
		}
	})
}
