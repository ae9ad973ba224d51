package awskms

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/codeontap/entrypoint/internal/env"
	ours "github.com/codeontap/entrypoint/internal/kms"
	"github.com/codeontap/entrypoint/internal/kms/kmstest"

	"net/http/httptest"
)

// ten are as many distinct ciphertexts.
func ten() []string {
	var block []string
	for n := range uint64(10) {
		block = append(block, "V"+strconv.FormatUint(n, 10)+"="+kmstest.Text(kmstest.Current, key, "value", n))
	}
	return block
}

// Ten ciphertexts, 5 ms of service time, over a child process, its start
// included.
func BenchmarkTenCiphertexts(b *testing.B) {
	server := httptest.NewServer(&kmstest.Server{Keys: map[string]string{"k": key}, Service: 5 * time.Millisecond})
	defer server.Close()
	e, _ := env.Parse(append(ten(), "AWS_ENDPOINT_URL_KMS="+server.URL, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=x", "HOME="+b.TempDir()))
	log, said := logger()
	for b.Loop() {
		r := ours.Ask(b.Context(), ours.Config{Timeout: 10 * time.Second}, e, ours.Classify(e, ours.Auto), process(said), log)
		if r.Counts()[ours.OK] != 10 {
			b.Fatalf("%+v\n%s", r, said)
		}
	}
}

// The same within one process: what KMS costs beside the child.
func BenchmarkTenCiphertextsInProcess(b *testing.B) {
	server := httptest.NewServer(&kmstest.Server{Keys: map[string]string{"k": key}, Service: 5 * time.Millisecond})
	defer server.Close()
	e, _ := env.Parse(append(ten(), "AWS_ENDPOINT_URL_KMS="+server.URL, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=x", "HOME="+b.TempDir()))
	log, _ := logger()
	cfg := ours.Config{Timeout: 10 * time.Second}
	for b.Loop() {
		if r := ours.Resolve(b.Context(), cfg, ours.Classify(e, ours.Auto), New(e, cfg, log), log); r.Counts()[ours.OK] != 10 {
			b.Fatalf("%+v", r)
		}
	}
}

// Ten ciphertexts, no credentials, and a network namespace without any route.
func BenchmarkNoCredentialsNoRoute(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("a network namespace takes root")
	}
	e, _ := env.Parse(append(ten(), "AWS_REGION=eu-west-1", "HOME="+b.TempDir()))
	log, said := logger()
	isolated := func(ctx context.Context, e env.Environment, request []byte) (io.ReadCloser, func() error, error) {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = e.Set(env.Injected, asChild, "1").Block()
		cmd.Stdin, cmd.Stderr = bytes.NewReader(request), said
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, nil, err
		}
		return out, cmd.Wait, cmd.Start()
	}
	for b.Loop() {
		r := ours.Ask(b.Context(), ours.Config{Timeout: 10 * time.Second}, e, ours.Classify(e, ours.Auto), isolated, log)
		if r.ExitCode() != 75 {
			b.Fatalf("%+v\n%s", r, said)
		}
	}
	r := ours.Ask(b.Context(), ours.Config{Timeout: 10 * time.Second}, e, ours.Classify(e, ours.Auto), isolated, log)
	r.Log(log)
	b.Log(said)
}
