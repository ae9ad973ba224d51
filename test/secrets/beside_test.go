package secrets

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

// A session of docker exec has the container's variables: that the supervisor
// holds the addresses that they name is no reason to fail or to talk about it.
func TestASessionBesideTheSupervisor(t *testing.T) {
	k := newKMS(t)
	home := shortFolder(t)
	env := append(k.env, "ENTRYPOINT_ADMIN="+freeAddress(t), "SECRET="+seal("open sesame"))
	r := start(t, given{home: home, env: env, args: []string{"run", "--", "sh", "-c", "echo up; exec sleep 600"}})
	r.waitFor("up")
	status := func() bool { return run(t, given{home: home, args: []string{"status"}}).exit() == 0 }
	until(t, r, status, "status")

	session := start(t, given{home: home, env: append(env, "ENTRYPOINT_LOG_LEVEL=warn"), args: []string{"exec", "--", "sh", "-c", "echo $SECRET; exec sleep 600"}})
	session.waitFor("open sesame")
	// The session is long enough for its own endpoints, and the supervisor's answer.
	for range 20 {
		if !status() {
			t.Error("the supervisor does not answer beside a session")
		}
	}
	session.signal(syscall.SIGTERM)
	session.wantExit(143)
	if text := session.stderr.String(); text != "" {
		t.Errorf("the session says %s", text)
	}
	// Told by a flag it is meant.
	_, taken, _ := strings.Cut(env[len(k.env)], "=")
	told := run(t, given{home: home, env: env, args: []string{"exec", "--admin", taken, "true"}})
	told.wantExit(69)
	r.signal(syscall.SIGTERM)
	r.wantExit(0)
}

// A rolling restart asks KMS again, so that a rotated secret arrives; where it is
// away, copies that work are not replaced by some that do not, whatever the
// policy.
func TestARestartDecryptsAgainOrDoesNotHappen(t *testing.T) {
	for _, policy := range []string{"keep", "exit"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			k := newKMS(t)
			k.Script(nil, kmstest.Plaintext(arn, "first"), kmstest.Plaintext(arn, "second"), kmstest.Refuse(400, "AccessDeniedException", bird.text()))
			home := shortFolder(t)
			r := start(t, given{home: home, env: append(k.env, "SECRET="+seal(bird.text()), "ENTRYPOINT_DECRYPT_FAILURE="+policy),
				args: []string{"run", "--", "sh", "-c", "echo copy with $SECRET; exec sleep 600"}})
			r.waitFor("copy with first")
			until(t, r, func() bool { return run(t, given{home: home, args: []string{"health"}}).exit() == 0 }, "health")
			run(t, given{home: home, args: []string{"restart"}}).wantExit(0)
			r.waitFor("copy with second")
			refused := run(t, given{home: home, args: []string{"restart"}})
			refused.wantExit(1)
			if policy == "keep" {
				refused.wantSaid("SECRET")
			}
			run(t, given{home: home, args: []string{"health"}}).wantExit(0)
			r.signal(syscall.SIGTERM)
			r.wantExit(0)
			r.wantOut("copy with first\ncopy with second\n")
			r.wantSaid("access denied")
			wantNone(t, []canary{bird}, "the output", refused.stderr.String()+r.stderr.String())
		})
	}
}

// Secrets in what is waited for and in how health is asked: a URL's password, a
// command's words, a path's token. plan says what would run, so the check's
// command stands there; a password of a URL stands nowhere.
func TestWaitsAndChecksLetNoSecretOut(t *testing.T) {
	secret := canary{"a wait or a check", "Wa7Qz2Rm9Tx4Vb6N"}
	away := "amqp://u:" + secret.core + "@127.0.0.1:1/" + secret.core
	for _, words := range [][]string{{"--wait-for", away}, {"--wait-for", "BROKER"}, {"--wait-for", "rabbitmq"}} {
		env := []string{"APP_DEBUG=1", "BROKER=" + away, "RABBITMQ_HOST=127.0.0.1", "RABBITMQ_PORT=1", "RABBITMQ_USERNAME=u", "RABBITMQ_PASSWORD=" + secret.text()}
		r := start(t, given{args: append(append([]string{"run"}, words...), "--", "true"), env: env})
		r.waitFor("waiting for")
		r.signal(syscall.SIGTERM)
		r.wantExit(143)
		wantNone(t, []canary{secret}, "stderr", r.stderr.String())
		for _, json := range [][]string{nil, {"--json"}} {
			plan := run(t, given{args: append(append(append([]string{"plan"}, json...), words...), "--", "true"), env: env})
			plan.wantExit(0)
			wantNone(t, []canary{secret}, "plan", plan.stdout.String())
			if words[1] == away && !strings.Contains(plan.stdout.String(), "amqp://127.0.0.1:1") {
				t.Errorf("plan does not say what is waited for\n%s", plan)
			}
		}
	}
	for _, check := range []string{"exec:sh -c 'exit 1 # " + secret.core + "'", "http:/health?token=" + secret.core} {
		admin := freeAddress(t)
		r := start(t, given{env: []string{"APP_DEBUG=1"}, args: []string{"run", "--admin", admin, "--bind", "127.0.0.1:0", "--health", check, "--health-interval", "100ms",
			"--health-timeout", "100ms", "--health-retries", "1", "--", "sleep", "600"}})
		var body string
		until(t, r, func() bool {
			body = ""
			for _, path := range []string{"/readyz", "/metrics"} {
				answer, err := http.Get("http://" + admin + path)
				if err != nil {
					return false
				}
				text, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				must(t, err)
				body += string(text)
			}
			kind, _, _ := strings.Cut(check, ":")
			return strings.Contains(body, fmt.Sprintf("entrypoint_check_up{check=%q} 0", kind)) || strings.Contains(r.stderr.String(), "check "+kind+" fails")
		}, "a failed check")
		wantNone(t, []canary{secret}, "the endpoints", body)
		r.signal(syscall.SIGTERM)
		r.exit()
		wantNone(t, []canary{secret}, "stderr", r.stderr.String())
	}
}
