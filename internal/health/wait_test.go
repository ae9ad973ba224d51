package health

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeontap/entrypoint/internal/env"
)

func logTo(b *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func TestWaitForRealListeners(t *testing.T) {
	tcp := listen(t, "tcp", "127.0.0.1:0")
	unix := listen(t, "unix", t.TempDir()+"/s")
	var log bytes.Buffer
	err := WaitAll(t.Context(), []Target{
		{"DATABASE_URL", tcp.Addr().String()},
		{"", "unix:" + unix.Addr().String()},
	}, logTo(&log))
	if err != nil || log.Len() > 0 {
		t.Errorf("error %v, log %q", err, &log)
	}
	if err := WaitAll(t.Context(), nil, nil); err != nil {
		t.Errorf("nothing to wait for: %v", err)
	}
}

func TestWaitNamesWhatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		there, _ := net.Pipe()
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			switch address {
			case "db:5432": // comes after a while
				if time.Since(start) < 7*time.Second {
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}
				return there, nil
			case "mq:5672":
				return nil, &net.DNSError{Name: "mq", Err: "no such host"}
			}
			<-ctx.Done() // a firewall that drops
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var out bytes.Buffer
		err := waitAll(ctx, []Target{{"database", "db:5432"}, {"rabbitmq", "mq:5672"}, {"cache:1", "cache:1"}}, logTo(&out), dial)
		want := `cannot reach rabbitmq (mq:5672) after 1m0s: the name "mq" is not known: no such host` + "\n" +
			"cannot reach cache:1 after 1m0s: no answer"
		if text(err) != want {
			t.Errorf("got:\n%v\nwant:\n%s", err, want)
		}
		for _, line := range []string{"waiting for database (db:5432)", "database (db:5432) is there"} {
			if !strings.Contains(out.String(), line) {
				t.Errorf("the log lacks %q:\n%s", line, &out)
			}
		}
		if n := strings.Count(out.String(), "waiting for rabbitmq"); n < 5 || n > 7 {
			t.Errorf("rabbitmq is named %d times in a minute", n)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel) // TERM arrives
		start := time.Now()
		err := waitAll(ctx, []Target{{"", "db:1"}}, slog.New(slog.DiscardHandler), func(context.Context, string, string) (net.Conn, error) {
			return nil, syscall.ECONNREFUSED
		})
		if err == nil || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestParseTarget(t *testing.T) {
	e := env.Environment{}.
		Set(env.FromEnvironment, "DATABASE_URL", "postgresql+psycopg2://app:s3cret@db/app?x=1").
		Set(env.FromEnvironment, "BROKER", "amqp://u:s3/cret@mq//").
		Set(env.FromEnvironment, "CACHE", "cache:6379").
		Set(env.FromEnvironment, "BAD", "s3cret")
	for word, want := range map[string]string{
		"db:5432":                      "db:5432",
		"[::1]:80":                     "[::1]:80",
		"127.0.0.1:1":                  "127.0.0.1:1",
		"unix:/run/db.sock":            "unix:/run/db.sock",
		"DATABASE_URL":                 "DATABASE_URL (db:5432)",
		"CACHE":                        "CACHE (cache:6379)",
		"redis://:s3cret@cache":        "cache:6379",
		"redis://:s3@cret@cache:1/0":   "cache:1",
		"redis+socket:///run/r.sock":   "unix:/run/r.sock",
		"amqps://u:p@mq/vhost":         "mq:5671",
		"http://[::1]":                 "[::1]:80",
		"https://sentry/x@1":           "sentry:443",
		"MYSQL://U:P@H":                "H:3306",
		"http://h:8080":                "h:8080",
		"mongodb://a:1,b:2/x":          "!wanted",
		"what://h":                     "!no port",
		"what://h:7":                   "h:7",
		"sqlite:///tmp/db":             "!no host",
		"BROKER":                       "!%2F",
		"BAD":                          "!the variable BAD",
		"amqp://u:1/s3cret@mq":         "!%2F",
		"nothing":                      "!no variable",
		"":                             "!wanted",
		"db:0":                         "!wanted",
		"db:banana":                    "!wanted",
		"db:70000":                     "!wanted",
		":80":                          "!wanted",
		"a b:80":                       "!wanted",
		"redis://u:s3cret@h:99999":     "!wanted",
		"unix:relative":                "!wanted",
		"http://fe80::1":               "!wanted",
		"postgres://app:s3cret@/db":    "!no host",
		"postgres://app:s3cret@[::1/d": "!",
	} {
		target, err := ParseTarget(word, e)
		got := target.String()
		if err != nil {
			got = "!" + err.Error()
		}
		if strings.Contains(got, "s3") {
			t.Errorf("%s: a secret in %q", word, got)
		}
		if part, isError := strings.CutPrefix(want, "!"); isError && (err == nil || !strings.Contains(got, part)) || !isError && got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"db:5432", "redis://:p@h:1/0", "http://[::1]", "unix:/x", "a://b@c@d:1", "A", "[::1]:80", "x://u:1/p@h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		target, err := ParseTarget(word, env.Environment{})
		if err != nil {
			if strings.Contains(word, "://") && len(word) > 30 && strings.Contains(err.Error(), word) {
				t.Errorf("the URL is quoted: %v", err)
			}
			return
		}
		if _, isUnix := strings.CutPrefix(target.Address, "unix:"); isUnix {
			return
		}
		host, port, err := net.SplitHostPort(target.Address)
		if err != nil || host == "" || port == "" {
			t.Errorf("%q became %q", word, target.Address)
		}
	})
}
