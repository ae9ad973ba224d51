package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// clients open a connection for each request: what a load balancer without
// keep-alive does, and what shows every refused, reset or forgotten connection.
const clients = 16

// load is what 16 clients do and see.
type load struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu     sync.Mutex
	served []time.Duration
	failed map[string]int
	more   chan struct{} // closed with the next answer, then replaced
}

// begin starts the load on a URL.
func begin(t *testing.T, url string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{t: t, cancel: cancel, failed: map[string]int{}, more: make(chan struct{})}
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: patience}
	for range clients {
		l.ended.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				l.note(began, ask(client, url))
			}
		})
	}
	t.Cleanup(func() { cancel(); l.ended.Wait() })
	return l
}

// ask ends a request that has begun even if the load is to end: one that was
// given up by its client is no error of the server's.
func ask(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", response.Status)
	}
	return nil
}

func (l *load) note(began time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed[err.Error()]++
	} else {
		l.served = append(l.served, time.Since(began))
	}
	close(l.more)
	l.more = make(chan struct{})
}

// goesOn waits for n further answers.
func (l *load) goesOn(n int) {
	l.t.Helper()
	deadline := time.After(patience)
	l.mu.Lock()
	goal := len(l.served) + n
	l.mu.Unlock()
	for {
		l.mu.Lock()
		now, more := len(l.served), l.more
		l.mu.Unlock()
		if now >= goal {
			return
		}
		select {
		case <-more:
		case <-deadline:
			l.t.Fatalf("%d of %d answers within %s; errors: %v", n-(goal-now), n, patience, l.errors())
		}
	}
}

// mark is where a phase begins.
func (l *load) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.served)
}

// phase logs the latencies since a mark.
func (l *load) phase(name string, from int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := slices.Clone(l.served[from:])
	if len(d) == 0 {
		return
	}
	slices.Sort(d)
	at := func(q float64) time.Duration { return d[min(len(d)-1, int(q*float64(len(d))))].Round(time.Millisecond) }
	l.t.Logf("%-28s %5d answers, median %s, p99 %s, p99.9 %s, worst %s", name, len(d), at(0.5), at(0.99), at(0.999), at(1))
}

// errors is what has failed so far.
func (l *load) errors() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]int{}
	for text, n := range l.failed {
		all[text] = n
	}
	return all
}

func (l *load) failures() (n int) {
	for _, count := range l.errors() {
		n += count
	}
	return n
}

// end ends the load after the requests that are under way.
func (l *load) end() {
	l.cancel()
	l.ended.Wait()
}
