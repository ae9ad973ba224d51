//go:build engine

package docker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// generation is an image with the servers of Debian 13 and the stories of
// test/web, which `make test` tells with those of Debian 12.
const generation = "entrypoint-test:generation"

// gunicornStories are those in which gunicorn serves. Every one has to pass.
var gunicornStories = []string{
	"TestRollingRestartDropsNothing/sync", "TestRollingRestartDropsNothing/gthread",
	"TestGunicornsOwnReloadBeside/sync", "TestGunicornsOwnReloadBeside/gthread",
	"TestTERMToEachCopyInTurnDropsNothing/sync", "TestTERMToEachCopyInTurnDropsNothing/gthread",
	"TestSIGKILLCostsOnlyWhatTheCopyHadInItsHands/the_whole_copy/sync", "TestSIGKILLCostsOnlyWhatTheCopyHadInItsHands/the_whole_copy/gthread",
	"TestSIGKILLCostsOnlyWhatTheCopyHadInItsHands/its_main_process/sync", "TestSIGKILLCostsOnlyWhatTheCopyHadInItsHands/its_main_process/gthread",
	"TestADownloadOutlivesARestart/sync", "TestADownloadOutlivesARestart/gthread",
	"TestTheLoadSeesAnOutage",
	"TestACopyThatHangsIsFoundOnItsOwnSocket/sync", "TestACopyThatHangsIsFoundOnItsOwnSocket/gthread",
	"TestAStopBehindALateLoadBalancerDropsNothing", "TestWithoutADrainTheLoadBalancersLagCosts",
	"TestRealServers/gunicorn", "TestSeveralAddresses", "TestAScriptWithoutExec",
	"TestAReleaseThatCrashesEndsTheRestart/gunicorn", "TestWhileARestartWaits", "TestHUPRestarts",
	"TestARotatedSecretArrivesByARestart", "TestARestartThatCannotDecryptLeavesTheOldCopies", "TestARotatedFileArrivesByARestart",
}

// The mode's own gunicorn loses no request in its next generation either: the
// same stories as in test/web, told by the same test binary.
func TestGunicornOfDebian13(t *testing.T) {
	t.Parallel()
	buildGeneration(t)
	said := run(t, generation, "gunicorn", "--version").stdout
	if major, err := majorOf(said); err != nil || major < 23 {
		t.Fatalf("this is not the gunicorn of Debian 13: %q", said)
	}
	// --init because the binary does not reap; the addresses of one story are IPv6.
	o := run(t, "--init", "--sysctl", "net.ipv6.conf.all.disable_ipv6=0", generation,
		"/test/web/web.test", "-test.v", "-test.timeout", "150s", "-test.run", patternOf(gunicornStories))
	story := ""
	for line := range strings.Lines(o.stdout) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "===" {
			story = words[2]
		}
		if _, text, ok := strings.Cut(line, ": "); ok && strings.Contains(text, " answers, median ") {
			t.Log(story, strings.TrimSpace(text))
		}
	}
	if err := judge(o.stdout, gunicornStories); err != nil || o.code != 0 {
		t.Errorf("%v\n%v", err, o)
	}
}

func buildGeneration(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, "web.test"), "./test/web")
	c.Dir = "../.."
	c.Env = append(os.Environ(), "CGO_ENABLED=0") // it runs beside another C library
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("../web/testdata")); err != nil {
		t.Fatal(err)
	}
	file := `FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends gunicorn nginx-light && rm -rf /var/lib/apt/lists/*
COPY --from=` + binary + ` /usr/local/bin/entrypoint /usr/local/bin/
COPY . /test/web/
WORKDIR /test/web
ENV ENTRYPOINT_BINARY=/usr/local/bin/entrypoint
`
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	docker(t, "build", "--quiet", "--label", label+"=1", "--tag", generation, dir)
}

var gunicornVersion = regexp.MustCompile(`^gunicorn \(version (\d+)\.`)

func majorOf(said string) (int, error) {
	found := gunicornVersion.FindStringSubmatch(said)
	if found == nil {
		return 0, errors.New("no version")
	}
	return strconv.Atoi(found[1])
}

// patternOf is a -test.run that matches the stories. It may match more.
func patternOf(stories []string) string {
	var levels [][]string
	for _, story := range stories {
		for i, name := range strings.Split(story, "/") {
			if i == len(levels) {
				levels = append(levels, nil)
			}
			if !slices.Contains(levels[i], name) {
				levels[i] = append(levels[i], name)
			}
		}
	}
	var pattern []string
	for _, names := range levels {
		pattern = append(pattern, "^("+strings.Join(names, "|")+")$")
	}
	return strings.Join(pattern, "/")
}

// judge finds fault with the output of a -test.v in which a story has not passed,
// and with any that was skipped.
func judge(out string, stories []string) error {
	passed := map[string]bool{}
	var faults []error
	for line := range strings.Lines(out) {
		verdict, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "--- "), ": ")
		if !ok || !strings.HasPrefix(strings.TrimSpace(line), "--- ") {
			continue
		}
		story, _, _ := strings.Cut(rest, " (")
		switch verdict {
		case "PASS":
			passed[story] = true
		case "SKIP":
			faults = append(faults, fmt.Errorf("%s was skipped", story))
		}
	}
	for _, story := range stories {
		if !passed[story] {
			faults = append(faults, fmt.Errorf("%s has not passed", story))
		}
	}
	return errors.Join(faults...)
}

// Control: the judge sees what failed, what was skipped and what never ran.
func TestTheJudgeOfStoriesFindsFault(t *testing.T) {
	t.Parallel()
	stories := []string{"TestA/sync", "TestB"}
	const good = "=== RUN   TestA\n--- PASS: TestB (0.10s)\n--- PASS: TestA (0.00s)\n    --- PASS: TestA/sync (0.00s)\n        a_test.go:1: text\nPASS\n"
	if err := judge(good, stories); err != nil {
		t.Errorf("good output: %v", err)
	}
	for _, c := range []struct{ old, now, want string }{
		{"PASS: TestB", "FAIL: TestB", "TestB has not passed"},
		{"PASS: TestA/sync", "SKIP: TestA/sync", "TestA/sync was skipped"},
		{"PASS: TestA ", "SKIP: TestC ", "TestC was skipped"},
		{"--- PASS: TestB (0.10s)\n", "", "TestB has not passed"},
	} {
		if err := judge(strings.Replace(good, c.old, c.now, 1), stories); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: %v", c.now, c.old, err)
		}
	}
	if major, err := majorOf("gunicorn (version 20.1.0)\n"); err != nil || major != 20 {
		t.Errorf("the version is read as %d, %v", major, err)
	}
	if _, err := majorOf("sh: gunicorn: not found\n"); err == nil {
		t.Error("a version is read where none is")
	}
}
