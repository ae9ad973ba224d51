package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// patient is a stderr that nobody of us waits for: a pipe that is not read must
// not keep a copy from being killed in time. What does not fit is counted, and
// said when somebody reads again.
type patient struct {
	w     io.Writer
	start sync.Once
	queue chan any // a line, or a channel to close: all before it was written
	lost  atomic.Uint64
}

// queued is how many lines may wait: more than a start of many copies says.
const queued = 4096

// flushWithin is what the end waits for lines that nobody may read.
const flushWithin = 200 * time.Millisecond

func newPatient(w io.Writer) *patient { return &patient{w: w, queue: make(chan any, queued)} }

// Write never blocks and never fails.
func (p *patient) Write(line []byte) (int, error) {
	p.start.Do(func() { go p.loop() })
	select {
	case p.queue <- append([]byte(nil), line...):
	default:
		p.lost.Add(1)
	}
	return len(line), nil
}

func (p *patient) loop() {
	for item := range p.queue {
		switch item := item.(type) {
		case []byte:
			_, err := p.w.Write(item)
			if n := p.lost.Swap(0); n > 0 && err == nil {
				fmt.Fprintf(p.w, "entrypoint: warning: %d lines of ours were lost: stderr was not read\n", n)
			}
		case chan struct{}:
			close(item)
		}
	}
}

// flush waits, but not for long, until everything is written.
func (p *patient) flush() {
	written := make(chan struct{})
	timer := time.NewTimer(flushWithin)
	defer timer.Stop()
	p.start.Do(func() { go p.loop() })
	select {
	case p.queue <- written:
	case <-timer.C:
		return
	}
	select {
	case <-written:
	case <-timer.C:
	}
}
