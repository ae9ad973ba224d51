package kms

import (
	"fmt"

	"github.com/codeontap/entrypoint/internal/env"
)

// Shape is what a value looks like, as far as can be told without asking KMS.
type Shape int

// The shapes of a value.
const (
	Plain      Shape = iota // nothing that KMS should see
	Guess                   // base64 without the layout: asked under All only
	Marked                  // base64 without the layout, behind a marker that promises a ciphertext
	Unfamiliar              // begins as a ciphertext and goes on otherwise: KMS decides
	Recognised              // a ciphertext to the last byte
	Damaged                 // begins as a ciphertext, or is marked as one, and cannot be one
	TooLong                 // longer than KMS takes
)

func (s Shape) String() string {
	switch s {
	case Plain:
		return "plain"
	case Guess:
		return "base64"
	case Marked:
		return "marked"
	case Unfamiliar:
		return "unfamiliar"
	case Recognised:
		return "recognised"
	case Damaged:
		return "damaged"
	case TooLong:
		return "too long"
	}
	return fmt.Sprintf("shape %d", int(s))
}

// Blob is what a value says of itself.
type Blob struct {
	Shape           Shape
	Generation      Generation
	Fingerprint     Fingerprint // zero where the layout is not known
	PlaintextLength int         // bytes, of a Recognised one
	Damage          string      // why it is Damaged or TooLong; holds nothing of the value
	Marker          string      // what stood before it: kms+base64: and the like
	Twice           bool        // it was base64 of base64

	// Ciphertext is what KMS is asked about: bytes, not base64. Empty where it
	// is not to be asked.
	Ciphertext env.Secret
}

// Encrypted reports whether the value has to be decrypted to be of use: it is
// recognised or marked, whole or not. A Guess is none.
func (b Blob) Encrypted() bool { return b.Shape != Plain && b.Shape != Guess }

// Recognise looks at one value. prefix is a marker beside the known ones, from
// $KMS_PREFIX; empty for none. A value that is no candidate costs the look at
// its first characters and no memory; of any other, nothing is allocated that
// is longer than the value.
func Recognise(value, prefix string) Blob {
	marker, text := cutMarker(value, prefix)
	promised := marker != "" && marker != lenientMarker
	if !promised && !headedText(text) {
		return Blob{}
	}
	d := decode(text, make([]byte, 0, len(text)/4*3+3))
	b := Blob{}
	if d.valid && !headed(d.bytes) && headedText(d.bytes) {
		b = judge(decode(d.bytes, d.bytes), false)
		b.Twice = b.Shape != Plain
		if b.Shape == Plain && promised {
			d = decode(text, d.bytes[:0]) // d.bytes were written over
		}
	}
	if b.Shape == Plain {
		b = judge(d, promised)
	}
	if b.Shape != Plain {
		b.Marker = marker
	}
	return b
}

// judge says what the decoded value is. promised says that a marker stood
// before it.
func judge(d decoded, promised bool) Blob {
	l, like := parse(d.bytes)
	b := Blob{Generation: l.generation, Fingerprint: l.fingerprint, PlaintextLength: l.plaintext}
	switch {
	case !d.valid, d.urlSafe && !like, d.dangling && !like:
		// A value that merely begins like base64 of a ciphertext is somebody's text.
		if !promised {
			return Blob{}
		}
		b.Shape, b.Damage = Damaged, "what follows the marker is not base64"
	case d.urlSafe && !promised && len(d.bytes) < minCiphertext:
		return Blob{}
	case d.urlSafe:
		b.Shape, b.Damage = Damaged, "it is written in the URL-safe alphabet: write + and / for - and _"
	case len(d.bytes) > maxCiphertext && (like || promised):
		b.Shape, b.Damage = TooLong, fmt.Sprintf("longer than KMS takes: %d bytes, the most is %d", len(d.bytes), maxCiphertext)
	case l.damage != "":
		b.Shape, b.Damage = Damaged, l.damage
		if len(d.bytes) >= minCiphertext {
			b.Ciphertext = env.NewSecret(string(d.bytes))
		}
	case d.dangling:
		b.Shape, b.Damage = Damaged, "truncated: its base64 ends in the middle of a byte"
	case l.exact:
		b.Shape, b.Ciphertext = Recognised, env.NewSecret(string(d.bytes))
	case like:
		b.Shape, b.Ciphertext = Unfamiliar, env.NewSecret(string(d.bytes))
	case !promised:
		return Blob{}
	case len(d.bytes) == 0:
		b.Shape, b.Damage = Damaged, "nothing follows the marker"
	case isMessage(d.bytes):
		b.Shape, b.Damage = Damaged, "it is a message of the AWS Encryption SDK, which KMS alone cannot decrypt"
	default:
		b.Shape, b.Ciphertext = Marked, env.NewSecret(string(d.bytes))
	}
	return b
}

// isMessage reports whether b begins as the AWS Encryption SDK's messages do:
// version 1 (AYAD in base64) or 2 (AgV4); its developer guide, "message format
// reference".
func isMessage(b []byte) bool {
	return len(b) > 2 && (b[0] == 1 && b[1] == 0x80 && b[2] == 3 || b[0] == 2 && b[1] == 5 && b[2] == 0x78)
}

// headedText reports whether text is base64 that begins as a ciphertext does,
// or base64 of such. It reads a few characters and allocates nothing: this is
// what every variable goes through at every start.
func headedText[T ~string | ~[]byte](text T) bool {
	var first [12]byte
	n := 0
	for i := 0; i < len(text) && n < len(first); i++ {
		if c := text[i]; !isSpace(c) {
			// A of 01, C of 0A, Q of base64's A and C.
			if n == 0 && c != 'A' && c != 'C' && c != 'Q' {
				return false
			}
			first[n] = c
			n++
		}
	}
	var memory [12]byte
	outer := decode(first[:n], memory[:0])
	if headed(outer.bytes) {
		return true
	}
	inner := decode(outer.bytes, memory[:0])
	return inner.valid && headed(inner.bytes)
}

// guess is what a value without layout or marker is under All: base64 as RFC
// 4648 has it, white space aside.
func guess(value, prefix string) Blob {
	marker, text := cutMarker(value, prefix)
	if marker != "" && marker != lenientMarker {
		return Blob{}
	}
	d := decode(text, make([]byte, 0, len(text)/4*3+3))
	if !d.strict || len(d.bytes) == 0 || len(d.bytes) > maxCiphertext {
		return Blob{}
	}
	return Blob{Shape: Guess, Marker: marker, Ciphertext: env.NewSecret(string(d.bytes))}
}
