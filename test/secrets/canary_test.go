package secrets

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// canary is a secret that is recognised wherever it turns up: quoted, escaped,
// in base64 at any place of a longer text, in hexadecimal, cut short, in another
// case. Around its core stand the characters that quoting and escaping change.
type canary struct {
	what string // where it was put
	core string // letters and digits
}

// text is the secret itself.
func (c canary) text() string { return `p"\'$x %&/ä` + c.core + `+=` }

// inURL is it as the password of a URL.
func (c canary) inURL() string {
	return "postgresql://app:" + url.QueryEscape(c.text()) + "@db.invalid:5432/app"
}

// piece is how much of a core is a leak already.
const piece = 10

// forms are what a text is searched for.
func (c canary) forms() []string {
	var forms []string
	for i := 0; i+piece <= len(c.core); i++ {
		part := c.core[i : i+piece]
		forms = append(forms, strings.ToLower(part), hex.EncodeToString([]byte(part)))
	}
	return forms
}

// encoded are the forms in which case counts: base64 at each of the three
// places that a text can have in it, less the characters that its neighbours
// have a part in.
func (c canary) encoded() []string {
	var forms []string
	for at := range 3 {
		text := strings.Repeat("x", at) + c.core
		b := base64.RawStdEncoding.EncodeToString([]byte(text))
		forms = append(forms, b[(at*8+5)/6:len(b)-2])
	}
	return forms
}

// in reports whether the text lets it out.
func (c canary) in(text string) bool {
	lower := strings.ToLower(text)
	for _, form := range c.forms() {
		if strings.Contains(lower, form) {
			return true
		}
	}
	for _, form := range c.encoded() {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

// wantNone fails for every canary that a text lets out.
func wantNone(t *testing.T, canaries []canary, where, text string) {
	t.Helper()
	for _, c := range canaries {
		if c.in(text) {
			t.Errorf("%s lets out the canary of %s:\n%s", where, c.what, text)
		}
	}
}

// The control: the search finds a canary in whatever shape it comes, and none
// where there is none. A ciphertext of the stand-in must not hold its plaintext
// in sight, or every test here would be about nothing.
func TestControlTheSearchFindsALeakedCanary(t *testing.T) {
	c := canary{"a test", "Kw7Qz2Rm9Tx4Vb6N"}
	text := c.text()
	for name, leak := range map[string]string{
		"as it is":            "x" + text + "y",
		"quoted":              strconv.Quote(text),
		"%+q":                 fmt.Sprintf("%+q", text),
		"a URL":               c.inURL(),
		"path escaped":        url.PathEscape(text),
		"base64":              base64.StdEncoding.EncodeToString([]byte(text)),
		"base64 of the core":  base64.StdEncoding.EncodeToString([]byte(c.core)),
		"base64, one before":  base64.StdEncoding.EncodeToString([]byte("x" + c.core)),
		"base64, two before":  base64.RawURLEncoding.EncodeToString([]byte("xy" + c.core)),
		"base64 in JSON":      `{"Plaintext":"` + base64.StdEncoding.EncodeToString([]byte(`{"a":"`+text+`"}`)) + `"}`,
		"hexadecimal":         fmt.Sprintf("%x", text),
		"upper hexadecimal":   fmt.Sprintf("%X", text),
		"cut short":           c.core[:piece],
		"its end":             c.core[len(c.core)-piece:],
		"in another case":     strings.ToUpper(text),
		"as a list of quotes": fmt.Sprintf("%q", []string{text}),
	} {
		if !c.in(leak) {
			t.Errorf("%s: not found in %s", name, leak)
		}
	}
	for _, quiet := range []string{"", "<secret>", seal(text), canary{"another", "Aa1Bb2Cc3Dd4Ee5F"}.text()} {
		if c.in(quiet) {
			t.Errorf("found in %s", quiet)
		}
	}
}
