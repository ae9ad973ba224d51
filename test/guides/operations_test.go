package guides

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/internal/metrics"
	"github.com/codeontap/entrypoint/supervisor"
	"github.com/codeontap/entrypoint/test/internal/guide"
)

// The pages that operators read.
const (
	production = "docs/production.md"
	secrets    = "docs/secrets.md"
	health     = "docs/health.md"
	stopping   = "docs/stopping.md"
)

// commands are a section's blocks, as many as the test knows what to do with.
func commands(t *testing.T, page, section string, number int) []guide.Block {
	t.Helper()
	found, err := guide.Section(root+page, section)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != number {
		t.Fatalf("%s: section %q has %d blocks to run, the test knows %d", page, section, len(found), number)
	}
	return found
}

// at opens a terminal at which the binary under test is found by its name.
// Terminals of one home belong together.
func at(t *testing.T, dir, home string, network *guide.Network, env ...string) *guide.Terminal {
	t.Helper()
	return guide.Open(t, dir, network, append(small(home), env...)...)
}

func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestHealthOfTheGuide(t *testing.T) {
	t.Parallel()
	network, home := guide.NewNetwork(t), folder(t)
	blocks := commands(t, health, "See it", 5)
	one, two := at(t, home, home, network), at(t, home, home, network)
	one.Begin(blocks[0])
	one.Says("command.0 is ready") // in any order
	for !strings.Contains(two.Run(blocks[2]), "WEB on local: ready") {
		if t.Context().Err() != nil {
			t.Fatal("it is not ready")
		}
	}
	wantQuote(t, health, "health", two.Run(blocks[1]))
	wantQuote(t, health, "status", two.Run(blocks[2]))
	wantQuote(t, health, "readyz", two.Run(blocks[3]))
	page := two.Run(blocks[4])
	if !strings.Contains(page, "\nentrypoint_copies{state=\"ready\"} 2\n") {
		t.Errorf("/metrics says:\n%s", page)
	}
	if _, code := one.CtrlC(); code != 0 {
		t.Errorf("Ctrl-C ends it with %d", code)
	}
}

// cells are the rows of the tables of a page whose first column matches.
func cells(t *testing.T, page string, first *regexp.Regexp) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(root + page)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "| ")
		if !ok {
			continue
		}
		row := strings.Split(strings.TrimSuffix(line, "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		if first.MatchString(row[0]) {
			rows = append(rows, row)
		}
	}
	return rows
}

// The page lists the metrics that there are, with their labels and the words that
// these can hold.
func TestMetricsAreThoseOfTheCode(t *testing.T) {
	var listed []string
	meanings := map[string]string{}
	for _, row := range cells(t, health, regexp.MustCompile("^`entrypoint_[a-z_]+`$")) {
		name := strings.Trim(row[0], "`")
		listed = append(listed, name+"{"+strings.ReplaceAll(row[1], " ", "")+"}")
		meanings[name] = row[2]
	}
	slices.Sort(listed)
	known := metricsKnown()
	if len(known) < 18 || !slices.Equal(listed, known) {
		t.Errorf("listed: %q\nknown: %q", listed, known)
	}

	for _, state := range supervisor.States() {
		if !strings.Contains(meanings["entrypoint_copies"], state.String()) {
			t.Errorf("the state %s of copies is not listed", state)
		}
	}
	for _, result := range constants(t, "internal/kms/result.go", "Verdict") {
		if !strings.Contains(meanings["entrypoint_env_values_total"], result) {
			t.Errorf("the result %q of values is not listed", result)
		}
	}
	for _, action := range constants(t, "supervisor/*.go", "signalled") {
		if !strings.Contains(meanings["entrypoint_signals_total"], action) {
			t.Errorf("the action %q of signals is not listed", action)
		}
	}
	var reasons []string
	for _, row := range cells(t, health, regexp.MustCompile("^`[a-z-]+`$")) {
		reasons = append(reasons, strings.Trim(row[0], "`"))
	}
	slices.Sort(reasons)
	if want := constants(t, "supervisor/exit.go", "Reason"); !slices.Equal(reasons, want) {
		t.Errorf("reasons listed: %q, known: %q", reasons, want)
	}
}

// metricsKnown are the names and labels as the collector describes them.
func metricsKnown() (names []string) {
	all := make(chan *prometheus.Desc)
	go func() {
		defer close(all)
		metrics.Collector(metrics.Build{}, func() metrics.Snapshot { return metrics.Snapshot{} }).Describe(all)
	}()
	described := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for d := range all {
		match := described.FindStringSubmatch(d.String())
		names = append(names, match[1]+"{"+match[2]+"}")
	}
	slices.Sort(names)
	return names
}

// constants are the words that the code has of a kind: of a type, or what
// signalled counts.
func constants(t *testing.T, pattern, kind string) (words []string) {
	t.Helper()
	files, err := filepath.Glob(root + pattern)
	if err != nil {
		t.Fatal(err)
	}
	find := regexp.MustCompile(`(?m)(?:^\t\w+ +` + kind + ` += |\.` + kind + `\(name, )"([^"]+)"`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range find.FindAllSubmatch(text, -1) {
			words = append(words, string(match[1]))
		}
	}
	if len(words) < 5 {
		t.Fatalf("%s of %s: found %q", kind, pattern, words)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// Alarms name metrics that there are.
func TestAlarmsAskForMetricsThatThereAre(t *testing.T) {
	known := strings.Join(metricsKnown(), "\n")
	rows := cells(t, health, regexp.MustCompile("^`.*entrypoint_.*[<>]"))
	if len(rows) < 5 {
		t.Fatalf("%d alarms found", len(rows))
	}
	for _, row := range rows {
		for _, name := range regexp.MustCompile(`entrypoint_[a-z_]+`).FindAllString(row[0], -1) {
			if !strings.Contains("\n"+known, "\n"+name+"{") {
				t.Errorf("there is no metric %s, for the alarm %s", name, row[0])
			}
		}
	}
}

// The probes of the page are those of the sample.
func TestProbesOfTheGuideAreTheSamples(t *testing.T) {
	blocks, err := guide.Read(root + health)
	if err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile(root + "devops/kubernetes/component.yaml")
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(blocks, func(b guide.Block) bool { return b.Language == "yaml" })
	if at < 0 {
		t.Fatal("the page has no probes")
	}
	// The sample's comments and its depth are its own.
	plain := func(text string) string {
		return regexp.MustCompile(`(?m)^ *(#.*)?\n?`).ReplaceAllString(text, "")
	}
	if !strings.Contains(plain(string(sample)), plain(blocks[at].Text)) {
		t.Errorf("%s: the sample has other probes", blocks[at])
	}
}

func TestStopSequenceOfTheGuide(t *testing.T) {
	t.Parallel()
	home := folder(t)
	plan := commands(t, stopping, "The sequence", 1)
	one := at(t, repository(t), home, nil)
	wantQuote(t, stopping, "plan", one.Run(plan[0]))

	one.Begin(commands(t, stopping, "See it", 1)[0])
	begun := one.Says("stubborn\n")
	if started := "command started pid="; !strings.Contains(begun, started) {
		begun += one.Says(started) // Ctrl-C throws away what nobody has read yet
	}
	said, code := one.CtrlC()
	wantQuote(t, stopping, "stopped", begun+said)
	if code != 137 {
		t.Errorf("code %d", code)
	}
}

// The table of stages is what plan says.
func TestStagesAreThoseOfThePlan(t *testing.T) {
	rows := cells(t, stopping, regexp.MustCompile(`^(WEB|TASK|WORKER|BEAT)$`))
	if len(rows) != 4 {
		t.Fatalf("%d rows found", len(rows))
	}
	for _, row := range rows {
		for i, flags := range [][]string{{"--grace", "8s"}, {"--grace", "25s"}, {"--grace", "25s", "--drain", "5s"}} {
			words := append([]string{"plan", "--json", "--mode", row[0], "--task", "check"}, flags...)
			said, _ := start(t, source(t), append(small(folder(t)), "DJANGO_DEBUG=True"), words...).end()
			var plan struct {
				Commands []struct {
					Stop []struct{ Signal, Wait string }
				}
			}
			if err := json.Unmarshal([]byte(said), &plan); err != nil || len(plan.Commands) != 1 {
				t.Fatalf("%v: %s", err, said)
			}
			var stages []string
			for _, stage := range plan.Commands[0].Stop {
				stages = append(stages, strings.TrimSpace(stage.Signal+" "+stage.Wait))
			}
			if got := strings.Join(stages, ", "); got != row[i+1] {
				t.Errorf("%s %v: the page says %q, plan %q", row[0], flags, row[i+1], got)
			}
		}
	}
}

func TestRestartOfTheGuide(t *testing.T) {
	t.Parallel()
	network, home := guide.NewNetwork(t), folder(t)
	blocks := commands(t, stopping, "Restarting", 2)
	one := at(t, source(t), home, network, "DJANGO_DEBUG=True")
	two := at(t, source(t), home, network)
	one.Begin(blocks[0])
	one.Page("http://127.0.0.1:8000/healthz", "")
	wantQuote(t, stopping, "restart", two.Run(blocks[1]))
	one.Says("restart: copy replaced copy=1")
	if _, code := one.CtrlC(); code != 0 {
		t.Errorf("Ctrl-C ends it with %d", code)
	}
}

func TestEncryptOfTheGuide(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&kmstest.Server{Keys: map[string]string{"alias/app": arn}})
	t.Cleanup(server.Close)
	home := folder(t)
	one := at(t, home, home, nil, append(atKMS(server.URL), "PASSWORD=corr3ct horse")...)
	blocks := commands(t, secrets, "Encrypt", 2)
	one.Begin(blocks[0])
	one.Says("DATABASE_PASSWORD (not shown): ")
	one.Type("corr3ct horse")
	wantQuote(t, secrets, "encrypt", "DATABASE_PASSWORD"+one.Says("=kms+base64:AQICAH")+"...")
	one.Run(blocks[1])

	text, err := os.ReadFile(filepath.Join(home, "app.env"))
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(strings.TrimSpace(string(text)), "=")
	if name != "DATABASE_PASSWORD" || strings.Contains(value, "corr3ct") {
		t.Fatalf("app.env holds %q", text)
	}
	two := at(t, home, home, nil, append(atKMS(server.URL), name+"="+value)...)
	wantQuote(t, secrets, "check", two.Run(commands(t, secrets, "Check", 1)[0]))
}

// The policy is JSON, for decrypting alone and on one key.
func TestThePolicyOfTheGuide(t *testing.T) {
	blocks, err := guide.Read(root + secrets)
	if err != nil {
		t.Fatal(err)
	}
	policies := 0
	for _, b := range blocks {
		if b.Language != "json" {
			continue
		}
		policies++
		var policy struct {
			Version   string
			Statement []struct{ Effect, Action, Resource string }
		}
		if err := json.Unmarshal([]byte(b.Text), &policy); err != nil {
			t.Errorf("%s: %v", b, err)
			continue
		}
		if s := policy.Statement; len(s) != 1 || s[0].Action != "kms:Decrypt" || !strings.Contains(s[0].Resource, ":key/") {
			t.Errorf("%s: %+v", b, s)
		}
	}
	if policies != 1 {
		t.Errorf("%d policies", policies)
	}
}

func TestHowManyCopies(t *testing.T) {
	t.Parallel()
	home := folder(t)
	one := at(t, repository(t), home, nil, "DJANGO_DEBUG=True")
	wantQuote(t, production, "auto", one.Run(commands(t, production, "How many copies", 1)[0]))
}

func TestBuildJobOfTheGuide(t *testing.T) {
	t.Parallel()
	checkout := guide.Checkout(t, root)
	said := at(t, checkout, folder(t), nil).Run(commands(t, production, "codeontap", 1)[0])
	for _, step := range []string{"+ docker build ", "python3 manage.py test\n", "check --offline\n", "+ docker push registry.example.org/shop/component-"} {
		if !strings.Contains(said, step) {
			t.Errorf("it does not say %q:\n%s", step, said)
		}
	}
}

// What has to agree is in the samples as the page's table says.
func TestTheSamplesAgree(t *testing.T) {
	rows := cells(t, production, regexp.MustCompile(`^\[.*\]\(\.\./devops/`))
	if len(rows) != 4 {
		t.Fatalf("%d samples found", len(rows))
	}
	// YAML, JSON and the page write a name and its value in three ways.
	squeeze := func(text string) string {
		return regexp.MustCompile(`"?\bname"?:|"?\bvalue"?:|[^\w.]`).ReplaceAllString(text, "")
	}
	compared := 0
	for _, row := range rows {
		file := regexp.MustCompile(`\(\.\./(.*)\)`).FindStringSubmatch(row[0])[1]
		text, err := os.ReadFile(root + file)
		if err != nil {
			t.Fatal(err)
		}
		sample := squeeze(string(text))
		for _, value := range regexp.MustCompile("`([^`]+: [^`]+)`").FindAllStringSubmatch(strings.Join(row, " "), -1) {
			compared++
			if !strings.Contains(sample, squeeze(value[1])) {
				t.Errorf("%s has no %s", file, value[1])
			}
		}
		if !strings.Contains(sample, squeeze("ENTRYPOINT_DECRYPT_FAILURE: exit")) {
			t.Errorf("%s runs on values that could not be decrypted", file)
		}
	}
	if compared < 10 {
		t.Errorf("only %d values were compared", compared)
	}
	if sample := squeeze(`{"name": "ENTRYPOINT_GRACE", "value": "25s"}`); sample != squeeze("ENTRYPOINT_GRACE: 25s") {
		t.Errorf("the comparison does not read JSON: %s", fmt.Sprintf("%q", sample))
	}
}

// An image that fails its tests, or an environment that breaks the contract, is
// not tagged and not pushed. The engine is a stub: what counts is what is asked
// of it.
func TestTheBuildJobStopsAtWhatFails(t *testing.T) {
	for _, failing := range []string{"test", "check", "nothing"} {
		t.Run(failing, func(t *testing.T) {
			t.Parallel()
			stub := folder(t, "docker", `#!/bin/sh
case " $* " in *" $FAILING "*) exit 1 ;; esac
`)
			cmd := exec.Command("devops/codeontap/buildPython.sh")
			cmd.Dir = root
			cmd.Env = []string{"PATH=" + stub + ":/usr/bin:/bin", "FAILING=" + failing, "PRODUCT=shop", "GIT_COMMIT=abc123", "DOCKER_REGISTRY=registry.example.org"}
			out, err := cmd.CombinedOutput()
			pushed := strings.Contains(string(out), "+ docker push registry.example.org/shop/component-abc123\n")
			if fine := failing == "nothing"; pushed != fine || (err == nil) != fine {
				t.Errorf("%v, pushed: %v\n%s", err, pushed, out)
			}
		})
	}
}
