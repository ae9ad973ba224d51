package e2e

import (
	"bytes"
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
	ended   bool
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
			o.text, o.ended = o.text[:i], true
		}
		o.ended = o.ended || err != nil
		close(o.changed)
		o.changed = make(chan struct{})
		ended := o.ended
		o.mu.Unlock()
		if ended {
			return
		}
	}
}

// now returns what there is, whether more can come, and the news.
func (o *output) now() (text string, ended bool, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text), o.ended, o.changed
}

// String is what has been printed so far; a terminal's line ends are plain
// ones.
func (o *output) String() string {
	text, _, _ := o.now()
	return strings.ReplaceAll(text, "\r\n", "\n")
}
