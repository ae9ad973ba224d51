//go:build engine

package docker

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// `docker exec CONTAINER entrypoint restart`: the copies are new ones, and 16
// clients that open a connection for each request have not noticed.
func TestRestartInside(t *testing.T) {
	t.Parallel()
	c := start(t, "-e", debug, "-e", "APP_WORKER_COUNT=2", "-e", "APP_WORKER_STRATEGY=copies", "-p", "127.0.0.1::8000", image)
	c.waitHealth("healthy")
	before := c.status().Copies

	crowd := crowdOf(16, c.url("/"))
	crowd.reaches(t, 100)
	if o := c.exec("entrypoint", "restart"); o.code != 0 {
		t.Error(o)
	}
	crowd.reaches(t, int(crowd.sent.Load())+100)
	crowd.stop()
	if failed := crowd.failures(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %s", len(failed), crowd.sent.Load(), strings.Join(failed[:min(len(failed), 5)], "; "))
	}
	t.Logf("%d requests", crowd.sent.Load())
	for i, now := range c.status().Copies {
		if now.PID == before[i].PID || now.State != "ready" {
			t.Errorf("copy %d was %+v and is %+v", i, before[i], now)
		}
	}
	if code := c.stop(); code != 0 {
		t.Errorf("docker stop: code %d", code)
	}
}

// crowdOf are clients that ask for a page as often as they can.
func crowdOf(n int, page string) *load {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	l := &load{cancel: cancel}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range n {
		l.done.Go(func() {
			for ctx.Err() == nil {
				l.ask(ctx, client, page)
			}
		})
	}
	return l
}

// reaches waits until so many requests were sent.
func (l *load) reaches(t *testing.T, n int) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	until(t, "the clients", func() bool {
		<-look.C
		return l.sent.Load() >= int64(n)
	})
}
