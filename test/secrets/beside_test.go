package secrets

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

// A session of docker exec has the container's variables: that the supervisor
// holds the addresses that they name is no reason to fail or to talk about it.
func TestASessionBesideTheSupervisor(t *testing.T) {
	k := newKMS(t)
	home := stage.Folder(t)
	env := append(k.env, "ENTRYPOINT_ADMIN="+stage.FreeAddress(t), "SECRET="+seal("open sesame"))
	r := start(t, stage.Story{Home: home, Env: env, Words: []string{"run", "--", "sh", "-c", "echo up; exec sleep 600"}})
	r.Says("up", 1)
	status := func() bool { return run(t, stage.Story{Home: home, Words: []string{"status"}}).Exit() == 0 }
	r.Until("status", status)

	session := start(t, stage.Story{Home: home, Env: append(env, "ENTRYPOINT_LOG_LEVEL=warn"), Words: []string{"exec", "--", "sh", "-c", "echo $SECRET; exec sleep 600"}})
	session.Says("open sesame", 1)
	// The session is long enough for its own endpoints, and the supervisor's answer.
	for range 20 {
		if !status() {
			t.Error("the supervisor does not answer beside a session")
		}
	}
	session.Signal(syscall.SIGTERM)
	session.WantExit(143)
	if text := session.Stderr.String(); text != "" {
		t.Errorf("the session says %s", text)
	}
	// Told by a flag it is meant.
	_, taken, _ := strings.Cut(env[len(k.env)], "=")
	told := run(t, stage.Story{Home: home, Env: env, Words: []string{"exec", "--admin", taken, "true"}})
	told.WantExit(69)
	r.Signal(syscall.SIGTERM)
	r.WantExit(0)
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
			home := stage.Folder(t)
			r := start(t, stage.Story{Home: home, Env: append(k.env, "SECRET="+seal(bird.text()), "ENTRYPOINT_DECRYPT_FAILURE="+policy),
				Words: []string{"run", "--", "sh", "-c", "echo copy with $SECRET; exec sleep 600"}})
			r.Says("copy with first", 1)
			r.Until("health", func() bool { return run(t, stage.Story{Home: home, Words: []string{"health"}}).Exit() == 0 })
			run(t, stage.Story{Home: home, Words: []string{"restart"}}).WantExit(0)
			r.Says("copy with second", 1)
			refused := run(t, stage.Story{Home: home, Words: []string{"restart"}})
			refused.WantExit(1)
			if policy == "keep" {
				refused.WantSaid("SECRET")
			}
			run(t, stage.Story{Home: home, Words: []string{"health"}}).WantExit(0)
			r.Signal(syscall.SIGTERM)
			r.WantExit(0)
			r.WantOut("copy with first\ncopy with second\n")
			r.WantSaid("access denied")
			wantNone(t, []canary{bird}, "the output", refused.Stderr.String()+r.Stderr.String())
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
		r := start(t, stage.Story{Words: append(append([]string{"run"}, words...), "--", "true"), Env: env})
		r.Says("waiting for", 1)
		r.Signal(syscall.SIGTERM)
		r.WantExit(143)
		wantNone(t, []canary{secret}, "stderr", r.Stderr.String())
		for _, json := range [][]string{nil, {"--json"}} {
			plan := run(t, stage.Story{Words: append(append(append([]string{"plan"}, json...), words...), "--", "true"), Env: env})
			plan.WantExit(0)
			wantNone(t, []canary{secret}, "plan", plan.Stdout.String())
			if words[1] == away && !strings.Contains(plan.Stdout.String(), "amqp://127.0.0.1:1") {
				t.Errorf("plan does not say what is waited for\n%s", plan)
			}
		}
	}
	for _, check := range []string{"exec:sh -c 'exit 1 # " + secret.core + "'", "http:/health?token=" + secret.core} {
		admin := stage.FreeAddress(t)
		r := start(t, stage.Story{Env: []string{"APP_DEBUG=1"}, Words: []string{"run", "--admin", admin, "--bind", "127.0.0.1:0", "--health", check, "--health-interval", "100ms",
			"--health-timeout", "100ms", "--health-retries", "1", "--", "sleep", "600"}})
		var body string
		r.Until("a failed check", func() bool {
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
			return strings.Contains(body, fmt.Sprintf("entrypoint_check_up{check=%q} 0", kind)) || strings.Contains(r.Stderr.String(), "check "+kind+" fails")
		})
		wantNone(t, []canary{secret}, "the endpoints", body)
		r.Signal(syscall.SIGTERM)
		r.Exit()
		wantNone(t, []canary{secret}, "stderr", r.Stderr.String())
	}
}
