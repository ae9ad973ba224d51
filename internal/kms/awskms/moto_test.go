package awskms

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/codeontap/entrypoint/internal/env"
	ours "github.com/codeontap/entrypoint/internal/kms"
)

// moto is a KMS that somebody else wrote. Its ciphertexts are laid out
// otherwise, so that they are marked: kms+base64.
func moto(t *testing.T) (settings []string) {
	t.Helper()
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not on PATH: KMS was tested against the server in kmstest alone (pip install 'moto[server,kms]')")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var said log
	server := exec.CommandContext(ctx, program, "-H", "127.0.0.1", "-p", port)
	server.Stdout, server.Stderr, server.WaitDelay = &said, &said, time.Second
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })

	patience, enough := context.WithTimeout(t.Context(), time.Minute)
	defer enough()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		request, err := http.NewRequestWithContext(patience, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			break
		}
		select {
		case <-again.C:
		case err := <-ended:
			ended <- err
			t.Fatalf("moto_server ended: %v\n%s", err, &said)
		case <-patience.Done():
			t.Fatalf("moto_server does not answer\n%s", &said)
		}
	}
	return []string{"AWS_ENDPOINT_URL_KMS=http://" + address, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=testing", "AWS_SECRET_ACCESS_KEY=testing"}
}

func TestMoto(t *testing.T) {
	home := bare(t)
	settings := moto(t)
	e := settingsOf(t, settings...)
	slogger, _ := logger()
	admin := New(e, ours.Config{}, slogger)
	if err := admin.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for range 2 {
		created, err := admin.api.CreateKey(t.Context(), &kms.CreateKeyInput{})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, aws.ToString(created.KeyMetadata.Arn))
	}
	shop := map[string]string{"app": "shop"}
	encrypted := func(keyID string, context map[string]string, plaintext string) (string, error) {
		_, said := logger()
		texts, err := ours.AskEncrypt(t.Context(), ours.Config{Timeout: 20 * time.Second, Context: context},
			e.Set(env.FromEnvironment, "HOME", home), keyID, []env.Secret{env.NewSecret(plaintext)}, process(said), slogger)
		if err != nil {
			return "", err
		}
		return texts[0], nil
	}
	open, err := encrypted(keys[0], nil, "s3cret of moto")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypted(keys[0], shop, "s3cret of moto")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := encrypted("alias/none", nil, "s3cret"); err == nil || !strings.Contains(err.Error(), "there is no such key in eu-west-1") {
		t.Errorf("no such key: %v", err)
	}
	bytes, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(open, "kms+base64:"))
	if err != nil {
		t.Fatal(err)
	}
	bytes[len(bytes)-1] ^= 1
	modified := "kms+base64:" + encode(bytes)

	for name, c := range map[string]struct {
		cfg   ours.Config
		value string
		want  ours.Verdict
	}{
		"text":                 {ours.Config{}, open, ours.OK},
		"its context":          {ours.Config{Context: shop}, sealed, ours.OK},
		"no context":           {ours.Config{}, sealed, ours.Invalid},
		"a context too many":   {ours.Config{Context: shop}, open, ours.Invalid},
		"modified":             {ours.Config{}, modified, ours.Invalid},
		"the key pinned":       {ours.Config{KeyID: keys[0]}, open, ours.OK},
		"another key pinned":   {ours.Config{KeyID: keys[1]}, open, ours.Denied}, // moto's word for it; KMS says IncorrectKeyException
		"without their marker": {ours.Config{}, strings.TrimPrefix(open, "kms+base64:"), ""},
	} {
		c.cfg.Timeout = 3 * time.Second
		block := append([]string{"A=" + c.value, "HOME=" + home}, settings...)
		after, r, said := ask(t.Context(), t, c.cfg, block...)
		verdict := ours.Verdict("")
		if len(r.Outcomes) > 0 {
			verdict = r.Outcomes[0].Verdict
		}
		want := c.value
		if c.want == ours.OK {
			want = "s3cret of moto"
		}
		if verdict != c.want || after.Get("A").Reveal() != want {
			t.Errorf("%s: %q\n%s", name, verdict, said)
		}
		if strings.Contains(said.String(), "s3cret") {
			t.Errorf("%s: the log holds the value\n%s", name, said)
		}
	}
	if _, err := admin.Decrypt(t.Context(), bytes[:20]); err == nil {
		t.Error("20 bytes were decrypted")
	} else if _, ok := errors.AsType[*ours.Failure](err); !ok {
		t.Errorf("%T", err)
	}
}
