package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// bomb is an output that panics with what it was to hold, as a bug of ours
// might.
type bomb struct{ value any }

func (b bomb) Write([]byte) (int, error) { panic(b.value) }

// A panic is one line and code 70, and what it was about is not repeated.
func TestAPanicLetsNoSecretOut(t *testing.T) {
	const secret = "Pa7Qz2Rm9Tx4Vb6N"
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, value := range map[string]any{
		"a text": secret, "an error": errors.New(secret), "a value": struct{ Password string }{secret}, "a map": map[string]string{secret: secret},
	} {
		for _, words := range [][]string{{"version"}, {"check"}, {"plan", "--", "true"}} {
			var said strings.Builder
			p := &program{args: words, environ: []string{"SECRET=" + secret, "PATH=/bin"}, stdin: null, stdout: bomb{value}, messages: &said}
			if code := p.run(); code != codeBug {
				t.Errorf("%s, %v: code %d", name, words, code)
			}
			if text := said.String(); strings.Contains(text, secret) || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "entrypoint: error: a bug of ours") {
				t.Errorf("%s, %v: it says %q", name, words, text)
			}
		}
	}
}

// The control: the panic holds the secret, so that whoever printed it would have
// let it out.
func TestControlAPanicHoldsItsValue(t *testing.T) {
	defer func() {
		if bug := recover(); bug != "secret" {
			t.Errorf("the panic holds %v", bug)
		}
	}()
	_, _ = bomb{"secret"}.Write(nil)
}
