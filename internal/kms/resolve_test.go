package kms

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

// fakeKMS answers by script: for each ciphertext what its tries meet, the last
// one for all further ones.
type fakeKMS struct {
	mutex  sync.Mutex
	script map[string][]reply
	tries  map[string]int
	order  []string
	now    int // requests under way
	most   int
}

// reply is what a try meets: a plaintext, or a failure, after a while.
type reply struct {
	text  string
	err   error
	after time.Duration
}

func (k *fakeKMS) Decrypt(ctx context.Context, ciphertext []byte) (Plaintext, error) {
	k.mutex.Lock()
	if k.tries == nil {
		k.tries = map[string]int{}
	}
	name := string(ciphertext)
	script := k.script[name]
	if script == nil {
		panic(fmt.Sprintf("not in the script: %q", name))
	}
	r := script[min(k.tries[name], len(script)-1)]
	k.tries[name]++
	k.order = append(k.order, name)
	k.now++
	k.most = max(k.most, k.now)
	k.mutex.Unlock()
	defer func() { k.mutex.Lock(); k.now--; k.mutex.Unlock() }()

	select {
	case <-time.After(r.after):
	case <-ctx.Done():
		return Plaintext{}, ctx.Err()
	}
	if r.err != nil {
		return Plaintext{}, r.err
	}
	return Plaintext{Text: env.NewSecret(r.text), KeyID: key}, nil
}

// refusal is an answer of KMS.
func refusal(code string, status int) error {
	return &Failure{Cause: CauseOf(code, status), Code: code, RequestID: "6f1b-" + code[:2], Region: "eu-west-1"}
}

// blob is a recognised ciphertext; the nonce tells it from others.
func blob(nonce uint64) string { return string(kmstest.Blob(kmstest.Current, key, "unused", nonce)) }

func text(blob string) string { return base64.StdEncoding.EncodeToString([]byte(blob)) }

// told is a log's lines.
type told struct {
	mutex sync.Mutex
	bytes bytes.Buffer
}

func (l *told) Write(b []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.bytes.Write(b)
}

func (l *told) lines() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return strings.Split(strings.TrimSuffix(l.bytes.String(), "\n"), "\n")
}

func logger() (*slog.Logger, *told) {
	l := &told{}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})), l
}

var (
	timeouts   = &Failure{Cause: Busy, Code: CodeTimeout}
	noRoute    = &Failure{Cause: Unreachable, Code: CodeUnreachable, Detail: "dial tcp 10.0.0.1:443: connection refused"}
	untrusted  = &Failure{Cause: Untrusted, Code: CodeUntrusted}
	noIdentity = &Failure{Cause: NoCredentials, Code: CodeNoCredentials}
	noRegion   = &Failure{Cause: Misconfigured, Code: CodeNoRegion}
)

// The decision table, row by row: what becomes of the value under keep, which
// code exit asks for, and what the log says.
func TestDecisionTable(t *testing.T) {
	genuine, cut := text(blob(1)), text(blob(1)[:150])
	for _, row := range []struct {
		name  string
		mode  Mode
		value string
		reply []reply

		want    string // the value afterwards; empty for as it was
		verdict Verdict
		code    int
		log     string // level=... and a part of the message; empty for no line
		tries   int    // requests; -1 for more than one
	}{
		{"not base64, auto", Auto, "hello world", nil, "", "", 0, "", 0},
		{"not base64, all", All, "hello world", nil, "", "", 0, "", 0},
		{"base64, auto", Auto, "postgres", nil, "", "", 0, "", 0},
		{"base64, all, text", All, "postgres", []reply{{text: "plain"}}, "plain", OK, 0, "level=INFO decrypted NAME with arn:", 1},
		{"base64, all, invalid", All, "postgres", []reply{{err: refusal("InvalidCiphertextException", 400)}}, "", Invalid, 0, "level=DEBUG", 1},
		{"base64, all, denied", All, "postgres", []reply{{err: refusal("AccessDeniedException", 400)}}, "", Denied, 0, "level=DEBUG", 1},
		{"base64, all, validation", All, "postgres", []reply{{err: refusal("ValidationException", 400)}}, "", Invalid, 0, "level=DEBUG", 1},
		{"base64, all, some 4xx", All, "postgres", []reply{{err: refusal("SomethingNew", 422)}}, "", Invalid, 0, "level=DEBUG", 1},
		{"base64, all, NUL", All, "postgres", []reply{{text: "a\x00b"}}, "", Invalid, 0, "level=DEBUG", 1},
		{"base64, all, transport", All, "postgres", []reply{{err: noRoute}}, "", Unavailable, 0, "level=WARN stopped asking", 1},
		{"base64, all, 5xx", All, "postgres", []reply{{err: refusal("KMSInternalException", 500)}}, "", Unavailable, 0, "level=WARN stopped asking", 1},
		{"base64, all, throttled", All, "postgres", []reply{{err: refusal("ThrottlingException", 400)}}, "", Unavailable, 0, "level=WARN stopped asking", 1},
		{"base64, all, credentials", All, "postgres", []reply{{err: noIdentity}}, "", WithoutCredentials, 0, "level=WARN stopped asking", 1},
		{"base64, all, certificate", All, "postgres", []reply{{err: untrusted}}, "", Unavailable, 75, "level=ERROR cannot decrypt NAME: the server's certificate is not trusted", 1},

		{"recognised, text", Auto, genuine, []reply{{text: "s3cret"}}, "s3cret", OK, 0, "level=INFO decrypted NAME with arn:", 1},
		{"marked, text", Auto, "kms+base64:YWJj", []reply{{text: "s3cret"}}, "s3cret", OK, 0, "level=INFO decrypted NAME", 1},
		{"recognised and marked, text", Auto, "secure:" + genuine, []reply{{text: "s3cret"}}, "s3cret", OK, 0, "level=INFO decrypted NAME", 1},
		{"NUL", Auto, genuine, []reply{{text: "a\x00b"}}, "", Invalid, 78, "level=ERROR cannot decrypt NAME: its plaintext holds a NUL", 1},
		{"as long as execve takes", Auto, genuine, []reply{{text: strings.Repeat("x", 131071-len("NAME="))}}, strings.Repeat("x", 131071-len("NAME=")), OK, 0, "level=INFO decrypted NAME", 1},
		{"longer", Auto, genuine, []reply{{text: strings.Repeat("x", 131072-len("NAME="))}}, "", Invalid, 78, "level=ERROR cannot decrypt NAME: its plaintext of 131067 bytes", 1},
		{"InvalidCiphertext", Auto, genuine, []reply{{err: refusal("InvalidCiphertextException", 400)}}, "", Invalid, 78, "level=ERROR cannot decrypt NAME: genuine ciphertext rejected: wrong context or modified", 1},
		{"marked, InvalidCiphertext", Auto, "kms:YWJj", []reply{{err: refusal("InvalidCiphertextException", 400)}}, "", Invalid, 78, "level=ERROR cannot decrypt NAME: KMS does not take it for a ciphertext", 1},
		{"AccessDenied", Auto, genuine, []reply{{err: refusal("AccessDeniedException", 400)}}, "", Denied, 78, "level=ERROR cannot decrypt NAME: access denied in eu-west-1 (AccessDeniedException, request 6f1b-Ac)", 1},
		{"IncorrectKey", Auto, genuine, []reply{{err: refusal("IncorrectKeyException", 400)}}, "", WrongKey, 78, "level=ERROR cannot decrypt NAME: it was encrypted under another key", 1},
		{"Disabled", Auto, genuine, []reply{{err: refusal("DisabledException", 400)}}, "", KeyState, 78, "level=ERROR cannot decrypt NAME: its key is disabled", 1},
		{"InvalidState", Auto, genuine, []reply{{err: refusal("KMSInvalidStateException", 409)}}, "", KeyState, 78, "level=ERROR cannot decrypt NAME: its key cannot be used", 1},
		{"InvalidKeyUsage", Auto, genuine, []reply{{err: refusal("InvalidKeyUsageException", 400)}}, "", KeyState, 78, "level=ERROR cannot decrypt NAME: its key is not one that decrypts", 1},
		{"NotFound", Auto, genuine, []reply{{err: refusal("NotFoundException", 400)}}, "", KeyState, 78, "level=ERROR cannot decrypt NAME: there is no such key in eu-west-1", 1},
		{"InvalidGrantToken", Auto, genuine, []reply{{err: refusal("InvalidGrantTokenException", 400)}}, "", Denied, 78, "level=ERROR cannot decrypt NAME: KMS refused it", 1},
		{"Validation", Auto, genuine, []reply{{err: refusal("ValidationException", 400)}}, "", Invalid, 78, "level=ERROR cannot decrypt NAME: KMS refused it", 1},
		{"KeyUnavailable, then text", Auto, genuine, []reply{{err: refusal("KeyUnavailableException", 500)}, {text: "s3cret"}}, "s3cret", OK, 0, "level=INFO", 2},
		{"KeyUnavailable", Auto, genuine, []reply{{err: refusal("KeyUnavailableException", 500)}}, "", Unavailable, 75, "level=ERROR cannot decrypt NAME: no good answer of KMS in eu-west-1 within 10s, last error KeyUnavailableException", -1},
		{"Internal", Auto, genuine, []reply{{err: refusal("KMSInternalException", 500)}}, "", Unavailable, 75, "level=ERROR", -1},
		{"DependencyTimeout", Auto, genuine, []reply{{err: refusal("DependencyTimeoutException", 500)}}, "", Unavailable, 75, "level=ERROR", -1},
		{"some 5xx", Auto, genuine, []reply{{err: refusal("SomethingNew", 503)}}, "", Unavailable, 75, "level=ERROR", -1},
		{"Throttling", Auto, genuine, []reply{{err: refusal("ThrottlingException", 400)}}, "", Unavailable, 75, "level=ERROR", -1},
		{"broken answer", Auto, genuine, []reply{{err: errors.New("invalid character '<'")}}, "", Unavailable, 75, "level=ERROR cannot decrypt NAME: no good answer of KMS within 10s, last error BrokenAnswer", -1},
		{"silence", Auto, genuine, []reply{{err: timeouts, after: time.Hour}}, "", Unavailable, 75, "level=ERROR cannot decrypt NAME: no good answer of KMS within 10s, last error Timeout", 1},
		{"network", Auto, genuine, []reply{{err: noRoute}}, "", Unavailable, 75, "level=ERROR cannot decrypt NAME: KMS cannot be reached: dial tcp 10.0.0.1:443", 5},
		{"network, then text", Auto, genuine, []reply{{err: noRoute}, {err: noRoute}, {text: "s3cret"}}, "s3cret", OK, 0, "level=INFO", 3},
		{"no credentials", Auto, genuine, []reply{{err: noIdentity}}, "", WithoutCredentials, 75, "level=ERROR cannot decrypt NAME: there are no AWS credentials", 1},
		{"expired ones", Auto, genuine, []reply{{err: refusal("ExpiredTokenException", 400)}}, "", WithoutCredentials, 75, "level=ERROR cannot decrypt NAME: the AWS credentials are not accepted in eu-west-1 (ExpiredTokenException", 1},
		{"unknown ones", Auto, genuine, []reply{{err: refusal("UnrecognizedClientException", 400)}}, "", WithoutCredentials, 75, "level=ERROR", 1},
		{"clock off", Auto, genuine, []reply{{err: refusal("RequestTimeTooSkewed", 403)}}, "", WithoutCredentials, 75, "level=ERROR cannot decrypt NAME: this machine's clock is off", 2},
		{"clock off, then learned", Auto, genuine, []reply{{err: refusal("RequestTimeTooSkewed", 403)}, {text: "s3cret"}}, "s3cret", OK, 0, "level=INFO", 2},
		{"no region", Auto, genuine, []reply{{err: noRegion}}, "", NotAsked, 78, "level=ERROR cannot decrypt NAME: no AWS region is set (NoRegion): set AWS_REGION or --kms-region", 1},
		{"certificate", Auto, genuine, []reply{{err: untrusted}}, "", Unavailable, 75, "level=ERROR cannot decrypt NAME: the server's certificate is not trusted", 1},
		{"cut, InvalidCiphertext", Auto, cut, []reply{{err: refusal("InvalidCiphertextException", 400)}}, "", BadlyDamaged, 78, "level=ERROR cannot decrypt NAME: truncated: header says 158 bytes, got 150", 1},
		{"cut short", Auto, text(blob(1)[:100]), nil, "", BadlyDamaged, 78, "level=ERROR cannot decrypt NAME: truncated: got 100 bytes", 0},
		{"too long", Auto, text(blob(1) + strings.Repeat("x", 6145-158)), nil, "", BadlyDamaged, 78, "level=ERROR cannot decrypt NAME: longer than KMS takes", 0},
		{"marked, not base64", Auto, "secure:hello, world", nil, "", BadlyDamaged, 78, "level=ERROR cannot decrypt NAME: what follows the marker is not base64", 0},
		{"marked, Encryption SDK", Auto, "kms+base64:AYADeLyx", nil, "", BadlyDamaged, 78, "level=ERROR cannot decrypt NAME: it is a message of the AWS Encryption SDK", 0},
		{"Laravel's key", Auto, "base64:YWJj", nil, "", "", 0, "", 0},
		{"off", Off, genuine, nil, "", "", 0, "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, told := logger()
				e := environment(t, "NAME="+row.value, "OTHER=stays")
				candidates := Classify(e, row.mode)
				fake := &fakeKMS{script: map[string][]reply{}}
				for _, c := range candidates {
					if !c.Ciphertext.IsEmpty() {
						fake.script[c.Ciphertext.Reveal()] = row.reply
					}
				}
				result := Resolve(t.Context(), Config{Timeout: 10 * time.Second}, candidates, fake, log)
				result.Log(log)

				want := row.want
				if want == "" {
					want = row.value
				}
				after := Apply(e, result)
				if got := after.Get("NAME").Reveal(); got != want {
					t.Errorf("the value is %.60q, want %.60q", got, want)
				}
				if got := after.Get("OTHER").Reveal(); got != "stays" || after.Len() != 2 {
					t.Errorf("the other variable is %q of %d", got, after.Len())
				}
				if row.verdict == "" && len(result.Outcomes) != 0 || row.verdict != "" && result.Outcomes[0].Verdict != row.verdict {
					t.Errorf("outcomes %+v, want %q", result.Outcomes, row.verdict)
				}
				if got := result.ExitCode(); got != row.code {
					t.Errorf("under exit: %d, want %d", got, row.code)
				}
				lines := told.lines()
				level, message, _ := strings.Cut(row.log, " ")
				line := lines[len(lines)-1]
				if !strings.Contains(line, level) || !strings.Contains(line, message) || (row.log == "") != (line == "") {
					t.Errorf("the log says %.300s, want %s", line, row.log)
				}
				tries := len(fake.order)
				if tries != row.tries && (row.tries >= 0 || tries < 2) {
					t.Errorf("%d requests, want %d", tries, row.tries)
				}
				if result.Stopped {
					t.Error("it claims to have been stopped")
				}
				if result.Elapsed > 10*time.Second {
					t.Errorf("it took %v", result.Elapsed)
				}
				if strings.Contains(strings.Join(lines, "\n"), "s3cret") {
					t.Error("the plaintext is in the log")
				}
			})
		})
	}
}

// resolve runs a batch of named values with their replies.
func resolve(t *testing.T, mode Mode, script map[string][]reply, block ...string) (Result, *fakeKMS, *told) {
	t.Helper()
	log, told := logger()
	fake := &fakeKMS{script: script}
	r := Resolve(t.Context(), Config{Timeout: 10 * time.Second}, Classify(environment(t, block...), mode), fake, log)
	r.Log(log)
	return r, fake, told
}

func TestNothingToAskAsksNobody(t *testing.T) {
	r, _, told := resolve(t, Auto, nil, "A=postgres", "B=", "C=base64:YWJj")
	if len(r.Outcomes) != 0 || r.ExitCode() != 0 || len(r.Requests) != 0 || told.lines()[0] != "" {
		t.Errorf("%+v, %q", r, told.lines())
	}
}

func TestEqualCiphertextsAreAskedOnce(t *testing.T) {
	r, fake, told := resolve(t, Auto, map[string][]reply{blob(1): {{text: "one"}}, blob(2): {{text: "two"}}},
		"A="+text(blob(1)), "B=kms+base64:"+text(blob(1)), "C="+text(blob(2)), "D="+text(text(blob(1))))
	if len(fake.order) != 2 || r.Requests["OK"] != 2 {
		t.Errorf("%d requests, counted %v", len(fake.order), r.Requests)
	}
	for i, want := range []string{"one", "one", "two", "one"} {
		if got := r.Outcomes[i].Value.Reveal(); got != want {
			t.Errorf("%s is %q", r.Outcomes[i].Name, got)
		}
	}
	if diff := cmp.Diff([]string{
		`level=INFO msg="decrypted A, B, C, D with ` + key + `"`,
		`level=WARN msg="D: base64 of base64, encode it once"`,
	}, told.lines()); diff != "" {
		t.Error(diff)
	}
}

func TestSixteenAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := map[string][]reply{}
		var block []string
		for n := range uint64(100) {
			script[blob(n)] = []reply{{text: "x", after: 10 * time.Millisecond}}
			block = append(block, fmt.Sprintf("V%d=%s", n, text(blob(n))))
		}
		r, fake, _ := resolve(t, Auto, script, block...)
		if fake.most != 16 {
			t.Errorf("%d at a time", fake.most)
		}
		if want := 70 * time.Millisecond; r.Elapsed != want {
			t.Errorf("it took %v, want %v", r.Elapsed, want)
		}
		if r.Counts()[OK] != 100 {
			t.Errorf("%v", r.Counts())
		}
	})
}

func TestGuessesComeLastAndStopAtTheFirstTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := map[string][]reply{blob(1): {{text: "one", after: time.Second / 2}}}
		block := []string{"Z=" + text(blob(1))}
		for n := range 40 {
			value := fmt.Sprintf("guess-%02d.", n)
			script[value] = []reply{{err: refusal("InvalidCiphertextException", 400)}}
			block = append(block, fmt.Sprintf("A%02d=%s", n, text(value)))
		}
		_, fake, _ := resolve(t, All, script, block...)
		if fake.order[0] != blob(1) {
			t.Error("a guess was asked before the recognised one")
		}
		if n := len(fake.order); n != 41 {
			t.Errorf("%d requests: that one is no ciphertext says nothing of the others", n)
		}
		// They are asked in any order, 16 at a time: with 24 troubles among them the
		// 17th has met one.
		for n := range 24 {
			script[fmt.Sprintf("guess-%02d.", n)] = []reply{{err: refusal("ThrottlingException", 400)}}
		}
		r, fake, told := resolve(t, All, script, block...)
		if n := len(fake.order); n > 1+16+1+16 {
			t.Errorf("%d requests", n)
		}
		if r.ExitCode() != 0 || r.Counts()[OK] != 1 {
			t.Errorf("code %d, %v", r.ExitCode(), r.Counts())
		}
		warned := 0
		for _, line := range told.lines() {
			if strings.Contains(line, "level=WARN") {
				warned++
			}
			if strings.Contains(line, "level=ERROR") {
				t.Error(line)
			}
		}
		if warned != 1 {
			t.Errorf("%d warnings, want one", warned)
		}
	})
}

// A connection that cannot be made is the same for all: the batch ends when
// the first value's tries are spent, with one line.
func TestNoConnectionEndsTheBatch(t *testing.T) {
	for name, c := range map[string]struct {
		err  *Failure
		most int // requests for 40 values
	}{
		"no route":       {noRoute, 16*connectTries + 16},
		"no credentials": {noIdentity, 16},
		"no region":      {noRegion, 16},
		"certificate":    {untrusted, 16},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := map[string][]reply{}
				var block []string
				for n := range uint64(40) {
					script[blob(n)] = []reply{{err: c.err, after: time.Millisecond}}
					block = append(block, fmt.Sprintf("V%02d=%s", n, text(blob(n))))
				}
				r, fake, told := resolve(t, Auto, script, block...)
				if len(fake.order) > c.most {
					t.Errorf("%d requests, want at most %d", len(fake.order), c.most)
				}
				if r.Elapsed > 5*time.Second {
					t.Errorf("it took %v", r.Elapsed)
				}
				errors := slices.DeleteFunc(told.lines(), func(l string) bool { return !strings.Contains(l, "level=ERROR") })
				if len(errors) != 1 {
					t.Fatalf("%d lines: %q", len(errors), errors)
				}
				for n := range 40 {
					if !strings.Contains(errors[0], fmt.Sprintf("V%02d", n)) {
						t.Errorf("V%02d is not named", n)
					}
				}
			})
		})
	}
}

// One throttled value is its own trouble: the others have their answers.
func TestTroubleOfOneValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, told := resolve(t, Auto, map[string][]reply{
			blob(1): {{err: refusal("ThrottlingException", 400)}},
			blob(2): {{text: "two"}},
			blob(3): {{err: refusal("AccessDeniedException", 400)}},
		}, "A="+text(blob(1)), "B="+text(blob(2)), "C="+text(blob(3)))
		if diff := cmp.Diff(map[Verdict]int{OK: 1, Unavailable: 1, Denied: 1}, r.Counts()); diff != "" {
			t.Error(diff)
		}
		if r.ExitCode() != 78 {
			t.Errorf("permanent and temporary together: %d, want 78", r.ExitCode())
		}
		if r.Elapsed != 10*time.Second {
			t.Errorf("retried for %v", r.Elapsed)
		}
		if !strings.Contains(told.lines()[0], "level=WARN") || !strings.Contains(told.lines()[0], "still decrypting: 1 left, last error ThrottlingException") {
			t.Errorf("after a second: %s", told.lines()[0])
		}
		codes := slices.Sorted(maps.Keys(r.Requests))
		if diff := cmp.Diff([]string{"AccessDeniedException", "OK", "ThrottlingException"}, codes); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSilenceIsSaidAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, told := resolve(t, Auto, map[string][]reply{blob(1): {{text: "x", after: 3 * time.Second}}}, "A="+text(blob(1)))
		if !strings.Contains(told.lines()[0], "still decrypting: 1 left, no answer yet") {
			t.Errorf("%q", told.lines())
		}
		_, _, told = resolve(t, Auto, map[string][]reply{blob(1): {{text: "x", after: time.Second / 2}}}, "A="+text(blob(1)))
		if len(told.lines()) != 1 || strings.Contains(told.lines()[0], "still") {
			t.Errorf("quick, and yet %q", told.lines())
		}
	})
}

// AccessDenied is told once for each key, with all its variables and the
// region.
func TestDeniedOncePerKey(t *testing.T) {
	other := string(kmstest.Blob(kmstest.Current, "another key", "x", 9))
	denied := func(id string) []reply {
		return []reply{{err: &Failure{Cause: Refused, Code: "AccessDeniedException", RequestID: id, Region: "us-east-1"}}}
	}
	_, _, told := resolve(t, Auto, map[string][]reply{blob(1): denied("r1"), blob(2): denied("r2"), other: denied("r3")},
		"A="+text(blob(1)), "B="+text(other), "C="+text(blob(2)))
	lines := told.lines()
	if len(lines) != 2 || !strings.Contains(lines[0], "cannot decrypt A, C: access denied in us-east-1 (AccessDeniedException, request r1)") ||
		!strings.Contains(lines[1], "cannot decrypt B: access denied in us-east-1") {
		t.Errorf("%q", lines)
	}
}

func TestContextIsExplained(t *testing.T) {
	log, told := logger()
	fake := &fakeKMS{script: map[string][]reply{blob(1): {{err: refusal("InvalidCiphertextException", 400)}}}}
	r := Resolve(t.Context(), Config{Timeout: time.Minute, Context: map[string]string{"app": "shop"}},
		Classify(environment(t, "A="+text(blob(1))), Auto), fake, log)
	r.Log(log)
	if !strings.Contains(told.lines()[0], "none that were encrypted without") {
		t.Errorf("%q", told.lines())
	}
}

// TERM while decrypting: the batch ends at once and says so.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		log, told := logger()
		fake := &fakeKMS{script: map[string][]reply{
			blob(1): {{text: "one"}},
			blob(2): {{err: refusal("ThrottlingException", 400)}},
			blob(3): {{text: "x", after: time.Hour}},
		}}
		time.AfterFunc(300*time.Millisecond, cancel)
		r := Resolve(ctx, Config{Timeout: 10 * time.Second},
			Classify(environment(t, "A="+text(blob(1)), "B="+text(blob(2)), "C="+text(blob(3))), Auto), fake, log)
		r.Log(log)
		if !r.Stopped || r.Elapsed != 300*time.Millisecond {
			t.Errorf("stopped %v after %v", r.Stopped, r.Elapsed)
		}
		if diff := cmp.Diff([]string{`level=INFO msg="asked to stop while decrypting, 2 values left"`}, told.lines()); diff != "" {
			t.Error(diff)
		}
	})
}

// A stop that comes when all is answered is none of ours.
func TestStopAfterTheLastAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log, _ := logger()
	fake := &lastAnswer{cancel}
	r := Resolve(ctx, Config{Timeout: time.Minute}, Classify(environment(t, "A="+text(blob(1))), Auto), fake, log)
	if r.Stopped || r.Outcomes[0].Verdict != OK {
		t.Errorf("%+v", r)
	}
}

type lastAnswer struct{ cancel func() }

func (l *lastAnswer) Decrypt(context.Context, []byte) (Plaintext, error) {
	l.cancel()
	return Plaintext{Text: env.NewSecret("x")}, nil
}

func TestPausesAreBounded(t *testing.T) {
	for try := 1; try < 100; try++ {
		if p := pause(try); p <= 0 || p > longestPause+1 {
			t.Errorf("after try %d: %v", try, p)
		}
	}
}

func TestToken(t *testing.T) {
	for s, want := range map[string]string{
		"AccessDeniedException": "AccessDeniedException", key: key, "": "",
		"s3cret value": "", "<html>": "", "a\nb": "", strings.Repeat("a", 257): "",
	} {
		if got := Token(s); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}
