package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestServesUntilStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", time.Millisecond, in) }()
	lines := bufio.NewScanner(out)
	settings := map[string]string{}
	for len(settings) < 5 && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		settings[name] = value
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, settings["AWS_ENDPOINT_URL_KMS"],
		strings.NewReader(`{"KeyId":"`+settings["ENTRYPOINT_KMS_KEY_ID"]+`","Plaintext":"YWJj"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Amz-Target", "TrentService.Encrypt")
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=demo/20260101/eu-west-1/kms/aws4_request, ...")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), arn) {
		t.Errorf("%s, %v", body, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "10.0.0.1:80", "example.org:80"} {
		if err := run(t.Context(), address, 0, io.Discard); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
