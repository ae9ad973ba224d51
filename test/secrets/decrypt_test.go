package secrets

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
	"github.com/codeontap/entrypoint/test/internal/stage"
)

// bird is the secret of these stories.
var bird = canary{"the ciphertext", "Zb4Hq8Wn2Lc6Tk0P"}

// row is one of the decision table of environment.md. The environment that it
// gives has the secret in SECRET; a server that repeats what it was sent does so
// with the secret.
type row struct {
	name   string
	value  string // of SECRET; a ciphertext of the canary by default
	answer kmstest.Answer
	env    []string
	// What the application gets under keep: the plaintext, or the value as it
	// was. Under exit the container ends with code, 0 where it starts.
	plain bool
	code  int
	say   string // stands in stderr, in a line of this level
	level string
	calls int // to KMS, at least; 0 is none at all
}

func echo(status int, code string) kmstest.Answer { return kmstest.Refuse(status, code, bird.text()) }

func rows() []row {
	sealed := seal(bird.text())
	raw, _ := base64.StdEncoding.DecodeString(sealed)
	text64 := base64.StdEncoding.EncodeToString([]byte(bird.text()))
	all := []string{"ENTRYPOINT_DECRYPT=all"}
	flip := slices.Clone(raw)
	flip[len(flip)-3] ^= 1
	return []row{
		{name: "not base64", value: bird.text()},
		{name: "base64 without layout, auto", value: text64},
		{name: "base64 without layout, all, invalid", value: text64, env: all, answer: echo(400, "InvalidCiphertextException"), say: "SECRET", level: "debug", calls: 1},
		{name: "base64 without layout, all, denied", value: text64, env: all, answer: echo(400, "AccessDeniedException"), say: "SECRET", level: "debug", calls: 1},
		{name: "base64 without layout, all, validation", value: text64, env: all, answer: echo(400, "ValidationException"), say: "SECRET", level: "debug", calls: 1},
		{name: "base64 without layout, all, 5xx", value: text64, env: all, answer: echo(500, "KMSInternalException"), say: "stopped asking KMS", level: "warning", calls: 1},
		{name: "base64 without layout, all, throttled", value: text64, env: all, answer: echo(400, "ThrottlingException"), say: "stopped asking KMS", level: "warning", calls: 1},
		{name: "base64 without layout, all, credentials", value: text64, env: all, answer: echo(400, "ExpiredTokenException"), say: "stopped asking KMS", level: "warning", calls: 1},

		{name: "text", plain: true, say: "decrypted SECRET with " + arn, calls: 1},
		{name: "text, marked", value: "kms+base64:" + sealed, plain: true, say: "decrypted SECRET", calls: 1},
		{name: "text, the emulator's layout behind a marker", value: "kms+base64:" + text64, answer: kmstest.Plaintext(arn, bird.text()), plain: true, say: "decrypted SECRET", calls: 1},
		{name: "text, unpadded", value: strings.TrimRight(sealed, "="), plain: true, say: "decrypted SECRET", calls: 1},
		{name: "text, broken by white space", value: sealed[:76] + "\r\n  " + sealed[76:] + "\n", plain: true, say: "decrypted SECRET", calls: 1},
		{name: "text, 2014", value: kmstest.Text(kmstest.Year2014, arn, bird.text(), 14), plain: true, say: "decrypted SECRET", calls: 1},
		{name: "text, older", value: kmstest.Text(kmstest.Older, arn, bird.text(), 12), plain: true, say: "decrypted SECRET", calls: 1},
		{name: "doubly encoded", value: base64.StdEncoding.EncodeToString([]byte(sealed)), plain: true, say: "base64 of base64", level: "warning", calls: 1},
		{name: "off", env: []string{"ENTRYPOINT_DECRYPT=off"}, say: "SECRET", level: "error"},

		{name: "text with NUL", answer: kmstest.Plaintext(arn, bird.text()+"\x00"), code: 78, say: "NUL", level: "error", calls: 1},
		{name: "text longer than a variable", answer: kmstest.Plaintext(arn, strings.Repeat(bird.text(), 5000)), code: 78, say: "longer than a variable can be", level: "error", calls: 1},
		{name: "InvalidCiphertext", answer: echo(400, "InvalidCiphertextException"), code: 78, say: "genuine ciphertext rejected: wrong context or modified", level: "error", calls: 1},
		{name: "bit-flipped", value: base64.StdEncoding.EncodeToString(flip), code: 78, say: "genuine ciphertext rejected", level: "error", calls: 1},
		{name: "AccessDenied", answer: echo(400, "AccessDeniedException"), code: 78, say: "access denied in eu-west-1", level: "error", calls: 1},
		{name: "IncorrectKey", answer: echo(400, "IncorrectKeyException"), code: 78, say: "another key", level: "error", calls: 1},
		{name: "Disabled", answer: echo(400, "DisabledException"), code: 78, say: "disabled", level: "error", calls: 1},
		{name: "InvalidState", answer: echo(400, "KMSInvalidStateException"), code: 78, say: "state", level: "error", calls: 1},
		{name: "InvalidKeyUsage", answer: echo(400, "InvalidKeyUsageException"), code: 78, say: "symmetric key", level: "error", calls: 1},
		{name: "NotFound", answer: echo(400, "NotFoundException"), code: 78, say: "no such key", level: "error", calls: 1},
		{name: "InvalidGrantToken", answer: echo(400, "InvalidGrantTokenException"), code: 78, say: "InvalidGrantTokenException", level: "error", calls: 1},
		{name: "a code that nobody knows", answer: echo(400, bird.text()), code: 75, say: "not KMS's", level: "error", calls: 1},

		{name: "KeyUnavailable", answer: echo(500, "KeyUnavailableException"), code: 75, say: "KeyUnavailableException", level: "error", calls: 2},
		{name: "Internal", answer: echo(500, "KMSInternalException"), code: 75, say: "KMSInternalException", level: "error", calls: 2},
		{name: "DependencyTimeout", answer: echo(503, "DependencyTimeoutException"), code: 75, say: "DependencyTimeoutException", level: "error", calls: 2},
		{name: "Throttling", answer: echo(400, "ThrottlingException"), code: 75, say: "ThrottlingException", level: "error", calls: 2},
		{name: "HTML", answer: kmstest.HTML(200, bird.text()), code: 75, say: "not KMS's", level: "error", calls: 1},
		{name: "HTML, 503", answer: kmstest.HTML(503, bird.text()), code: 75, say: "not KMS's", level: "error", calls: 1},
		{name: "hangs after the header", answer: kmstest.Hang, code: 75, say: "SECRET", level: "error", calls: 1},
		{name: "closes mid-body", answer: kmstest.CutOff, code: 75, say: "SECRET", level: "error", calls: 1},
		{name: "20 MB", answer: kmstest.Huge(20 << 20), code: 75, say: "longer than KMS gives", level: "error", calls: 1},
		{name: "an answer of another shape", answer: kmstest.Plaintext(bird.text(), ""), code: 75, say: "SECRET", level: "error", calls: 1},

		{name: "expired credentials", answer: echo(400, "ExpiredTokenException"), code: 75, say: "credentials are not accepted", level: "error", calls: 1},
		{name: "wrong credentials", answer: echo(400, "UnrecognizedClientException"), code: 75, say: "credentials are not accepted", level: "error", calls: 1},
		{name: "a clock 20 minutes off", answer: kmstest.Skewed(20 * time.Minute), code: 75, say: "clock", level: "error", calls: 1},
		{name: "no credentials", env: []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, code: 75, say: "there are no AWS credentials", level: "error"},
		{name: "no region", env: []string{"AWS_REGION="}, code: 78, say: "no AWS region is set", level: "error"},
		{name: "a secret for a region", env: []string{"AWS_REGION=" + bird.text()}, code: 78, say: "no name of a region", level: "error"},
		{name: "a secret for an endpoint", env: []string{"AWS_ENDPOINT_URL_KMS=" + bird.text()}, code: 78, say: "AWS_ENDPOINT_URL_KMS is no URL", level: "error"},
		{name: "a secret in the endpoint", env: []string{"AWS_ENDPOINT_URL_KMS=http://u:" + bird.core + "@127.0.0.1:1/" + bird.core}, code: 75, say: "cannot be reached", level: "error"},
		{name: "nobody listens", env: []string{"AWS_ENDPOINT_URL_KMS=http://127.0.0.1:1"}, code: 75, say: "cannot be reached", level: "error"},
		{name: "another server listens", env: []string{"AWS_ENDPOINT_URL_KMS=https://127.0.0.1:1"}, code: 75, say: "cannot be reached", level: "error"},

		{name: "truncated", value: base64.StdEncoding.EncodeToString(raw[:len(raw)-9]), code: 78, say: fmt.Sprintf("truncated: header says %d bytes, got %d", len(raw), len(raw)-9), level: "error", calls: 1},
		{name: "truncated below the least", value: base64.StdEncoding.EncodeToString(raw[:90]), code: 78, say: "truncated", level: "error"},
		{name: "6145 bytes", value: base64.StdEncoding.EncodeToString(append(slices.Clone(raw), make([]byte, 6145-len(raw))...)), code: 78, say: "longer than KMS takes", level: "error"},
		{name: "URL-safe", value: urlSafe(raw), code: 78, say: "URL-safe", level: "error"},
		{name: "marked, not base64", value: "kms+base64:" + bird.text(), code: 78, say: "not base64", level: "error"},
		{name: "nothing behind the marker", value: "kms+base64:", code: 78, say: "nothing follows the marker", level: "error"},
		{name: "a message of the Encryption SDK", value: "kms+base64:AYAD" + text64, code: 78, say: "Encryption SDK", level: "error"},
		{name: "the wrong context", env: []string{"KMS_ENCRYPTION_CONTEXT=app=" + bird.core}, code: 78, say: "--encryption-context", level: "error", calls: 1},
		{name: "another key than the pinned one", env: []string{"ENTRYPOINT_KMS_KEY_ID=" + bird.text()}, code: 78, say: "no such key", level: "error", calls: 1},
	}
}

// urlSafe is a ciphertext in the URL-safe alphabet; a nonce is looked for that
// makes a difference.
func urlSafe(raw []byte) string {
	text := base64.URLEncoding.EncodeToString(raw)
	for n := uint64(1000); !strings.ContainsAny(text, "-_"); n++ {
		text = base64.URLEncoding.EncodeToString(kmstest.Blob(kmstest.Current, arn, bird.text(), n))
	}
	return text
}

func TestTheDecisionTable(t *testing.T) {
	for _, row := range rows() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.value == "" {
				row.value = seal(bird.text())
			}
			row.check(t, "keep", "exec")
			row.check(t, "exit", "run")
		})
	}
}

func (row row) check(t *testing.T, policy string, words ...string) {
	t.Helper()
	k := newKMS(t)
	if row.answer != nil {
		k.Script(nil, row.answer)
	}
	timeout := "10s"
	if row.code == 75 { // KMS is asked until then
		timeout = "1500ms"
	}
	dir := stage.Folder(t)
	r := run(t, stage.Story{
		Words: append(words, "--log-level", "debug", "--", "sh", "-c", `printf %s "$SECRET" >got; printf %s "$OTHER" >other`), Dir: dir,
		Env: slices.Concat(k.env, []string{"SECRET=" + row.value, "OTHER=hello", "ENTRYPOINT_DECRYPT_FAILURE=" + policy, "ENTRYPOINT_DECRYPT_TIMEOUT=" + timeout}, row.env),
	})
	canaries := []canary{bird}
	wantNone(t, canaries, "stdout", r.Stdout.String())
	wantNone(t, canaries, "stderr", r.Stderr.String())
	code := 0
	if policy == "exit" {
		code = row.code
	}
	r.WantExit(code)
	got, started := stage.Read(t, filepath.Join(dir, "got")), isThere(filepath.Join(dir, "got"))
	want := row.value
	if row.plain {
		want = bird.text()
	}
	switch {
	case started != (code == 0):
		t.Errorf("%s: the application was started: %v\n%s", policy, started, r)
	case started && got != want:
		t.Errorf("%s: the application got %d bytes, not the %d that are right\n%s", policy, len(got), len(want), r)
	case started && stage.Read(t, filepath.Join(dir, "other")) != "hello":
		t.Errorf("%s: OTHER has changed", policy)
	}
	if n := len(k.Calls()); n < row.calls || row.calls == 0 && n > 0 {
		t.Errorf("%s: %d calls to KMS, wanted %d\n%s", policy, n, row.calls, r)
	}
	row.checkWords(t, r, policy)
}

// checkWords looks for the line that says it, and for the variable's name in it.
func (row row) checkWords(t *testing.T, r *stage.Running, policy string) {
	t.Helper()
	if row.say == "" {
		if strings.Contains(r.Stderr.String(), "SECRET") {
			t.Errorf("it is spoken about\n%s", r)
		}
		return
	}
	for line := range strings.Lines(r.Stderr.String()) {
		if strings.Contains(line, row.say) && strings.Contains(line, "SECRET") && (row.level == "" || strings.HasPrefix(line, "entrypoint: "+row.level+": ")) {
			return
		}
	}
	t.Errorf("%s: no line of level %q names SECRET and says %q\n%s", policy, row.level, row.say, r)
}

// The server's certificate: said so, never accepted.
func TestAnUntrustedCertificate(t *testing.T) {
	k := newKMS(t)
	server := httptest.NewUnstartedServer(k.Server)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // its clients hang up
	server.StartTLS()
	t.Cleanup(server.Close)
	value := seal(bird.text())
	env := slices.Concat(awsEnvironment(server.URL), []string{"SECRET=" + value, "ENTRYPOINT_DECRYPT_TIMEOUT=5s"})
	story := append([]string{"exec"}, sh(`printf %s "$SECRET"`)...)

	kept := run(t, stage.Story{Words: story, Env: env})
	kept.WantExit(0)
	kept.WantOut(value)
	kept.WantSaid("SECRET", "certificate is not trusted", "AWS_CA_BUNDLE")
	refused := run(t, stage.Story{Words: story, Env: append(env, "ENTRYPOINT_DECRYPT_FAILURE=exit")})
	refused.WantExit(75)
	refused.WantOut("")
	if n := len(k.Calls()); n > 0 {
		t.Errorf("%d requests went to a server that nobody trusts", n)
	}

	// The control: with its authority it is one that answers.
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pemOf(server.Certificate()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, variable := range []string{"AWS_CA_BUNDLE=", "SSL_CERT_FILE="} {
		trusted := run(t, stage.Story{Words: story, Env: append(env, "ENTRYPOINT_DECRYPT_FAILURE=exit", variable+bundle)})
		trusted.WantExit(0)
		trusted.WantOut(bird.text())
	}
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// A batch of which a part cannot be decrypted: under exit nothing starts, under
// keep every value that stays is named in an error.
func TestABatchIsNeverHalfAppliedInSilence(t *testing.T) {
	for _, words := range [][]string{{"exec"}, {"run"}} {
		k := newKMS(t)
		env := append(k.env, "GOOD="+seal("plain one"), "DENIED="+sealUnder("another", "never"), "TOO="+sealUnder("yet another", "never"))
		story := append(words, sh(`echo "$GOOD"; case $DENIED$TOO in AQIC*AQIC*) echo kept;; esac`)...)
		r := run(t, stage.Story{Words: story, Env: env})
		r.WantExit(0)
		r.WantOut("plain one\nkept\n")
		for _, name := range []string{"DENIED", "TOO"} {
			found := false
			for line := range strings.Lines(r.Stderr.String()) {
				found = found || strings.HasPrefix(line, "entrypoint: error: ") && strings.Contains(line, name)
			}
			if !found {
				t.Errorf("no error names %s\n%s", name, r)
			}
		}
		r = run(t, stage.Story{Words: story, Env: append(env, "ENTRYPOINT_DECRYPT_FAILURE=exit")})
		r.WantExit(78)
		r.WantOut("")
	}
}

// Permanent and temporary ones together: somebody has to change something.
func TestAPermanentFailureWinsOverATemporaryOne(t *testing.T) {
	k := newKMS(t)
	busy := kmstest.Blob(kmstest.Current, arn, "x", 77)
	k.Script(busy, kmstest.Refuse(500, "KMSInternalException", ""))
	env := append(k.env, "BUSY="+base64.StdEncoding.EncodeToString(busy), "DENIED="+sealUnder("another", "never"),
		"ENTRYPOINT_DECRYPT_FAILURE=exit", "ENTRYPOINT_DECRYPT_TIMEOUT=500ms")
	run(t, stage.Story{Words: []string{"exec", "true"}, Env: env}).WantExit(78)
	run(t, stage.Story{Words: []string{"exec", "true"}, Env: append(env, "DENIED=")}).WantExit(75)
}

// TERM, INT and QUIT while KMS hangs: 143, whatever the policy, and nothing was
// started.
func TestAStopWhileDecrypting(t *testing.T) {
	for _, words := range [][]string{{"run"}, {"exec"}, {"run", "--decrypt-failure", "exit"}, {"exec", "--decrypt-failure", "exit"}, {"check"}} {
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
			t.Run(strings.Join(words, " ")+" "+s.String(), func(t *testing.T) {
				t.Parallel()
				k := newKMS(t)
				k.Script(nil, kmstest.Hang)
				args := slices.Clone(words)
				if words[0] != "check" {
					args = append(args, "--", "echo", "started")
				}
				r := start(t, stage.Story{Words: args, Env: append(k.env, "SECRET="+seal(bird.text()))})
				r.Says("still decrypting: 1 left", 1)
				r.Signal(s)
				r.WantExit(143)
				r.WantOut("")
				wantNone(t, []canary{bird}, "stderr", r.Stderr.String())
			})
		}
	}
}

// While KMS hangs the endpoints are open already and say what is under way.
func TestTheEndpointsSayThatItDecrypts(t *testing.T) {
	k := newKMS(t)
	k.Script(nil, kmstest.Hang)
	home := stage.Folder(t)
	r := start(t, stage.Story{Home: home, Words: []string{"run", "--", "true"}, Env: append(k.env, "SECRET="+seal(bird.text()))})
	r.Says("still decrypting", 1)
	status := run(t, stage.Story{Home: home, Words: []string{"status", "--json"}})
	status.WantExit(0)
	if !strings.Contains(status.Stdout.String(), `"state":"decrypting"`) {
		t.Errorf("status does not say what it does\n%s", status)
	}
	run(t, stage.Story{Home: home, Words: []string{"health"}}).WantExit(1)
	run(t, stage.Story{Home: home, Words: []string{"health", "--live"}}).WantExit(0)
	r.Signal(syscall.SIGTERM)
	r.WantExit(143)
}

// A session of docker exec sees what the application sees; our own settings
// reach neither.
func TestTheApplicationGetsPlaintextAndNoSettingOfOurs(t *testing.T) {
	k := newKMS(t)
	env := append(k.env, "X="+seal("open sesame"), "ENTRYPOINT_KMS_REGION=eu-west-1", "ENTRYPOINT_GRACE=3s", "ENTRYPOINT_ADMIN=off", "ENTRYPOINT_UNKNOWN=1")
	for _, words := range [][]string{{"exec", "--", "env"}, {"env"}, {"run", "--", "env"}, {"run", "--app-output", "prefix", "--", "env"}} {
		r := run(t, stage.Story{Words: words, Env: env})
		r.WantExit(0)
		out := r.Stdout.String()
		if !strings.Contains(out, "X=open sesame\n") {
			t.Errorf("it is not decrypted\n%s", r)
		}
		if strings.Contains(out, "ENTRYPOINT_") {
			t.Errorf("a setting of ours reached the application\n%s", r)
		}
	}
	r := run(t, stage.Story{Words: []string{"exec", "--", "sh", "-c", "echo $X"}, Env: env})
	r.WantOut("open sesame\n")
}

// Equal ciphertexts are asked about once.
func TestEqualCiphertextsAreAskedOnce(t *testing.T) {
	k := newKMS(t)
	value := seal("same")
	r := run(t, stage.Story{Words: sh(`echo $A $B $C`), Env: append(k.env, "A="+value, "B="+value, "C=kms+base64:"+value)})
	r.WantOut("same same same\n")
	if n := len(k.Calls()); n != 1 {
		t.Errorf("%d calls", n)
	}
}
