package admin

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv("ADMIN_TEST_ASK"); socket != "" {
		askAsStranger(socket)
		return
	}
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.FixedZone("", 3600))

// three is a web application whose third copy was killed for memory.
func three() Status {
	return Status{
		Mode: "WEB", Platform: "local", State: "degraded", PID: 1, Started: noon, Desired: 3, Booted: true,
		Copies: []Copy{
			{Index: 0, PID: 12, State: "ready", Since: noon},
			{Index: 1, PID: 13, State: "ready", Since: noon.Add(time.Minute), Restarts: 1, LastExit: &Exit{Code: 1, Reason: "exit"}},
			{Index: 2, State: "backoff", Since: noon.Add(2 * time.Hour), Restarts: 4, LastExit: &Exit{Code: 137, Signal: "KILL", Reason: "oom"}},
		},
		Checks: []Check{{Name: "http", Up: true}},
	}
}

func TestStatusJSON(t *testing.T) {
	got, err := json.Marshal(three())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"mode":"WEB","platform":"local","state":"degraded","pid":1,"started":"2026-11-24T11:00:00Z","copies":[` +
		`{"index":0,"pid":12,"state":"ready","since":"2026-11-24T11:00:00Z","restarts":0},` +
		`{"index":1,"pid":13,"state":"ready","since":"2026-11-24T11:01:00Z","restarts":1,"last_exit":{"code":1,"signal":"","reason":"exit"}},` +
		`{"index":2,"pid":0,"state":"backoff","since":"2026-11-24T13:00:00Z","restarts":4,"last_exit":{"code":137,"signal":"KILL","reason":"oom"}}],` +
		`"checks":[{"name":"http","up":true}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	empty, err := json.Marshal(Status{})
	if err != nil || !strings.Contains(string(empty), `"copies":[],"checks":[]`) {
		t.Errorf("an empty status: %s, %v", empty, err)
	}
}

func TestAnswers(t *testing.T) {
	change := func(f func(*Status)) Status {
		s := three()
		f(&s)
		return s
	}
	for _, story := range []struct {
		name                     string
		status                   Status
		livez, readyz, startupz  bool
		readyReason, startReason string
	}{
		{"one of three is away", three(), true, true, true, "", ""},
		{"waiting for the database", Status{State: "waiting", Desired: 3}, true, false, false, "it is waiting", "it is waiting"},
		{"some copies boot", change(func(s *Status) { s.State, s.Booted = "starting", false }), true, false, false,
			"not every first copy was ready yet", "not every first copy was ready yet"},
		{"draining", change(func(s *Status) { s.State = "draining" }), true, false, true, "it is draining", ""},
		{"stopping before it had started", change(func(s *Status) { s.State, s.Booted = "stopping", false }), true, false, false,
			"it is stopping", "not every first copy was ready yet"},
		{"every copy is away", change(func(s *Status) { s.Copies = s.Copies[2:] }), true, false, true, "no copy is ready", ""},
		{"a check fails", change(func(s *Status) { s.Checks = []Check{{Name: "tcp", Error: "connection refused"}} }), true, false, true,
			"the check tcp fails: connection refused", ""},
		{"a check has not looked", change(func(s *Status) { s.Checks = []Check{{Name: "tcp"}} }), true, false, true,
			"the check tcp has no result yet", ""},
	} {
		t.Run(story.name, func(t *testing.T) {
			for path, want := range map[string]struct {
				ok     bool
				reason string
			}{
				Livez: {story.livez, ""}, Readyz: {story.readyz, story.readyReason}, Startupz: {story.startupz, story.startReason},
			} {
				a := answer(path, story.status)
				if a.OK != want.ok || !strings.Contains(strings.Join(a.Reasons, "; "), want.reason) || a.OK != (len(a.Reasons) == 0) {
					t.Errorf("%s: %v %q, want %v %q", path, a.OK, a.Reasons, want.ok, want.reason)
				}
			}
		})
	}
}

func TestAnswerJSON(t *testing.T) {
	s := three()
	s.State = "ready"
	s.Copies[2].State = "ready"
	got, err := json.Marshal(answer(Readyz, s))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"state":"ready","copies":{"desired":3,"ready":3},"checks":[{"name":"http","up":true}],"reasons":[]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, _ := json.Marshal(answer(Readyz, Status{State: "waiting"})); !strings.Contains(string(got), `"checks":[],"reasons":["`) {
		t.Errorf("nothing there: %s", got)
	}
}

func TestTable(t *testing.T) {
	got := Table(three(), noon.Add(26*time.Hour+3*time.Minute))
	want := `WEB on local: degraded, pid 1, up 1d2h
COPY  PID  STATE    FOR   RESTARTS  LAST EXIT
0     12   ready    1d2h  0
1     13   ready    1d2h  1         1 (exit)
2     -    backoff  1d0h  4         137 KILL (oom)
CHECK  UP   LAST FAILURE
http   yes
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour:                   "0s", // a clock that was set back
		0:                            "0s",
		59*time.Second + 900000000:   "1m0s",
		time.Hour - time.Second:      "59m59s",
		25 * time.Hour:               "1d1h",
		400*24*time.Hour + time.Hour: "400d1h",
	} {
		if got := age(noon, noon.Add(d)); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	if age(time.Time{}, noon) != "-" {
		t.Error("the zero time has an age")
	}
}

func checkTable(t *testing.T, table string) {
	t.Helper()
	if !strings.HasSuffix(table, "\n") {
		t.Error("the last line has no end")
	}
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
		for _, r := range line {
			if r < ' ' || r > '~' {
				t.Errorf("%q in %q", r, line)
			}
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add("WEB", "ready", 12, 3, "http", "the answer is 503", int64(5))
	f.Add("\x1b[31mWEB\n", strings.Repeat("é", 100), -1, 1<<62, strings.Repeat("x", 300), "\xff\x00", int64(-1))
	f.Add("", "", 0, 0, "", "", int64(1)<<62)
	f.Fuzz(func(t *testing.T, mode, state string, pid, restarts int, check, failure string, up int64) {
		s := Status{
			Mode: mode, Platform: mode, State: state, PID: pid, Started: noon,
			Copies: []Copy{{Index: restarts, PID: pid, State: state, Since: noon, Restarts: restarts, LastExit: &Exit{Code: pid, Signal: state, Reason: failure}}},
			Checks: []Check{{Name: check, Error: failure}},
		}
		checkTable(t, Table(s, noon.Add(time.Duration(up))))
		checkTable(t, Table(s, time.Unix(up, 0)))
		if line := answer(Readyz, s).String(); strings.ContainsAny(line, "\n\x1b") {
			t.Errorf("%q", line)
		}
	})
}
