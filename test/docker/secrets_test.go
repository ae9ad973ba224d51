//go:build engine

package docker

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

// A ciphertext in the container's configuration is plaintext for the application
// and for `docker exec ... entrypoint exec`, and for nobody else.
func TestDecryptedInside(t *testing.T) {
	t.Parallel()
	const (
		secret = "pl4in-t3xt-of-the-k3y-0123456789-0123456789-0123456789"
		arn    = "arn:aws:kms:eu-west-1:000000000000:key/demo"
	)
	kms := httptest.NewServer(&kmstest.Server{Keys: map[string]string{"alias/demo": arn, "demo": arn}})
	t.Cleanup(kms.Close)
	// The host's network: the stand-in listens on loopback, as it should.
	options := []string{
		"--network", "host", "-e", "AWS_ENDPOINT_URL_KMS=" + kms.URL, "-e", "AWS_REGION=eu-west-1",
		"-e", "AWS_ACCESS_KEY_ID=demo", "-e", "AWS_SECRET_ACCESS_KEY=demo",
	}
	made := run(t, append(options, image, "sh", "-c", "printf %s "+secret+" | entrypoint encrypt --key-id alias/demo DJANGO_SECRET_KEY")...)
	line := strings.TrimSpace(made.stdout)
	if made.code != 0 || !strings.HasPrefix(line, "DJANGO_SECRET_KEY=kms+base64:") {
		t.Fatal(made)
	}

	// Another by a file, which can be rotated.
	files := t.TempDir()
	rotate := func(plaintext string) {
		text := kmstest.Text(kmstest.Current, arn, plaintext, uint64(len(plaintext)))
		if err := os.WriteFile(filepath.Join(files, "smtp_password"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rotate("old-passw0rd")

	c := start(t, append(options, "-e", line, "-e", "ENTRYPOINT_DECRYPT_FAILURE=exit", "-e", "PORT="+freePort(t),
		"-v", files+":/run/secrets:ro", "-e", "SMTP_HOST=127.0.0.1", "-e", "SMTP_PASSWORD_FILE=/run/secrets/smtp_password", image)...)
	c.waitHealth("healthy")
	const show = "from django.conf import settings; print('key:', settings.SECRET_KEY)"
	if o := c.exec("entrypoint", "exec", "--", "./manage.py", "shell", "-c", show); o.code != 0 || !strings.Contains(o.stdout, "key: "+secret+"\n") {
		t.Errorf("by entrypoint exec: %v", o)
	}
	if o := c.exec("./manage.py", "shell", "-c", show); o.code != 0 || !strings.Contains(o.stdout, "key: kms+base64:") {
		t.Errorf("without it: %v", o)
	}
	succeed(t, ofGuide(t, secretsPage, "Sessions beside the application", 1)[0], "CONTAINER="+c.id)

	// A rotated file arrives by a restart, and not before.
	has := func(plaintext string) bool {
		pid := strconv.Itoa(c.status().Copies[0].PID)
		o := c.exec("cat", "/proc/"+pid+"/environ")
		return strings.Contains(o.stdout, "SMTP_PASSWORD="+plaintext+"\x00")
	}
	rotate("the-new-passw0rd")
	if !has("old-passw0rd") {
		t.Error("the application has not got the password of the file")
	}
	if said := succeed(t, ofGuide(t, secretsPage, "Rotating", 1)[0], "CONTAINER="+c.id); !strings.Contains(said, "restarting 1 copies of web") || !has("the-new-passw0rd") {
		t.Errorf("the new password has not arrived: %s", said)
	}

	// PID 1's own environment holds the ciphertext, if it can be read at all.
	if o := c.exec("cat", "/proc/1/environ"); strings.Contains(o.stdout, secret) {
		t.Error("the environment of PID 1 holds the plaintext")
	}
	if strings.Contains(docker(t, "inspect", c.id), secret) {
		t.Error("docker inspect shows the plaintext")
	}
	if code := c.stop(); code != 0 {
		t.Errorf("docker stop: code %d", code)
	}
	if strings.Contains(c.log(), secret) {
		t.Error("the log shows the plaintext")
	}
}
