package kmstest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// Layout is a generation of ciphertexts.
type Layout int

// The layouts that KMS has written.
const (
	Current  Layout = iota // since 2017 or so
	Older                  // before that
	Year2014               // 2014 and 2015
)

// Blob builds a ciphertext of the plaintext under the key, without an
// encryption context. The key's name is hashed into the fingerprint; the nonce
// is all that tells two ciphertexts of one plaintext apart.
func Blob(layout Layout, key, plaintext string, nonce uint64) []byte {
	return BlobWith(layout, key, plaintext, nonce, nil)
}

// BlobWith is Blob with an encryption context.
func BlobWith(layout Layout, key, plaintext string, nonce uint64, context map[string]string) []byte {
	fingerprint := Fingerprint(key)
	envelope := envelope(fingerprint, plaintext, nonce, context)
	switch layout {
	case Older:
		return older(fingerprint, envelope)
	case Year2014:
		inner := older(fingerprint, envelope)
		b := append([]byte{0x0A, 0x20}, fingerprint[:]...)
		b = append(b, 0x12)
		b = binary.AppendUvarint(b, uint64(len(inner)))
		return append(b, inner...)
	}
	b := append([]byte{1, 2, 2, 0, 0x78}, fingerprint[:]...)
	b = append(b, 1)
	b = append(b, disguise(nonce, make([]byte, 16))...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(envelope)))
	return append(b, envelope...)
}

// Text is Blob in base64, as it stands in an environment.
func Text(layout Layout, key, plaintext string, nonce uint64) string {
	return base64.StdEncoding.EncodeToString(Blob(layout, key, plaintext, nonce))
}

// Fingerprint is where equal keys show.
func Fingerprint(key string) [32]byte { return sha256.Sum256([]byte("key " + key)) }

// open is Blob backwards: what BlobWith would have to be given to build b. It
// trusts b; the caller builds the blob again and compares.
func open(b []byte) (layout Layout, fingerprint [32]byte, plaintext string, nonce uint64, ok bool) {
	from := 5
	switch {
	case len(b) < minimum:
		return 0, fingerprint, "", 0, false
	case b[0] == 0x0A:
		layout, from = Year2014, 2
	case b[1] == 1:
		layout = Older
	}
	copy(fingerprint[:], b[from:])
	// The nonce stands behind the mark, the content at the end of everything.
	_, rest, found := bytes.Cut(b, []byte(nonceMark))
	if !found || len(rest) < 8+afterNonce+overhead {
		return 0, fingerprint, "", 0, false
	}
	nonce = binary.BigEndian.Uint64(rest)
	content := rest[8+afterNonce:]
	switch length := rest[8+afterNonce-1]; length { // the long forms of DER
	case 0x81:
		content = content[1:]
	case 0x82:
		content = content[2:]
	}
	if len(content) < overhead {
		return 0, fingerprint, "", 0, false
	}
	clear := disguise(nonce, slices.Clone(content))
	return layout, fingerprint, string(clear[:len(clear)-overhead]), nonce, true
}

const (
	minimum    = 136
	overhead   = 27     // of the content over the plaintext
	nonceMark  = "kmst" // the first four of the nonce's twelve bytes
	afterNonce = 3 + 2  // the tag length's element, and the content's tag and length
)

func older(fingerprint [32]byte, envelope []byte) []byte {
	b := append([]byte{1, 1, 2, 0, 0x78}, fingerprint[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(envelope)))
	return append(b, envelope...)
}

// envelope is the CMS EncryptedData (RFC 5652, section 8). The content is
// plaintext + 27 bytes, as KMS has it; here they are what modification and a
// wrong context are found by.
func envelope(fingerprint [32]byte, plaintext string, nonce uint64, context map[string]string) []byte {
	nonce12 := append([]byte(nonceMark), binary.BigEndian.AppendUint64(nil, nonce)...)
	seal := sha256.New()
	fmt.Fprintf(seal, "%x %q", fingerprint, plaintext)
	for _, name := range slices.Sorted(maps.Keys(context)) {
		fmt.Fprintf(seal, " %q=%q", name, context[name])
	}
	content := disguise(nonce, append([]byte(plaintext), seal.Sum(nil)[:overhead]...))
	const oid = 0x06
	algorithm := element(0x30,
		element(oid, []byte{0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2e}),
		element(0x30, element(0x04, nonce12), element(0x02, []byte{16})))
	info := element(0x30, element(oid, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1}), algorithm, element(0x80, content))
	return element(0x30,
		element(oid, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6}),
		element(0xA0, element(0x30, element(0x02, []byte{0}), info)))
}

// element is one element of DER around its parts.
func element(tag byte, parts ...[]byte) []byte {
	content := slices.Concat(parts...)
	b := []byte{tag}
	switch n := len(content); {
	case n < 0x80:
		b = append(b, byte(n))
	case n < 0x100:
		b = append(b, 0x81, byte(n))
	default:
		b = append(b, 0x82, byte(n>>8), byte(n))
	}
	return append(b, content...)
}

// disguise keeps the plaintext out of sight of somebody who searches output for
// it; twice is the identity.
func disguise(nonce uint64, b []byte) []byte {
	seed := binary.BigEndian.AppendUint64([]byte("disguise"), nonce)
	for i := 0; i < len(b); i += sha256.Size {
		pad := sha256.Sum256(binary.BigEndian.AppendUint64(seed, uint64(i)))
		for j := i; j < len(b) && j < i+sha256.Size; j++ {
			b[j] ^= pad[j-i]
		}
	}
	return b
}
