package kms

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The sizes of a symmetric ciphertext in bytes. The shortest holds one byte of
// plaintext in the older layout; the longest is what Decrypt takes
// (KMS API reference, Decrypt, CiphertextBlob).
const (
	minCiphertext = 136
	maxCiphertext = 6144
)

// overhead is how much longer the encrypted content is than the plaintext.
const overhead = 27

// Generation is the layout of a ciphertext, by the time that KMS wrote it.
type Generation int

// The generations that public samples show.
const (
	Unknown  Generation = iota
	Current             // 01 02 vv 00 78, base64 AQICAH, AQIDAH
	Older               // 01 01 vv 00 78, base64 AQECAH, AQEDAH
	Year2014            // wrapped: 0A 20 ... 12, base64 CiA to CiD; 2014 and 2015
)

func (g Generation) String() string {
	switch g {
	case Current:
		return "current"
	case Older:
		return "older"
	case Year2014:
		return "2014"
	}
	return "unknown"
}

// Fingerprint is the same for all ciphertexts of one key. The key itself
// cannot be read off it.
type Fingerprint [32]byte

// layout is what the bytes of a ciphertext say of themselves.
type layout struct {
	generation  Generation
	fingerprint Fingerprint
	plaintext   int    // length in bytes
	exact       bool   // every byte is where it was in every sample
	damage      string // why it cannot be whole; empty if nothing says so
}

// headed reports whether b begins as a ciphertext does. Five to nine bytes are
// enough for the newer forms; of the 2014 form the first two are, because its
// header proper stands behind 36 others: parse has the last word there.
func headed(b []byte) bool {
	return headed5(b) || len(b) >= 2 && b[0] == 0x0A && b[1] == 0x20
}

func headed5(b []byte) bool {
	return len(b) >= 5 && b[0] == 1 && (b[1] == 1 || b[1] == 2) && b[3] == 0 && b[4] == 0x78
}

// parse reads a ciphertext's layout; ok is false if it does not even begin as
// one.
func parse(b []byte) (l layout, ok bool) {
	if headed5(b) {
		l = layout{generation: Current}
		before := 5 + 32 + 1 + 16
		if b[1] == 1 {
			l.generation, before = Older, 5+32
		}
		copy(l.fingerprint[:], b[5:])
		if len(b) < minCiphertext {
			l.damage = fmt.Sprintf("truncated: got %d bytes, the shortest ciphertext has %d", len(b), minCiphertext)
			return l, true
		}
		if l.generation == Current && b[37] != 1 {
			return l, true
		}
		l.measure(b, before)
		return l, true
	}
	return parse2014(b)
}

// parse2014 reads 0A 20 <fingerprint> 12 <varint length> {01 01 02 00 78
// <fingerprint> ...}. A cut one is known as such from its inner header on.
func parse2014(b []byte) (l layout, ok bool) {
	const inner = 2 + 32 + 1
	if len(b) <= inner || b[0] != 0x0A || b[1] != 0x20 || b[inner-1] != 0x12 {
		return layout{}, false
	}
	length, n := binary.Uvarint(b[inner:min(len(b), inner+3)])
	if n <= 0 || !headed5(b[inner+n:]) || b[inner+n+1] != 1 {
		return layout{}, false
	}
	body := b[inner+n:]
	l.generation = Year2014
	copy(l.fingerprint[:], b[2:])
	switch {
	case uint64(len(body)) < length:
		l.damage = fmt.Sprintf("truncated: header says %d bytes, got %d", uint64(inner+n)+length, len(b))
	case uint64(len(body)) > length:
		l.damage = fmt.Sprintf("something was appended: header says %d bytes, got %d", uint64(inner+n)+length, len(b))
	case len(body) >= 37 && bytes.Equal(body[5:37], b[2:34]):
		l.measure(body, 5+32)
	}
	return l, true
}

// measure compares the length that stands behind before bytes with what
// follows, and reads the rest if they agree. A length that no ciphertext can
// have is not read as one: keys in external stores encrypt twice, and their
// layout is their own.
func (l *layout) measure(b []byte, before int) {
	if len(b) < before+4 {
		return
	}
	length := binary.BigEndian.Uint32(b[before:])
	rest := b[before+4:]
	said := uint64(before+4) + uint64(length)
	switch {
	case said < minCiphertext || said > maxCiphertext:
	case uint64(len(rest)) < uint64(length):
		l.damage = fmt.Sprintf("truncated: header says %d bytes, got %d", said, len(b))
	case uint64(len(rest)) > uint64(length):
		l.damage = fmt.Sprintf("something was appended: header says %d bytes, got %d", said, len(b))
	default:
		if content, ok := encryptedContent(rest); ok && content > overhead {
			l.exact, l.plaintext = true, content-overhead
		}
	}
}

// The object identifiers of the envelope, in DER.
const (
	oidEncryptedData = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06" // 1.2.840.113549.1.7.6
	oidData          = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01" // 1.2.840.113549.1.7.1
	oidAES256GCM     = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e" // 2.16.840.1.101.3.4.1.46
)

const (
	tagInteger     = 0x02
	tagOctets      = 0x04
	tagSequence    = 0x30
	tagContextData = 0x80
	tagContext     = 0xA0
)

// encryptedContent reads the CMS EncryptedData (RFC 5652, section 8) that ends
// a ciphertext and returns the length of the encrypted content.
func encryptedContent(b []byte) (length int, ok bool) {
	r := der{b, true}
	r.enter(tagSequence)
	r.literal(oidEncryptedData)
	r.enter(tagContext)
	r.enter(tagSequence)
	r.literal("\x02\x01\x00")
	r.enter(tagSequence)
	r.literal(oidData)
	algorithm := r.element(tagSequence)
	content := r.element(tagContextData)
	r.end()

	a := der{algorithm, r.ok}
	a.literal(oidAES256GCM)
	a.enter(tagSequence)
	nonce := a.element(tagOctets)
	tagLength := a.element(tagInteger)
	a.end()
	return len(content), a.ok && len(nonce) == 12 && len(tagLength) == 1 && tagLength[0] == 16
}

// der reads what DER the envelope needs. Once something is not as expected, ok
// is false and everything after reads as empty.
type der struct {
	rest []byte
	ok   bool
}

func (r *der) fail() { r.rest, r.ok = nil, false }

func (r *der) literal(s string) {
	if !r.ok || len(r.rest) < len(s) || string(r.rest[:len(s)]) != s {
		r.fail()
		return
	}
	r.rest = r.rest[len(s):]
}

// enter goes into an element that is the last one of its parent.
func (r *der) enter(tag byte) {
	content := r.element(tag)
	r.end()
	r.rest = content
}

func (r *der) element(tag byte) []byte {
	if !r.ok || len(r.rest) < 2 || r.rest[0] != tag {
		r.fail()
		return nil
	}
	length, from := int(r.rest[1]), 2
	if length >= 0x80 { // the long form: the length of the length, at most two bytes here
		n := length & 0x7F
		if n < 1 || n > 2 || len(r.rest) < 2+n {
			r.fail()
			return nil
		}
		length, from = 0, 2+n
		for _, c := range r.rest[2 : 2+n] {
			length = length<<8 | int(c)
		}
	}
	if len(r.rest)-from < length {
		r.fail()
		return nil
	}
	content := r.rest[from : from+length]
	r.rest = r.rest[from+length:]
	return content
}

func (r *der) end() {
	if len(r.rest) != 0 {
		r.fail()
	}
}
