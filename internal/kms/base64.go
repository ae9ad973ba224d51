package kms

// decoded is the outcome of reading base64 as people paste it.
type decoded struct {
	bytes []byte
	// valid is false where another character was met; bytes end there.
	valid bool
	// urlSafe says that - or _ stood for + or /.
	urlSafe bool
	// dangling says that one character was left over: no number of bytes is
	// written so, something was cut off.
	dangling bool
	// strict says that the padding is as RFC 4648 wants it.
	strict bool
}

// decode reads base64 with white space anywhere and padding or not. It is one
// loop of its own, because encoding/base64 skips line ends only, refuses
// missing padding or present padding but not neither, and must be asked twice
// to tell the alphabets apart. into may be the memory of text itself: what is
// written never overtakes what is read.
func decode[T ~string | ~[]byte](text T, into []byte) decoded {
	d := decoded{bytes: into[:0], valid: true}
	var bits uint32
	var n, padding int // characters since the last whole quantum; = seen
	for i := range len(text) {
		c := text[i]
		var v byte
		switch {
		case 'A' <= c && c <= 'Z':
			v = c - 'A'
		case 'a' <= c && c <= 'z':
			v = c - 'a' + 26
		case '0' <= c && c <= '9':
			v = c - '0' + 52
		case c == '+':
			v = 62
		case c == '/':
			v = 63
		case c == '-':
			v, d.urlSafe = 62, true
		case c == '_':
			v, d.urlSafe = 63, true
		case c == '=':
			padding++
			continue
		case isSpace(c):
			continue
		default:
			d.valid = false
		}
		if padding > 0 {
			d.valid = false
		}
		if !d.valid {
			break
		}
		bits = bits<<6 | uint32(v)
		if n++; n == 4 {
			d.bytes = append(d.bytes, byte(bits>>16), byte(bits>>8), byte(bits))
			bits, n = 0, 0
		}
	}
	switch n {
	case 1:
		d.dangling = true
	case 2:
		d.bytes = append(d.bytes, byte(bits>>4))
	case 3:
		d.bytes = append(d.bytes, byte(bits>>10), byte(bits>>2))
	}
	d.strict = d.valid && !d.dangling && !d.urlSafe && padding == (4-n)%4
	return d
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
