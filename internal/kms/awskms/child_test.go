package awskms

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/codeontap/entrypoint/internal/env"
	ours "github.com/codeontap/entrypoint/internal/kms"
	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

// asChild makes the test binary the decrypting process instead of a test.
const asChild = "AWSKMS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	e, _ := env.Parse(os.Environ())
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	os.Exit(Child(context.Background(), os.Stdin, os.Stdout, e, log))
}

// process is a Spawn of a real process; stderr gets what it says.
func process(stderr io.Writer) ours.Spawn {
	return func(ctx context.Context, e env.Environment, request []byte) (io.ReadCloser, func() error, error) {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = e.Set(env.Injected, asChild, "1").Block()
		cmd.Stdin, cmd.Stderr = bytes.NewReader(request), stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, nil, err
		}
		return out, cmd.Wait, cmd.Start()
	}
}

// ask has the block decrypted by a real child process whose environment it is.
func ask(ctx context.Context, t *testing.T, cfg ours.Config, block ...string) (env.Environment, ours.Result, *log) {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	e, _ := env.Parse(block)
	slogger, said := logger()
	r := ours.Ask(ctx, cfg, e, ours.Classify(e, ours.Auto), process(said), slogger)
	r.Log(slogger)
	return ours.Apply(e, r), r, said
}

func TestRealChild(t *testing.T) {
	home := bare(t)
	server := &kmstest.Server{}
	block := append(serving(t, server), "HOME="+home,
		"A="+kmstest.Text(kmstest.Current, key, "s3cret", 1),
		"B="+kmstest.Text(kmstest.Current, unknown, "s3cret", 1))
	after, r, said := ask(t.Context(), t, ours.Config{}, block...)
	if after.Get("A").Reveal() != "s3cret" || r.ExitCode() != 78 || r.Requests["OK"] != 1 {
		t.Errorf("%+v\n%s", r, said)
	}
	if strings.Contains(said.String(), "s3cret") || !strings.Contains(said.String(), "cannot decrypt B: access denied") {
		t.Errorf("%s", said)
	}
}

// What is in ~/.aws counts for the child: its home is known from the start.
func TestRealChildReadsProfiles(t *testing.T) {
	home := bare(t)
	server := &kmstest.Server{}
	if err := os.Mkdir(filepath.Join(home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := "[default]\nregion = eu-central-1\naws_access_key_id = AKIAFILE\naws_secret_access_key = x\n"
	if err := os.WriteFile(filepath.Join(home, ".aws", "config"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	after, _, said := ask(t.Context(), t, ours.Config{}, serving(t, server)[0], "HOME="+home,
		"A="+kmstest.Text(kmstest.Current, key, "s3cret", 1))
	if call := server.Calls(); after.Get("A").Reveal() != "s3cret" || call[0].AccessKey != "AKIAFILE" || call[0].Region != "eu-central-1" {
		t.Errorf("%+v\n%s", call, said)
	}
}

func TestRealChildIsKilledByAStop(t *testing.T) {
	home := bare(t)
	server := &kmstest.Server{}
	ctx, cancel := context.WithCancel(t.Context())
	server.Script(nil, func(s *kmstest.Server, w http.ResponseWriter, r *http.Request, c kmstest.Call) {
		cancel()
		kmstest.Hang(s, w, r, c)
	})
	block := append(serving(t, server), "HOME="+home, "A="+kmstest.Text(kmstest.Current, key, "s3cret", 1))
	_, r, said := ask(ctx, t, ours.Config{Timeout: time.Minute}, block...)
	if !r.Stopped || strings.Contains(said.String(), "ERROR") {
		t.Errorf("%+v\n%s", r, said)
	}
}

func TestRealChildEncrypts(t *testing.T) {
	home := bare(t)
	server := &kmstest.Server{}
	e, _ := env.Parse(append(serving(t, server), "HOME="+home))
	slogger, said := logger()
	cfg := ours.Config{Timeout: 10 * time.Second, Context: map[string]string{"app": "shop"}}
	values := []env.Secret{env.NewSecret("s3cret"), env.NewSecret(strings.Repeat("p", 4096))}
	texts, err := ours.AskEncrypt(t.Context(), cfg, e, "alias/other", values, process(said), slogger)
	if err != nil {
		t.Fatal(err, said)
	}
	block := append(serving(t, server), "HOME="+home, "A="+texts[0], "B="+texts[1])
	after, _, said := ask(t.Context(), t, cfg, block...)
	if after.Get("A").Reveal() != "s3cret" || !after.Get("B").Equal(values[1]) {
		t.Errorf("%s", said)
	}
	_, err = ours.AskEncrypt(t.Context(), cfg, e, "alias/none", values, process(said), slogger)
	if refused, ok := errors.AsType[*ours.EncryptError](err); !ok || refused.ExitCode() != 78 {
		t.Errorf("%v", err)
	}
}

// With nothing to decrypt no file of ~/.aws is opened and nobody is dialled.
// The control shows that the watch sees it when there is something.
func TestNothingToDecryptTouchesNothing(t *testing.T) {
	home := bare(t)
	folder := filepath.Join(home, ".aws")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config", "credentials"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("[default]\nregion = eu-west-1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := &kmstest.Server{}
	block := append(serving(t, server), "HOME="+home, "B=postgres", "C=base64:YWJj", "D=kms:!")

	opened := func(block ...string) int {
		watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(watch)
		if _, err := unix.InotifyAddWatch(watch, folder, unix.IN_OPEN); err != nil {
			t.Fatal(err)
		}
		ask(t.Context(), t, ours.Config{}, block...)
		n, err := unix.Read(watch, make([]byte, 4096))
		if err == unix.EAGAIN {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if opened(block...) != 0 || len(server.Calls()) != 0 {
		t.Error("a file of ~/.aws was opened, or KMS asked")
	}
	if opened(append(block, "A="+kmstest.Text(kmstest.Current, key, "x", 1))...) == 0 || len(server.Calls()) != 1 {
		t.Error("the control sees nothing: this test cannot fail")
	}
}
