package command_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/command"
)

func TestHealthIsReadAndWritten(t *testing.T) {
	for text, want := range map[string]command.Health{
		"none":                  {},
		"http:/":                {Kind: command.HealthHTTP, Target: "/"},
		"http:/healthz?x=1":     {Kind: command.HealthHTTP, Target: "/healthz?x=1"},
		"tcp:db:5432":           {Kind: command.HealthTCP, Target: "db:5432"},
		"tcp:[::1]:80":          {Kind: command.HealthTCP, Target: "[::1]:80"},
		"exec:./check -v 'a b'": {Kind: command.HealthExec, Target: "./check -v 'a b'"},
		"file:/run/beat<30s":    {Kind: command.HealthFile, Target: "/run/beat", MaxAge: 30 * time.Second},
		"file:a<b<1m30s":        {Kind: command.HealthFile, Target: "a<b", MaxAge: 90 * time.Second},
	} {
		got, err := command.ParseHealth(text)
		if err != nil || !cmp.Equal(want, got) || got.String() != text {
			t.Errorf("%s: %+v, written %s, %v", text, got, got, err)
		}
	}
}

func TestHealthThatIsNone(t *testing.T) {
	for _, text := range []string{
		"", "none:", "none:x", "None", "http", "http:", "http:healthz", "http://localhost/healthz", "https:/x", "http:/a b", "http:/a\nb", "http:/%zz",
		"tcp:", "tcp:db", "tcp::80", "tcp:db:0", "tcp:db:http", "tcp:db:65536", "exec:", "exec:  ", "file:", "file:a", "file:<30s", "file:a<0s", "file:a<30", "ping:x",
	} {
		if got, err := command.ParseHealth(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func FuzzParseHealth(f *testing.F) {
	for _, seed := range []string{"none", "http:/healthz", "tcp:db:5432", "exec:a b", "file:a<30s", "http://x/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := command.ParseHealth(text)
		if err != nil {
			return
		}
		if again, err := command.ParseHealth(h.String()); err != nil || !cmp.Equal(h, again) {
			t.Errorf("%q: %+v written down and read again is %+v, %v", text, h, again, err)
		}
	})
}
