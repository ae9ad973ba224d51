package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

// service is a fakeKMS that encrypts as well: under the key "alias/mine" only.
type service struct{ *fakeKMS }

func (service) Encrypt(_ context.Context, keyID string, plaintext env.Secret) ([]byte, error) {
	if keyID != "alias/mine" {
		return nil, refusal("NotFoundException", 400)
	}
	return []byte("sealed " + plaintext.Reveal()), nil
}

// inProcess is a Spawn whose child is a goroutine. seen, if not nil, gets the
// child's environment.
func inProcess(script map[string][]reply, log *slog.Logger, seen *env.Environment) Spawn {
	return func(ctx context.Context, e env.Environment, request []byte) (io.ReadCloser, func() error, error) {
		if seen != nil {
			*seen = e
		}
		out, in := io.Pipe()
		code := make(chan int, 1)
		go func() {
			code <- Serve(ctx, bytes.NewReader(request), in, func(Config) Service { return service{&fakeKMS{script: script}} }, log)
			in.Close()
		}()
		return out, func() error {
			if <-code != 0 {
				return errors.New("exit status 70")
			}
			return nil
		}, nil
	}
}

func TestChildAnswersAsResolveDoes(t *testing.T) {
	script := map[string][]reply{
		blob(1): {{text: "one"}},
		blob(2): {{err: refusal("AccessDeniedException", 400)}},
		blob(3): {{text: "three\n\xff"}}, // not UTF-8, and a variable may be so
	}
	e := environment(t, "A="+text(blob(1)), "B="+text(blob(2)), "C="+text(text(blob(3))), "D=kms:!", "E=kept")
	candidates := Classify(e, Auto)
	cfg := Config{Timeout: 10 * time.Second, KeyID: key, Context: map[string]string{"a": "b"}}
	log, _ := logger()
	want := Resolve(t.Context(), cfg, candidates, &fakeKMS{script: script}, log)
	got := Ask(t.Context(), cfg, e, candidates, inProcess(script, log, nil), log)
	want.Elapsed, got.Elapsed = 0, 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"one", "three\n\xff"}, []string{Apply(e, got).Get("A").Reveal(), Apply(e, got).Get("C").Reveal()}); diff != "" {
		t.Error(diff)
	}
}

func TestChildEnvironment(t *testing.T) {
	log, told := logger()
	e := environment(t, "A="+text(blob(1)), "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL=http://10.0.0.1", "VAULT_ADDR=x").With(
		env.Variable{Name: "AWS_ENDPOINT_URL_KMS", Value: env.NewSecret("http://10.0.0.1"), Source: env.FromDotenv},
		env.Variable{Name: "AWS_ENDPOINT_URL_STS", Value: env.NewSecret("http://127.0.0.1:4566"), Source: env.FromDotenv},
	)
	var seen env.Environment
	Ask(t.Context(), Config{Timeout: time.Second}, e, Classify(e, Auto), inProcess(map[string][]reply{blob(1): {{text: "x"}}}, log, &seen), log)
	want := []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_REGION", "GOTRACEBACK", "VAULT_ADDR"}
	if diff := cmp.Diff(want, seen.Names()); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(told.lines()[0], "AWS_ENDPOINT_URL_KMS from the .env file is ignored") {
		t.Errorf("%q", told.lines())
	}
}

func TestNothingToAskStartsNoChild(t *testing.T) {
	log, _ := logger()
	never := func(context.Context, env.Environment, []byte) (io.ReadCloser, func() error, error) {
		t.Error("a child is started")
		return nil, nil, errors.New("never")
	}
	for _, e := range []env.Environment{
		{}, environment(t, "A=postgres", "B=base64:YWJj", "PATH=/bin"), environment(t, "A=kms:!"),
	} {
		Ask(t.Context(), Config{Timeout: time.Second}, e, Classify(e, Auto), never, log)
	}
}

// A child that dies, talks nonsense, too much, or never: a temporary failure
// of every value, one ERROR, and no plaintext half applied.
func TestBadChildren(t *testing.T) {
	answering := func(out string, ended error) Spawn {
		return func(context.Context, env.Environment, []byte) (io.ReadCloser, func() error, error) {
			return io.NopCloser(strings.NewReader(out)), func() error { return ended }, nil
		}
	}
	const secret = "s3cret"
	half, err := json.Marshal(answer{Outcomes: []answerOutcome{{Name: "A", Verdict: OK, Value: []byte(secret)}}})
	if err != nil {
		t.Fatal(err)
	}
	others, err := json.Marshal(answer{Outcomes: []answerOutcome{{Name: "A"}, {Name: "X", Verdict: OK, Value: []byte(secret)}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spawn Spawn
		says  string
	}{
		"cannot be started": {func(context.Context, env.Environment, []byte) (io.ReadCloser, func() error, error) {
			return nil, nil, errors.New("fork: resource temporarily unavailable")
		}, "the process that asks KMS failed: it cannot be started: fork: resource temporarily unavailable: try again"},
		"dies":            {answering("", errors.New("signal: killed")), "it ended with signal: killed"},
		"dies late":       {answering(string(half), errors.New("exit status 2")), "it ended with exit status 2"},
		"says nothing":    {answering("", nil), "its answer: nothing came"},
		"talks nonsense":  {answering("panic: "+secret, nil), "its answer: not the message that was expected"},
		"is cut off":      {answering(string(others[:40]), nil), "not the message that was expected"},
		"talks too much":  {answering(strings.Repeat(" ", maxMessage+1), nil), "its answer: over 8388608 bytes"},
		"answers half":    {answering(string(half), nil), "it answered about 1 values of 2"},
		"answers another": {answering(string(others), nil), "it answered about other variables"},
		"never ends": {func(ctx context.Context, _ env.Environment, _ []byte) (io.ReadCloser, func() error, error) {
			out, in := io.Pipe()
			context.AfterFunc(ctx, func() { in.Close() })
			return out, func() error { return errors.New("signal: killed") }, nil
		}, "it did not end within 12s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, told := logger()
				e := environment(t, "A="+text(blob(1)), "B="+text(blob(2)))
				r := Ask(t.Context(), Config{Timeout: 10 * time.Second}, e, Classify(e, Auto), c.spawn, log)
				r.Log(log)
				if r.ExitCode() != 75 || r.Stopped || r.Counts()[Unavailable] != 2 {
					t.Errorf("%d, %+v", r.ExitCode(), r)
				}
				if lines := told.lines(); len(lines) != 1 || !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], "cannot decrypt A, B") ||
					!strings.Contains(lines[0], c.says) || strings.Contains(lines[0], secret) {
					t.Errorf("%q", lines)
				}
				if diff := cmp.Diff(e.Block(), Apply(e, r).Block()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TERM kills the child; nothing is said against it.
func TestStopEndsTheChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		log, told := logger()
		e := environment(t, "A="+text(blob(1)), "B=kms:!")
		time.AfterFunc(time.Second/2, cancel)
		r := Ask(ctx, Config{Timeout: 10 * time.Second}, e, Classify(e, Auto),
			func(ctx context.Context, _ env.Environment, _ []byte) (io.ReadCloser, func() error, error) {
				out, in := io.Pipe()
				context.AfterFunc(ctx, func() { in.Close() })
				return out, func() error { return errors.New("signal: killed") }, nil
			}, log)
		r.Log(log)
		if !r.Stopped || !strings.Contains(told.lines()[0], "level=INFO") {
			t.Errorf("%+v, %q", r, told.lines())
		}
	})
}

func TestServeRefusesBadRequests(t *testing.T) {
	for name, in := range map[string]string{"nothing": "", "nonsense": "s3cret", "too much": strings.Repeat(" ", maxMessage+1)} {
		log, told := logger()
		var out bytes.Buffer
		code := Serve(t.Context(), strings.NewReader(in), &out, func(Config) Service {
			t.Errorf("%s: KMS would be asked", name)
			return nil
		}, log)
		if code != 70 || out.Len() != 0 || strings.Contains(told.lines()[0], "s3cret") {
			t.Errorf("%s: %d, %q", name, code, told.lines())
		}
	}
}

func FuzzAnswer(f *testing.F) {
	good, err := json.Marshal(answer{Outcomes: []answerOutcome{{Name: "A", Verdict: OK, Value: []byte("x")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"Outcomes":[{"Name":"A","Value":"!"}]}`))
	f.Add([]byte("null"))
	candidates := []Candidate{{Name: "A"}}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a answer
		if read(bytes.NewReader(b), &a) != nil {
			return
		}
		if r, err := a.result(candidates); err == nil && (len(r.Outcomes) != 1 || r.Outcomes[0].Name != "A") {
			t.Errorf("%+v", r)
		}
	})
}

func TestEncrypt(t *testing.T) {
	ask := func(keyID string, values ...string) ([]string, error) {
		log, _ := logger()
		var secrets []env.Secret
		for _, v := range values {
			secrets = append(secrets, env.NewSecret(v))
		}
		return AskEncrypt(t.Context(), Config{Timeout: time.Second}, env.Environment{}, keyID, secrets, inProcess(nil, log, nil), log)
	}
	got, err := ask("alias/mine", "one", "two\n")
	if diff := cmp.Diff([]string{"kms+base64:c2VhbGVkIG9uZQ==", "kms+base64:c2VhbGVkIHR3bwo="}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for name, c := range map[string]struct {
		keyID, value, says string
		code               int
	}{
		"no such key": {"alias/other", "hunter2", "cannot encrypt: there is no such key in eu-west-1 (NotFoundException, request 6f1b-No): check the key's id and the region; an alias begins with alias/", 78},
		"empty":       {"alias/mine", "", "cannot encrypt: an empty value", 78},
		"too long":    {"alias/mine", strings.Repeat("hunter2", 600), "cannot encrypt: a value of 4200 bytes; KMS takes 4096", 78},
	} {
		_, err := ask(c.keyID, c.value)
		e, ok := errors.AsType[*EncryptError](err)
		if !ok || !strings.HasPrefix(err.Error(), c.says) || e.ExitCode() != c.code || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	log, _ := logger()
	_, err = AskEncrypt(t.Context(), Config{Timeout: time.Second}, env.Environment{}, "k", []env.Secret{env.NewSecret("x")},
		func(context.Context, env.Environment, []byte) (io.ReadCloser, func() error, error) {
			return nil, nil, errors.New("no memory")
		}, log)
	if e, ok := errors.AsType[*EncryptError](err); !ok || e.ExitCode() != 75 {
		t.Errorf("%v", err)
	}
}

func TestInspect(t *testing.T) {
	one, two := kmstest.Text(kmstest.Older, "key one", "12345", 1), kmstest.Text(kmstest.Year2014, "key two", "123", 2)
	e := environment(t, "A="+one, "B="+two, "C="+kmstest.Text(kmstest.Current, "key one", "1", 3), "D="+one[:100], "E=kms+base64:YWJj", "F=postgres")
	candidates := Classify(e, All)
	offline := Offline(candidates)
	want := []Inspection{
		{Variable: "A", Generation: "older", KeyGroup: "a", PlaintextLength: 5, Result: NotAsked},
		{Variable: "B", Generation: "2014", KeyGroup: "b", PlaintextLength: 3, Result: NotAsked},
		{Variable: "C", Generation: "current", KeyGroup: "a", PlaintextLength: 1, Result: NotAsked},
		{Variable: "D", Generation: "older", KeyGroup: "a", Result: BadlyDamaged, Damage: "truncated: got 75 bytes, the shortest ciphertext has 136"},
		{Variable: "E", Generation: "unknown", Result: NotAsked},
	}
	if diff := cmp.Diff(want, Inspect(candidates, offline)); diff != "" {
		t.Error(diff)
	}
	if offline.ExitCode() != 78 {
		t.Errorf("a damaged value, offline: %d", offline.ExitCode())
	}
	b, err := json.Marshal(want[0])
	if got := `{"variable":"A","generation":"older","key_group":"a","plaintext_length":5,"result":"not asked"}`; err != nil || string(b) != got {
		t.Errorf("%s", b)
	}
	var states []string
	for _, c := range candidates {
		states = append(states, c.State())
	}
	if diff := cmp.Diff([]string{"ciphertext", "ciphertext", "ciphertext", "damaged", "ciphertext", "plain"}, states); diff != "" {
		t.Error(diff)
	}
	for n, want := range map[int]string{0: "a", 25: "z", 26: "aa", 27: "ab", 701: "zz", 702: "aaa"} {
		if got := letters(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
