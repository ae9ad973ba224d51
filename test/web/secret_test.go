package web

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

// key is what the site's secrets are encrypted under.
const key = "arn:aws:kms:eu-west-1:111122223333:key/site"

// A secret that was rotated arrives by a restart, and not before: it is
// decrypted again, while the old copies serve.
func TestARotatedSecretArrivesByARestart(t *testing.T) {
	t.Parallel()
	needs(t, "gunicorn", "gunicorn")
	blob := kmstest.Blob(kmstest.Current, key, "first-password", 1)
	kms := &kmstest.Server{Keys: map[string]string{"site": key}}
	kms.Script(blob, kmstest.Normal, kmstest.Plaintext(key, "second-password"))
	server := httptest.NewServer(kms)
	defer server.Close()
	s := start(t, opts{
		args: []string{"--workers", "2", "--bind", "{address}"},
		env: []string{
			"DATABASE_PASSWORD=" + kmstest.Text(kmstest.Current, key, "first-password", 1),
			"AWS_ENDPOINT_URL_KMS=" + server.URL, "AWS_REGION=eu-west-1",
			"AWS_ACCESS_KEY_ID=nobody", "AWS_SECRET_ACCESS_KEY=nothing",
		},
	})
	s.becomesReady(2)
	if got := s.get("/secret"); got != "first-password" {
		t.Fatalf("the application got %q\n%s", got, s)
	}
	s.restarts()
	for range 8 { // both copies
		if got := s.get("/secret"); got != "second-password" {
			t.Errorf("after the restart the application got %q\n%s", got, s)
		}
	}
	if n := len(kms.Calls()); n != 2 {
		t.Errorf("KMS was asked %d times", n)
	}
	s.stops(0)
}

// A restart that cannot decrypt under `--decrypt-failure exit` starts nothing,
// and the old copies serve on.
func TestARestartThatCannotDecryptLeavesTheOldCopies(t *testing.T) {
	t.Parallel()
	needs(t, "gunicorn", "gunicorn")
	blob := kmstest.Blob(kmstest.Current, key, "first-password", 1)
	kms := &kmstest.Server{Keys: map[string]string{"site": key}}
	kms.Script(blob, kmstest.Normal, kmstest.Refuse(400, "AccessDeniedException", "no"))
	server := httptest.NewServer(kms)
	defer server.Close()
	s := start(t, opts{
		args: []string{"--workers", "2", "--bind", "{address}", "--decrypt-failure", "exit"},
		env: []string{
			"DATABASE_PASSWORD=" + kmstest.Text(kmstest.Current, key, "first-password", 1),
			"AWS_ENDPOINT_URL_KMS=" + server.URL, "AWS_REGION=eu-west-1",
			"AWS_ACCESS_KEY_ID=nobody", "AWS_SECRET_ACCESS_KEY=nothing",
		},
	})
	s.becomesReady(2)
	before := s.pids()
	out, code := s.ask("restart")
	if code != 1 || !strings.Contains(out, "cannot restart: not every value could be decrypted") || strings.Contains(out, "cannot start") {
		t.Errorf("restart ends with %d: %s", code, out)
	}
	unchanged(t, s, before)
	s.stops(0)
}

// A secret that comes by a file is read again as well: that is how Docker and
// Kubernetes rotate.
func TestARotatedFileArrivesByARestart(t *testing.T) {
	t.Parallel()
	needs(t, "gunicorn", "gunicorn")
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first-password\n")
	s := start(t, opts{args: []string{"--workers", "2", "--bind", "{address}"}, env: []string{"DATABASE_PASSWORD_FILE=" + file}})
	s.becomesReady(2)
	if got := s.get("/secret"); got != "first-password" {
		t.Fatalf("the application got %q\n%s", got, s)
	}
	write("second-password\n")
	s.restarts()
	if got := s.get("/secret"); got != "second-password" {
		t.Errorf("after the restart the application got %q\n%s", got, s)
	}
	s.stops(0)
}
