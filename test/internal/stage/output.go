package stage

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

// Output collects what comes out of the binary.
type Output struct {
	mu       sync.Mutex
	text     []byte
	changed  chan struct{} // closed when there is more
	ended    chan struct{} // closed with the mark, or the end of the file
	end      *os.File      // where the mark is written to; none if nothing is collected
	terminal bool          // its line ends are shown as plain ones
}

func newOutput() *Output {
	return &Output{changed: make(chan struct{}), ended: make(chan struct{})}
}

// collect begins to read what is written to the end.
func (o *Output) collect(from, end *os.File) {
	o.end = end
	go func() {
		defer close(o.ended)
		buf := make([]byte, 32<<10)
		for o.add(buf, from) == nil {
		}
	}()
}

func (o *Output) add(buf []byte, from io.Reader) error {
	n, err := from.Read(buf)
	o.mu.Lock()
	defer o.mu.Unlock()
	old := len(o.text)
	o.text = append(o.text, buf[:n]...)
	since := max(0, old-len(endMark))
	if i := bytes.Index(o.text[since:], []byte(endMark)); i >= 0 {
		o.text, err = o.text[:since+i], io.EOF
	}
	close(o.changed)
	o.changed = make(chan struct{})
	return err
}

// finish returns when all that was printed is there.
func (o *Output) finish() {
	if o.end != nil {
		_, _ = io.WriteString(o.end, endMark)
		<-o.ended
	}
}

// more is closed when there is more than now.
func (o *Output) more() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

// String is what has been printed so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.terminal {
		return strings.ReplaceAll(string(o.text), "\r\n", "\n")
	}
	return string(o.text)
}
