//go:build engine

// Package codeontap renders the fragments of devops/codeontap with FreeMarker
// itself, as the engine does: put together with others inside of one switch.
package codeontap

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/internal/contract"
	"github.com/codeontap/entrypoint/internal/env"
)

const freemarker = "/usr/share/java/freemarker.jar" // Debian: libfreemarker-java

// solution is what the engine knows when it renders; as FreeMarker's literals.
type solution struct{ keys, credentials, settings string }

var (
	bare = solution{`{ "cmkXarn" : "arn:key" }`, `{ "web-site-www" : { "API" : { "SecretKey" : "cipher" } } }`, `{}`}
	full = solution{
		`{ "cmkXarn" : "arn:key", "rdsXdns" : "db.example.org", "rdsXport" : "5432", "rdsXname" : "shop",
		   "cacheXdns" : "cache.example.org", "cacheXport" : "6379", "esXdns" : "es.example.org" }`,
		`{ "web-site-www" : { "API" : { "SecretKey" : "cipher" } },
		   "db-www" : { "Login" : { "Username" : "app", "Password" : "cipher" } },
		   "web-site-rabbitmq" : { "Login" : { "Username" : "app", "Password" : "cipher" } },
		   "web-site-couchdb" : { "Login" : { "Username" : "app", "Password" : "cipher" } },
		   "sentry" : { "API" : { "SecretKey" : "https://key@sentry.example.org/1" } },
		   "smtp" : { "Login" : { "Username" : "app", "Password" : "cipher" } } }`,
		`{ "Debug" : false, "TimeZone" : "Europe/Berlin", "BaseURL" : "https://www.example.org",
		   "TaskList" : "check; migrate --noinput", "RabbitMQ" : { "VHost" : "shop" },
		   "SMTP" : { "Host" : "smtp.example.org", "From" : "shop@example.org" } }`,
	}
)

// call is one of the engine's.
type call struct {
	solution                    solution
	container, mode, list, kind string
}

func (c call) template(fragment string) string {
	return fmt.Sprintf("[#assign keys = %s, credentialsObject = %s, appSettingsObject = %s]\n", c.solution.keys, c.solution.credentials, c.solution.settings) +
		fmt.Sprintf("[#assign containerId = %q, containerName = %q, containerRunMode = %q, containerListMode = %q, containerListTarget = %q]\n", c.container, c.container, c.mode, c.list, c.kind) +
		"[#switch containerId]\n" + fragment + fragment2 + "[/#switch]\n[#-- counted --]" +
		"[#if containerListMode?ends_with(\"Count\")]${environmentCount} ${policyCount}[/#if]"
}

// fragment2 is somebody else's, behind ours.
const fragment2 = "[#case \"other\"]\n\"Name\" : \"other\",[#break]\n"

// render gives back what came out of each call.
func render(t *testing.T, fragment string, calls ...call) ([]string, error) {
	t.Helper()
	dir := t.TempDir()
	engine, err := os.ReadFile("testdata/engine.ftl")
	if err != nil {
		t.Fatal(err)
	}
	name := func(i int, end string) string { return filepath.Join(dir, fmt.Sprintf("%03d.%s", i, end)) }
	for i, c := range calls {
		if err := os.WriteFile(name(i, "ftl"), []byte(string(engine)+c.template(fragment)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(freemarker); err != nil {
		t.Fatalf("%v: apt-get install libfreemarker-java default-jdk-headless", err)
	}
	if said, err := exec.Command("java", "-cp", freemarker, "testdata/Render.java", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	results := make([]string, len(calls))
	for i := range calls {
		out, err := os.ReadFile(name(i, "out"))
		if err != nil {
			t.Fatal(err)
		}
		results[i] = strings.TrimSpace(string(out))
	}
	return results, nil
}

// fragment reads one of devops/codeontap, with {containerid} replaced as its
// comment says.
func fragment(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../../devops/codeontap/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "{containerid}", "www")
}

var (
	modes = []string{"WEB", "TASK", "WORKER", "BEAT"}
	lists = []string{"definition", "environmentCount", "environment", "policyCount", "policy", "volumeMountCount", "volumes"}
	kinds = []string{"docker", "lambda"}
)

// In every list mode and run mode the pieces are JSON, and there are as many as
// the engine was told.
func TestEveryModeIsJSON(t *testing.T) {
	var calls []call
	for _, s := range []solution{bare, full} {
		for _, mode := range modes {
			for _, list := range lists {
				for _, kind := range kinds {
					calls = append(calls, call{s, "www", mode, list, kind})
				}
			}
		}
	}
	results, err := render(t, fragment(t, "container_{containerid}.ftl"), calls...)
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]int{}
	for i, c := range calls {
		out := results[i]
		name := fmt.Sprintf("%s %s %s", c.mode, c.list, c.kind)
		switch c.list {
		case "environmentCount":
			n := 0
			if _, err := fmt.Sscanf(out, "%d 0", &n); err != nil || n == 0 {
				t.Errorf("%s: counted %q", name, out)
			}
			counted[c.kind] = n
		case "environment":
			if got := len(environment(t, c.kind, out)); got != counted[c.kind] {
				t.Errorf("%s: %d variables, and %d were counted", name, got, counted[c.kind])
			}
		case "policyCount":
			if out != "0 1" {
				t.Errorf("%s: counted %q", name, out)
			}
		case "policy":
			var policies map[string]struct {
				Roles     string
				Statement []struct{ Action, Resource string }
			}
			decode(t, name, "{"+out+"}", &policies)
			got := fmt.Sprint(policies)
			if want := "map[policyXwww:{roleXwww [{kms:Decrypt arn:key} {s3:* data/appdata/www}]}]"; got != want {
				t.Errorf("%s: %s", name, got)
			}
		case "definition":
			var definition map[string]any
			decode(t, name, "{"+out+` "End": 0}`, &definition)
			if want := c.kind == "docker"; (definition["Name"] == "www") != want {
				t.Errorf("%s: %v", name, definition)
			}
		default:
			if out != "" && out != "0 0" {
				t.Errorf("%s: %q", name, out)
			}
		}
	}
}

// What a container gets keeps the environment contract: nothing is missing in a
// set that is in use, and nothing is called otherwise.
func TestEnvironmentKeepsTheContract(t *testing.T) {
	known := map[string]bool{"BUILD_REFERENCE": true}
	for _, set := range contract.Sets() {
		for _, v := range set.Variables {
			known[v.Name] = true
		}
	}
	cases := []struct {
		name string
		call call
		want map[string]string // "" is: not there
	}{
		{"web", call{full, "www", "WEB", "environment", "docker"}, map[string]string{
			"APP_RUN_MODE": "WEB", "APP_WORKER_COUNT": "3", "ENTRYPOINT_PLATFORM": "codeontap", "ENTRYPOINT_DECRYPT_FAILURE": "exit",
			"DJANGO_DEBUG": "false", "DJANGO_SECRET_KEY": "cipher", "DJANGO_TIMEZONE": "Europe/Berlin",
			"DATABASE_HOST": "db.example.org", "SESSION_REDIS_DB": "0", "CACHE_REDIS_DB": "1", "CACHE_REDIS_HOST": "cache.example.org",
			"RABBITMQ_HOST": "rabbit", "RABBITMQ_VHOST": "shop", "COUCHDB_USERNAME": "app", "SMTP_FROM_EMAIL": "shop@example.org",
			"ANALYTICS_ES_ENDPOINT": "https://es.example.org:443", "APP_TASK_LIST": "",
		}},
		{"worker", call{full, "www", "WORKER", "environment", "docker"}, map[string]string{"APP_WORKER_COUNT": "4"}},
		{"beat", call{full, "www", "BEAT", "environment", "docker"}, map[string]string{"APP_WORKER_COUNT": "", "APP_TASK_LIST": ""}},
		{"task", call{full, "www", "TASK", "environment", "docker"}, map[string]string{"APP_TASK_LIST": "check; migrate --noinput"}},
		{"task without a list", call{bare, "www", "TASK", "environment", "docker"}, map[string]string{"APP_TASK_LIST": "migrate --noinput"}},
		{"web on nothing", call{bare, "www", "WEB", "environment", "docker"}, map[string]string{
			"DATABASE_HOST": "", "RABBITMQ_HOST": "", "CACHE_REDIS_HOST": "", "COUCHDB_USERNAME": "", "SENTRY_DSN": "", "SMTP_HOST": "", "ANALYTICS_ES_ENDPOINT": "",
		}},
		{"lambda", call{full, "www", "WEB", "environment", "lambda"}, map[string]string{"ENTRYPOINT_PLATFORM": "", "ENTRYPOINT_GRACE": "", "DATABASE_HOST": "db.example.org"}},
	}
	var calls []call
	for _, c := range cases {
		calls = append(calls, c.call)
	}
	results, err := render(t, fragment(t, "container_{containerid}.ftl"), calls...)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		got := environment(t, c.call.kind, results[i])
		for name, want := range c.want {
			if got[name] != want {
				t.Errorf("%s: %s is %q, wanted %q", c.name, name, got[name], want)
			}
		}
		var entries []string
		for name, value := range got {
			if !known[name] && !strings.HasPrefix(name, "ENTRYPOINT_") {
				t.Errorf("%s: nobody reads %s", c.name, name)
			}
			if strings.HasPrefix(name, "ENTRYPOINT_") {
				continue
			}
			entries = append(entries, name+"="+value)
		}
		parsed, _ := env.Parse(entries)
		for _, problem := range contract.Check(parsed, contract.Facts{Django: true}) {
			t.Errorf("%s: %v", c.name, problem)
		}
	}
}

// A container of another id gets its own fragment's, and none of ours.
func TestOtherContainers(t *testing.T) {
	for _, name := range []string{"container_{containerid}.ftl", "hamlet_{containerid}.ftl"} {
		results, err := render(t, fragment(t, name), call{full, "other", "WEB", "definition", "docker"})
		if err != nil {
			t.Fatal(err)
		}
		if results[0] != `"Name" : "other",` {
			t.Errorf("%s: %q", name, results[0])
		}
	}
}

func TestHamletFragment(t *testing.T) {
	results, err := render(t, fragment(t, "hamlet_{containerid}.ftl"), call{full, "www", "WEB", "model", "docker"})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	decode(t, "hamlet", "{"+strings.TrimSuffix(results[0], ",")+"}", &got)
	if got["ENTRYPOINT_DECRYPT_FAILURE"] != "exit" || got["ENTRYPOINT_GRACE"] != "25s" || len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// The control: FreeMarker finds a directive that is not closed and a name that
// the engine does not know.
func TestABrokenFragmentFails(t *testing.T) {
	whole := fragment(t, "container_{containerid}.ftl")
	for _, change := range [][2]string{{"[/#list]", ""}, {"formatRDSDnsId(", "formatRdsDnsId("}} {
		broken := strings.Replace(whole, change[0], change[1], 1)
		if broken == whole {
			t.Fatalf("the fragment has no %q", change[0])
		}
		if _, err := render(t, broken, call{full, "www", "WEB", "environment", "docker"}); err == nil {
			t.Errorf("without %q it is rendered", change[0])
		}
	}
}

// environment reads the pieces of list mode environment; a name that comes twice
// is an error.
func environment(t *testing.T, kind, pieces string) map[string]string {
	t.Helper()
	variables := map[string]string{}
	if kind == "lambda" {
		decode(t, kind, "{"+pieces+"}", &variables)
		if keys := strings.Count(pieces, `" : "`); keys != len(variables) {
			t.Errorf("%d variables of %d names", keys, len(variables))
		}
		return variables
	}
	var list []struct{ Name, Value string }
	decode(t, kind, "["+pieces+"]", &list)
	for _, v := range list {
		if _, twice := variables[v.Name]; twice {
			t.Errorf("%s comes twice", v.Name)
		}
		variables[v.Name] = v.Value
	}
	return variables
}

func decode(t *testing.T, name, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v in %s", name, err, text)
	}
}
