package kmstest

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// What is built is opened again, for every layout and length, and one flipped
// bit anywhere is seen: nothing that this server accepts was modified.
func TestServerRefusesWhatWasModified(t *testing.T) {
	server := &Server{Keys: map[string]string{"k": "arn:key"}}
	decrypt := func(b []byte, context map[string]string) (status int, body string) {
		w := httptest.NewRecorder()
		Normal(server, w, nil, Call{Operation: "Decrypt", Ciphertext: b, Context: context})
		return w.Code, w.Body.String()
	}
	context := map[string]string{"a": "b"}
	for _, layout := range []Layout{Current, Older, Year2014} {
		for _, n := range []int{1, 36, 37, 100, 101, 200, 300, 4096} {
			plaintext := strings.Repeat("p", n)
			whole := BlobWith(layout, "arn:key", plaintext, uint64(n), context)
			if status, body := decrypt(whole, context); status != 200 {
				t.Fatalf("layout %d, %d bytes: %d %s", layout, n, status, body)
			}
			if status, _ := decrypt(whole, nil); status != 400 {
				t.Errorf("layout %d, %d bytes: decrypted without its context", layout, n)
			}
			for i := range whole {
				flipped := append([]byte(nil), whole...)
				flipped[i] ^= 1
				if status, body := decrypt(flipped, context); status == 200 {
					t.Fatalf("layout %d, %d bytes, byte %d flipped: %s", layout, n, i, body)
				}
				if n > 300 {
					break
				}
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(Blob(Current, "k", "x", 1))
	f.Add(Blob(Older, "k", "x", 1))
	f.Add(Blob(Year2014, "k", strings.Repeat("x", 200), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if layout, _, plaintext, nonce, ok := open(b); ok {
			Blob(layout, "k", plaintext, nonce)
		}
	})
}
