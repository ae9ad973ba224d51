package kms

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/kms/kmstest"
)

const key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd"

func TestRecogniseEveryGenerationAndLength(t *testing.T) {
	for layout, want := range map[kmstest.Layout]Generation{
		kmstest.Current: Current, kmstest.Older: Older, kmstest.Year2014: Year2014,
	} {
		for _, n := range []int{1, 2, 20, 36, 37, 100, 127, 128, 200, 255, 256, 1000, 4096} {
			blob := kmstest.Blob(layout, key, strings.Repeat("p", n), uint64(n))
			for v := range 4 { // header bytes vv may be any
				if layout != kmstest.Year2014 {
					blob[2] = byte(v * 85)
				}
				got := Recognise(base64.StdEncoding.EncodeToString(blob), "")
				if got.Shape != Recognised || got.Generation != want || got.PlaintextLength != n {
					t.Errorf("%v of %d bytes, vv %#x: %v, %v, %d bytes", want, n, blob[2], got.Shape, got.Generation, got.PlaintextLength)
				}
				if got.Ciphertext.Reveal() != string(blob) {
					t.Errorf("%v of %d bytes: the ciphertext is not what was encoded", want, n)
				}
				if got.Fingerprint != kmstest.Fingerprint(key) {
					t.Errorf("%v of %d bytes: not the key's fingerprint", want, n)
				}
			}
		}
	}
}

// The figures of the design, which stand for the builder being right as well.
func TestSmallestCiphertexts(t *testing.T) {
	for layout, want := range map[kmstest.Layout][2]int{
		kmstest.Older:   {136, 184},
		kmstest.Current: {153, 204},
	} {
		blob := kmstest.Blob(layout, key, "x", 0)
		if text := base64.StdEncoding.EncodeToString(blob); len(blob) != want[0] || len(text) != want[1] {
			t.Errorf("layout %d: %d bytes, %d characters; want %v", layout, len(blob), len(text), want)
		}
	}
	for prefix, text := range map[string]string{
		"AQICAH": kmstest.Text(kmstest.Current, key, "x", 0),
		"AQECAH": kmstest.Text(kmstest.Older, key, "x", 0),
		"Ci":     kmstest.Text(kmstest.Year2014, key, "x", 0),
	} {
		if !strings.HasPrefix(text, prefix) {
			t.Errorf("want %s..., got %.6s", prefix, text)
		}
	}
}

func TestRecogniseOtherWritings(t *testing.T) {
	text := kmstest.Text(kmstest.Current, key, "s3cret value", 7)
	twice := base64.StdEncoding.EncodeToString([]byte(text))
	wrapped := func(s string) string {
		var b strings.Builder
		for i := 0; i < len(s); i += 64 {
			b.WriteString(s[i:min(i+64, len(s))] + "\r\n")
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		value, prefix string
		marker        string
		twice         bool
	}{
		"as KMS prints it":          {value: text},
		"unpadded":                  {value: strings.TrimRight(text, "=")},
		"wrapped at 64":             {value: wrapped(text)},
		"in spaces and tabs":        {value: " \t" + text[:1] + " " + text[1:] + "\n"},
		"kms+base64:":               {value: "kms+base64:" + text, marker: "kms+base64:"},
		"base64:":                   {value: "base64:" + text, marker: "base64:"},
		"kms://":                    {value: "kms://" + text, marker: "kms://"},
		"kms:":                      {value: "kms:" + text, marker: "kms:"},
		"secure:":                   {value: "secure:" + text, marker: "secure:"},
		"$KMS_PREFIX":               {value: "vault!" + text, prefix: "vault!", marker: "vault!"},
		"$KMS_PREFIX is base64:":    {value: "base64:" + text, prefix: "base64:", marker: "base64:"},
		"marker and white space":    {value: "kms+base64: " + wrapped(text), marker: "kms+base64:"},
		"twice":                     {value: twice, twice: true},
		"twice, unpadded":           {value: strings.TrimRight(twice, "="), twice: true},
		"twice, both wrapped":       {value: wrapped(base64.StdEncoding.EncodeToString([]byte(wrapped(text)))), twice: true},
		"twice, marked":             {value: "kms+base64:" + twice, marker: "kms+base64:", twice: true},
		"twice, of an older one":    {value: base64.StdEncoding.EncodeToString([]byte(kmstest.Text(kmstest.Older, key, "s3cret value", 7))), twice: true},
		"twice, of a 2014 one":      {value: base64.StdEncoding.EncodeToString([]byte(kmstest.Text(kmstest.Year2014, key, "s3cret value", 7))), twice: true},
		"no marker, another prefix": {value: text, prefix: "vault!"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Recognise(c.value, c.prefix)
			if got.Shape != Recognised || got.Marker != c.marker || got.Twice != c.twice || got.PlaintextLength != len("s3cret value") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestNotCiphertexts(t *testing.T) {
	text := kmstest.Text(kmstest.Current, key, strings.Repeat("binary ", 9), 3)
	values := []string{
		"", " ", "postgres", "true", "8000", "/usr/bin", "AQ", "AQ==", "AQICAH", "CiA=", "CiCdEeF012345678", "Q2lB", "QVFJQ0FI",
		"AQICAHhello world: this begins like one and is prose",
		"Ci" + strings.Repeat("A", 300),
		"base64:aGVsbG8gd29ybGQ=",                // Laravel's APP_KEY
		"base64:postgres", "base64:", "base64:!", // as is, whatever follows
		"kms", "secure", "kms+base64", "https://kms.eu-west-1.amazonaws.com",
		"AYADeLy" + strings.Repeat("A", 300), "AgV4" + strings.Repeat("A", 300), // the Encryption SDK's, unmarked
		`{"a":"` + text + `"}`,
		strings.Repeat("A", 1<<20),
	}
	for _, v := range values {
		if got := Recognise(v, ""); got.Shape != Plain {
			t.Errorf("%.40q: %+v", v, got)
		}
	}
}

func TestDamaged(t *testing.T) {
	blob := kmstest.Blob(kmstest.Current, key, strings.Repeat("p", 40), 5)
	text := base64.StdEncoding.EncodeToString(blob)
	blob2014 := kmstest.Blob(kmstest.Year2014, key, strings.Repeat("p", 40), 5)
	// One whose base64 has + or / in it, so that the alphabets differ.
	var urlSafe string
	for n := uint64(0); ; n++ {
		b := kmstest.Blob(kmstest.Current, key, "p", n)
		if urlSafe = base64.URLEncoding.EncodeToString(b); strings.ContainsAny(urlSafe, "-_") {
			break
		}
	}
	encode := base64.StdEncoding.EncodeToString
	for name, c := range map[string]struct {
		value  string
		shape  Shape
		damage string
		asked  bool
	}{
		"cut within the header":       {text[:12], Damaged, "truncated: got 9 bytes", false},
		"cut below the shortest":      {text[:160], Damaged, "truncated: got 120 bytes", false},
		"cut above it":                {encode(blob[:150]), Damaged, fmt.Sprintf("truncated: header says %d bytes, got 150", len(blob)), true},
		"cut by one character":        {strings.TrimRight(text, "=")[:len(strings.TrimRight(text, "="))-1], Damaged, "truncated", true},
		"something appended":          {encode(append(blob[:len(blob):len(blob)], 1, 2, 3)), Damaged, "appended", true},
		"2014, cut after its header":  {encode(blob2014[:60]), Damaged, "truncated: header says", false},
		"2014, cut late":              {encode(blob2014[:180]), Damaged, fmt.Sprintf("truncated: header says %d bytes, got 180", len(blob2014)), true},
		"URL-safe":                    {urlSafe, Damaged, "URL-safe", false},
		"6145 bytes":                  {encode(append(blob[:len(blob):len(blob)], make([]byte, 6145-len(blob))...)), TooLong, "longer than KMS takes: 6145 bytes", false},
		"marked, 6145 bytes":          {"kms+base64:" + encode(make([]byte, 6145)), TooLong, "longer than KMS takes", false},
		"marked, not base64":          {"kms:alias/not base64!", Damaged, "not base64", false},
		"marked, URL-safe":            {"secure:ab-_", Damaged, "not base64", false},
		"marked, one character":       {"kms+base64:A", Damaged, "not base64", false},
		"marked, nothing":             {"kms+base64:", Damaged, "nothing follows", false},
		"marked, Encryption SDK":      {"kms+base64:AYADeLyx" + strings.Repeat("A", 300), Damaged, "Encryption SDK", false},
		"marked, Encryption SDK 2":    {"kms://AgV4" + strings.Repeat("A", 300), Damaged, "Encryption SDK", false},
		"marked, emulator's layout":   {"kms+base64:" + encode([]byte("7b3f0d34-aaaa-bbbb-cccc-0123456789abivtag")), Marked, "", true},
		"marked, base64 of 2014-like": {"kms+base64:" + encode([]byte("CiABCDEFGHIJKLMN")), Marked, "", true},
		"marked, unpadded":            {"kms+base64:YQ", Marked, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got := Recognise(c.value, "")
			if got.Shape != c.shape || !strings.Contains(got.Damage, c.damage) || got.Ciphertext.IsEmpty() == c.asked {
				t.Errorf("got %+v, asked %v", got, !got.Ciphertext.IsEmpty())
			}
			if (c.damage == "") != (got.Damage == "") {
				t.Errorf("damage %q", got.Damage)
			}
		})
	}
	if got := Recognise("kms+base64:"+encode([]byte("CiABCDEFGHIJKLMN")), ""); got.Ciphertext.Reveal() != "CiABCDEFGHIJKLMN" {
		t.Error("a marked value that only looked doubly encoded is asked about as it is")
	}
}

// A cut at any place, of any generation, in any of the characters, is damage
// and never plain, as soon as the header is there.
func TestEveryCutIsSeen(t *testing.T) {
	for layout, header := range map[kmstest.Layout]int{kmstest.Current: 8, kmstest.Older: 8, kmstest.Year2014: 56} {
		text := strings.TrimRight(kmstest.Text(layout, key, "12345", 1), "=")
		for n := header; n < len(text); n++ {
			if got := Recognise(text[:n], ""); got.Shape != Damaged {
				t.Errorf("layout %d cut at %d of %d: %v", layout, n, len(text), got.Shape)
			}
		}
	}
}

// Keys in external stores encrypt twice: a head, and then something else.
// KMS decides about such.
func TestUnfamiliarLayoutIsAsked(t *testing.T) {
	for at := 37; at < 153; at++ {
		blob := kmstest.Blob(kmstest.Current, key, "x", 0)
		blob[at] ^= 0x80
		got := Recognise(base64.StdEncoding.EncodeToString(blob), "")
		if got.Ciphertext.Reveal() != string(blob) {
			t.Errorf("byte %d flipped: %v, not asked", at, got.Shape)
		}
	}
	odd := append([]byte{1, 2, 9, 0, 0x78}, []byte(strings.Repeat("another layout ", 20))...)
	if got := Recognise(base64.StdEncoding.EncodeToString(odd), ""); got.Shape != Unfamiliar {
		t.Errorf("got %v", got.Shape)
	}
}

func TestRandomBase64IsNoCandidate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		b := make([]byte, r.IntN(400))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if v := base64.StdEncoding.EncodeToString(b); Recognise(v, "").Shape != Plain {
			t.Fatalf("%q is taken for a ciphertext", v)
		}
	}
}

func TestOrdinaryValuesAllocateNothing(t *testing.T) {
	values := ordinary()
	if n := testing.AllocsPerRun(10, func() {
		for _, v := range values {
			Recognise(v, "vault!")
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d ordinary values", n, len(values))
	}
}

func TestBlobPrintsNoCiphertext(t *testing.T) {
	c := Candidate{"APP_PASSWORD", guess("aHVudGVyMg==", "")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if out := fmt.Sprintf(verb, c); strings.Contains(out, "hunter2") || strings.Contains(out, "68756e74657232") {
			t.Errorf("%s prints %s", verb, out)
		}
	}
}

func FuzzRecognise(f *testing.F) {
	for _, layout := range []kmstest.Layout{kmstest.Current, kmstest.Older, kmstest.Year2014} {
		text := kmstest.Text(layout, key, "plaintext", 1)
		f.Add(text, "")
		f.Add("kms+base64:"+text, "")
		f.Add(base64.StdEncoding.EncodeToString([]byte(text)), "x:")
		f.Add(text[:70], "")
	}
	f.Add("secure:A-_=", "")
	f.Add("CiA\n", "C")
	f.Fuzz(func(t *testing.T, value, prefix string) {
		b := Recognise(value, prefix)
		if b.Ciphertext.Reveal() != "" && b.Shape == Plain {
			t.Error("a plain value would be asked about")
		}
		if (b.Damage != "") != (b.Shape == Damaged || b.Shape == TooLong) {
			t.Errorf("%v with damage %q", b.Shape, b.Damage)
		}
		if n := len(b.Ciphertext.Reveal()); n > len(value) || n > maxCiphertext {
			t.Errorf("%d bytes out of a value of %d", n, len(value))
		}
		if b.Shape == Recognised && b.PlaintextLength+minCiphertext-1 > len(b.Ciphertext.Reveal()) {
			t.Errorf("%d bytes of plaintext in %d of ciphertext", b.PlaintextLength, len(b.Ciphertext.Reveal()))
		}
	})
}

// The library is the judge of what is base64.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "a", "YQ", "YQ==", "YWI=", "YWJj", "YW Jj\n", "YQ=a", "-_-_", "=", "Y===", "ÿ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := decode(text, make([]byte, 0, len(text)/4*3+3))
		if cap(d.bytes) > len(text)/4*3+8 {
			t.Errorf("%d bytes for a text of %d", cap(d.bytes), len(text))
		}
		bare := strings.Map(func(r rune) rune {
			if r < 128 && isSpace(byte(r)) {
				return -1
			}
			return r
		}, text)
		want, err := base64.StdEncoding.DecodeString(bare)
		if (err == nil) != d.strict {
			t.Fatalf("%q: strict %v, encoding/base64 says %v", text, d.strict, err)
		}
		if err == nil && string(want) != string(d.bytes) {
			t.Errorf("%q: %x, want %x", text, d.bytes, want)
		}
		inPlace := []byte(text)
		if again := decode(inPlace, inPlace); string(again.bytes) != string(d.bytes) {
			t.Errorf("%q: in place %x, else %x", text, again.bytes, d.bytes)
		}
	})
}

// ordinary are the values of a Django container, most of them good base64.
func ordinary() []string {
	values := []string{
		"postgres", "true", "8000", "/usr/bin", "production", "INFO", "db.internal", "5432", "app", "s3cretPassw0rd",
		"amqp://guest:guest@rabbitmq:5672//", "redis://redis:6379/0", "eu-west-1", "False", "0", "", "UTC", "C.UTF-8",
		"https://public@sentry.example/1", "QmFzZTY0IHBhc3N3b3JkIG9mIHNvbWVib2R5", "AQAB", "Qwertz123456", "Cinderella",
		"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "base64:aGVsbG8=", "kubernetes", "smtp.example.org",
	}
	for len(values) < 50 {
		values = append(values, strings.Repeat("Abc+/9", len(values)))
	}
	return values
}

func BenchmarkClassifyOrdinary(b *testing.B) {
	var block []string
	for i, v := range ordinary() {
		block = append(block, fmt.Sprintf("NAME_%d=%s", i, v))
	}
	e, _ := env.Parse(block)
	b.ReportAllocs()
	for b.Loop() {
		if c := Classify(e, Auto); len(c) != 0 {
			b.Fatal(c)
		}
	}
}
