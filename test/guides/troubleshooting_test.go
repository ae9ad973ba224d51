package guides

import (
	"encoding/base64"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

const troubleshooting = "docs/troubleshooting.md"

// made is a message that was brought about, and the code of who said it.
type made struct {
	said string
	code int
}

// story brings a quoted message about.
type story struct {
	make func(t *testing.T) made
	code int
}

// byItself is a story of a binary that ends by itself. dir makes its folder; env is
// added to a small environment.
func byItself(code int, dir func(*testing.T) string, env []string, words ...string) story {
	return story{code: code, make: func(t *testing.T) made {
		home := folder(t)
		said, code := start(t, dir(t), append(small(home), env...), words...).end()
		return made{said, code}
	}}
}

func with(files ...string) func(*testing.T) string {
	return func(t *testing.T) string { return folder(t, files...) }
}

var nothing = with()

// arn is the key of the stand-in for KMS.
const arn = "arn:aws:kms:eu-west-1:111122223333:key/app"

// kms is a story of a password that is to be decrypted: value is what stands in
// the environment, nothing a good ciphertext; server is made of the stand-in.
func kms(code int, value string, answer kmstest.Answer, tls bool, env ...string) story {
	return story{code: code, make: func(t *testing.T) made {
		k := &kmstest.Server{Keys: map[string]string{"alias/app": arn}}
		if answer != nil {
			k.Script(nil, answer)
		}
		server := httptest.NewUnstartedServer(k)
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients hang up
		if tls {
			server.StartTLS()
		} else {
			server.Start()
		}
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		if value == "" {
			value = kmstest.Text(kmstest.Current, arn, "s3cret-passw0rd", 1)
		}
		all := append(small(folder(t)), atKMS(server.URL)...)
		all = append(append(all, "DATABASE_PASSWORD="+value, "ENTRYPOINT_DECRYPT_FAILURE=exit", "ENTRYPOINT_DECRYPT_TIMEOUT=1s"), env...)
		said, code := start(t, folder(t), all, "run", "--", "true").end()
		return made{said, code}
	}}
}

// atKMS leads to the stand-in, with credentials of nobody.
func atKMS(url string) []string {
	return []string{"AWS_ENDPOINT_URL_KMS=" + url, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=nobody", "AWS_SECRET_ACCESS_KEY=nothing"}
}

// cut is a ciphertext that lost its end.
func cut() string {
	whole := kmstest.Blob(kmstest.Current, arn, "s3cret-passw0rd", 1)
	return base64.StdEncoding.EncodeToString(whole[:len(whole)-9])
}

// stories are those of the quotes that this machine can bring about by itself.
func stories() map[string]story {
	debug := []string{"DJANGO_DEBUG=True"}
	database := append(debug, "DATABASE_HOST=127.0.0.1", "DATABASE_NAME=app", "DATABASE_USERNAME=app")
	const stubborn = `trap "" TERM; echo armed; sleep 1000; exit`
	return map[string]story{
		"no-key":           byItself(78, source, []string{"DJANGO_DEBUG=False"}),
		"half-a-set":       byItself(78, source, database),
		"typo":             byItself(78, source, append(debug, "DATABASE_HOTS=database", "DATABASE_NAME=app")),
		"quotes":           byItself(78, source, []string{`DJANGO_DEBUG="True"`}),
		"carriage-return":  byItself(78, source, append(database, "DATABASE_PASSWORD=x", "DATABASE_PORT=5432\r")),
		"service-link":     byItself(78, source, append(debug, "RABBITMQ_HOST=rabbitmq", "RABBITMQ_USERNAME=app", "RABBITMQ_PASSWORD=x", "RABBITMQ_PORT=tcp://10.0.0.1:5672")),
		"stages":           byItself(78, source, append(debug, "ENTRYPOINT_STOP=TERM 20s, KILL")),
		"mode":             byItself(64, source, debug, "--mode", "no-such"),
		"flag-before-verb": byItself(64, nothing, nil, "--admin", "127.0.0.1:1", "status"),
		"x-file": byItself(78, source, append(debug, "DATABASE_PASSWORD=x", "DATABASE_PASSWORD_FILE=/run/secrets/no-such",
			"RABBITMQ_PASSWORD_FILE=/run/secrets/no-such-either")),
		"settings": byItself(78, source, append(debug, "ENTRYPOINT_SIGNALS=TERMM:QUIT", "APP_WORKER_COUNT=banana",
			"ENTRYPOINT_HEALTH=http://database/health", "ENTRYPOINT_HEALTH_INTERVAL=0s", "ENTRYPOINT_DRAIN=10s")),
		"dotenv": story{code: 78, make: func(t *testing.T) made {
			dir := folder(t, ".env", "A=1\n=x\nB=\"unclosed\n")
			said, code := start(t, "/", small(folder(t)), "run", "--dir", dir, "--", "true").end()
			return made{said, code}
		}},
		"no-application": byItself(78, nothing, nil),

		"in-use": story{code: 69, make: func(t *testing.T) made {
			said, code := start(t, folder(t), small(folder(t)), "run", "--bind", busy(t), "--", "true").end()
			return made{said, code}
		}},
		"no-such-address": byItself(69, nothing, nil, "run", "--bind", "192.0.2.1:8000", "--", "true"),
		"admin-in-use": story{code: 69, make: func(t *testing.T) made {
			said, code := start(t, folder(t), small(folder(t)), "run", "--admin", busy(t), "--", "true").end()
			return made{said, code}
		}},
		"held": story{code: 1, make: func(t *testing.T) made {
			free := port(t)
			said, code := start(t, folder(t), small(folder(t)), "run", "--bind", "127.0.0.1:"+free, "--restart", "never", "--",
				"/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", free).end()
			return made{said, code}
		}},
		"waitress": byItself(64, nothing, nil, "run", "--bind", "127.0.0.1:0", "--", "waitress-serve", "app:app"),

		"not-found":      byItself(127, nothing, nil, "no-such-program"),
		"not-executable": byItself(126, nothing, nil, "/etc/passwd"),
		"crlf-script":    byItself(126, with("container-web.sh", "#!/bin/sh\r\nexec sleep 1000\r\n"), nil),
		"interpreter":    byItself(126, with("script", "#!/usr/bin/ruby9\n"), nil, "./script"),

		"exit-policy":    kms(78, "", nil, false, "AWS_REGION="),
		"denied":         kms(78, "", kmstest.Refuse(400, "AccessDeniedException", ""), false),
		"no-credentials": kms(75, "", nil, false, "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="),
		"no-region":      kms(78, "", nil, false, "AWS_REGION="),
		"unreachable":    kms(75, "", nil, false, "AWS_ENDPOINT_URL_KMS=http://127.0.0.1:1"),
		"certificate":    kms(75, "", nil, true, "ENTRYPOINT_DECRYPT_TIMEOUT=10s"),
		"busy":           kms(75, "", kmstest.Refuse(400, "ThrottlingException", ""), false),
		"clock":          kms(75, "", kmstest.Skewed(20*time.Minute), false, "ENTRYPOINT_DECRYPT_TIMEOUT=10s"),
		"rejected":       kms(78, "", kmstest.Refuse(400, "InvalidCiphertextException", ""), false),
		"truncated":      kms(78, cut(), nil, false),
		"off":            kms(0, "", nil, false, "ENTRYPOINT_DECRYPT=off"),

		"database-away": byItself(69, source, append(database, "DATABASE_PASSWORD=x", "DATABASE_PORT=1"), "run", "--mode", "TASK", "--task", "migrate --noinput"),
		"no-table": story{code: 1, make: func(t *testing.T) made {
			home := folder(t) // the source's own database may be there
			env := append(small(home), "DJANGO_DEBUG=True", "DATABASE_ENGINE=sqlite3", "DATABASE_NAME="+filepath.Join(home, "db"))
			said, code := start(t, source(t), env, "run", "--mode", "TASK", "--task", "greet --name Ada").end()
			return made{said, code}
		}},
		"wait-for": story{code: 143, make: func(t *testing.T) made {
			p := start(t, folder(t), small(folder(t)), "run", "--wait-for", "127.0.0.1:1", "--", "true")
			said, code := p.says("waiting for").signal(syscall.SIGTERM).end()
			return made{said, code}
		}},
		"no-broker": {code: 143, make: func(t *testing.T) made {
			p := start(t, source(t), append(small(folder(t)), "DJANGO_DEBUG=True"), "--mode", "WORKER", "--workers", "2", "--strategy", "copies", "--wait-for", "127.0.0.1:1")
			said, code := p.says("waiting for").signal(syscall.SIGTERM).end()
			return made{said, code}
		}},
		"crash-loop": byItself(3, nothing, nil, "run", "--give-up", "2/60s", "--backoff", "10ms..20ms", "--", "sh", "-c", "exit 3"),

		"no-supervisor": story{code: 1, make: func(t *testing.T) made {
			// Where no other supervisor of this machine can be seen.
			const alone = `mount --bind "$1" /mnt && for place in /run /tmp /dev/shm; do mount -t tmpfs none $place; done && unset ENTRYPOINT_CONTROL && exec /mnt/entrypoint health`
			p := start(t, "/", small(folder(t)), "exec", "--", "unshare", "--mount", "sh", "-c", alone, "sh", filepath.Dir(stage.Binary))
			said, code := p.end()
			return made{said, code}
		}},
		"no-socket": byItself(0, nothing, nil, "run", "--control", "/proc/no/such", "--", "true"),
		"check-fails": story{code: 0, make: func(t *testing.T) made {
			p := start(t, folder(t), small(folder(t)), "run", "--health", "tcp:127.0.0.1:1", "--health-retries", "1", "--health-interval", "100ms", "--", "sleep", "1000")
			said, code := p.says("check fails").signal(syscall.SIGTERM).end()
			return made{said, code}
		}},

		"killed": story{code: 137, make: func(t *testing.T) made {
			p := start(t, folder(t), small(folder(t)), "run", "--grace", "100ms", "--", "sh", "-c", stubborn)
			said, code := p.says("armed").signal(syscall.SIGTERM).end()
			return made{said, code}
		}},
		"restart-failed": story{code: 1, make: func(t *testing.T) made {
			home, dir := folder(t), folder(t)
			start(t, dir, small(home), "run", "--backoff", "10ms..20ms", "--", "sh", "-c", "[ -e bad ] && exit 3; echo serving; exec sleep 1000").says("serving")
			if err := os.WriteFile(filepath.Join(dir, "bad"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			said, code := start(t, dir, small(home), "restart").end()
			return made{said, code}
		}},
		"restart-twice": story{code: 1, make: func(t *testing.T) made {
			home := folder(t)
			start(t, home, small(home), "run", "--", "sleep", "1000").says("command is ready")
			start(t, home, small(home), "restart").says("restarting 1 copies")
			said, code := start(t, home, small(home), "restart").end()
			return made{said, code}
		}},
	}
}

// Every message that the page quotes is what is said, and with the code that a
// reader would see; those of containers are compared in test/docker.
func TestMessagesAreTheRealOnes(t *testing.T) {
	all := stories()
	for name, quote := range quotes(t, troubleshooting) {
		one, ok := all[name]
		if !ok {
			if !compared(t, name, "test/docker") {
				t.Errorf("%s: no test compares the quote %s with what is said", quote, name)
			}
			continue
		}
		delete(all, name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "no-supervisor" && os.Geteuid() != 0 {
				t.Skip("NOT TESTED: a mount namespace needs root; run this test as root (sudo make test)")
			}
			made := one.make(t)
			if made.code != one.code {
				t.Errorf("code %d, not %d:\n%s", made.code, one.code, made.said)
			}
			wantQuote(t, troubleshooting, name, made.said)
			for _, secret := range []string{"s3cret", "banana"} {
				if strings.Contains(made.said, secret) {
					t.Errorf("it tells a value:\n%s", made.said)
				}
			}
		})
	}
	for name := range all {
		t.Errorf("the page does not quote %s any more", name)
	}
}

// compared reports whether a test in one of the folders compares the quote.
func compared(t *testing.T, name string, folders ...string) bool {
	t.Helper()
	comparison := regexp.MustCompile(`wantQuote\(t, \w+, "` + regexp.QuoteMeta(name) + `", `)
	for _, folder := range folders {
		files, err := filepath.Glob(root + folder + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if comparison.Match(text) {
				return true
			}
		}
	}
	return false
}

// Nothing that these pages show as said stands there uncompared.
func TestEveryQuoteIsCompared(t *testing.T) {
	for _, page := range []string{"docs/production.md", "docs/secrets.md", "docs/health.md", "docs/stopping.md", troubleshooting} {
		for name, quote := range quotes(t, page) {
			if page != troubleshooting && !compared(t, name, "test/guides", "test/docker") {
				t.Errorf("%s: no test compares the quote %s with what is said", quote, name)
			}
		}
		text, err := os.ReadFile(root + page)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "```text\n") {
			t.Errorf("%s has a quote without a name: nothing compares it", page)
		}
	}
	if compared(t, "of-nobody", "test/guides", "test/docker") {
		t.Error("anything counts as compared")
	}
}

// A message of which the page names a part is in the code.
func TestMessagesThatAreNamedAreInTheCode(t *testing.T) {
	page, err := os.ReadFile(root + troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, pattern := range []string{"*.go", "modes/*.go", "supervisor/*.go", "internal/*/*.go"} {
		files, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(text)
		}
	}
	named := regexp.MustCompile("\\*\\*`([^`]+)`\\*\\*").FindAllSubmatch(page, -1)
	if len(named) < 3 {
		t.Errorf("%d messages found: %q", len(named), named)
	}
	for _, message := range named {
		if !strings.Contains(code.String(), string(message[1])) {
			t.Errorf("nobody says %q", message[1])
		}
	}
}

// The page's codes are those that the program knows, and each is brought about.
func TestEveryExitCodeIsExplained(t *testing.T) {
	page, err := os.ReadFile(root + troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(root + "exit.go")
	if err != nil {
		t.Fatal(err)
	}
	explained := numbers(regexp.MustCompile(`(?m)^\| (\d+) \|`), page)
	// 1 is an answer of the clients' and the commonest of the application's own.
	known := append(numbers(regexp.MustCompile(`(?m)^\tcode[A-Za-z]+ += (\d+)`), program), 1)
	slices.Sort(known)
	if len(known) < 12 || !slices.Equal(explained, known) {
		t.Errorf("explained: %v, known: %v", explained, known)
	}
	seen := map[int]bool{
		70: true, // the root's TestAPanicLetsNoSecretOut brings it about
	}
	for _, one := range stories() {
		seen[one.code] = true
	}
	t.Run("124", func(t *testing.T) {
		t.Parallel()
		dir := folder(t, "container-task.sh", "#!/bin/sh\nexec sleep 1000\n")
		said, code := start(t, dir, small(folder(t)), "--mode", "TASK", "--task", "hang", "--task-timeout", "100ms").end()
		if code != 124 || !strings.Contains(said, "took longer than the timeout") {
			t.Errorf("code %d:\n%s", code, said)
		}
	})
	seen[124] = true
	for _, code := range known {
		if !seen[code] {
			t.Errorf("no story ends with %d", code)
		}
	}
}

func numbers(pattern *regexp.Regexp, text []byte) (all []int) {
	for _, match := range pattern.FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(match[1]))
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}
