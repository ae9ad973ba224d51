package listen

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// What the kernel answers is parsed within its bounds, whatever it is.
func FuzzParseUnixDiag(f *testing.F) {
	message := func(kind uint16, body ...uint32) []byte {
		b := make([]byte, unix.NLMSG_HDRLEN)
		binary.NativeEndian.PutUint32(b, uint32(unix.NLMSG_HDRLEN+4*len(body)))
		binary.NativeEndian.PutUint16(b[4:], kind)
		for _, word := range body {
			b = binary.NativeEndian.AppendUint32(b, word)
		}
		return b
	}
	f.Add([]byte{})
	f.Add(message(unix.NLMSG_ERROR, 0xfffffffe))
	f.Add(message(unix.NLMSG_ERROR))
	f.Add(message(sockDiagByFamily, 0, 0, 0, 0, queueAttribute<<16|12, 3, 128))
	f.Add(message(sockDiagByFamily, 0, 0, 0, 0, 9<<16|5, 1, queueAttribute<<16|12, 3, 128))
	f.Add(message(sockDiagByFamily, 0, 0, 0, 0, 9<<16, 0))
	f.Add(message(sockDiagByFamily, 1, 9, 0, 0, peerAttribute<<16|8, 7))
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, attribute := range []uint16{peerAttribute, queueAttribute} {
			if value, err := parseUnixDiag(message, attribute); err != nil && value != nil {
				t.Errorf("%v with %v", value, err)
			}
		}
	})
}
