package e2e

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
)

// endMark is written by the test itself once the binary has ended: what stands
// before it is all that was printed, whoever still holds the other end.
const endMark = "\x00end of output\x00"

// output collects what comes out of the binary and tells when there is more.
type output struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{}
	done    chan struct{} // closed with the mark or the end of the file
}

func newOutput() *output {
	return &output{changed: make(chan struct{}), done: make(chan struct{})}
}

// collect reads until the mark.
func (o *output) collect(f *os.File) {
	defer close(o.done)
	buf := make([]byte, 32<<10)
	for {
		n, err := f.Read(buf)
		o.mu.Lock()
		o.text = append(o.text, buf[:n]...)
		if i := bytes.Index(o.text, []byte(endMark)); i >= 0 {
			o.text, err = o.text[:i], io.EOF
		}
		close(o.changed)
		o.changed = make(chan struct{})
		o.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// now returns what has been printed so far, and a channel that is closed when
// there is more. A terminal's line ends are plain ones.
func (o *output) now() (text string, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.ReplaceAll(string(o.text), "\r\n", "\n"), o.changed
}

// String is what has been printed so far.
func (o *output) String() string {
	text, _ := o.now()
	return text
}
