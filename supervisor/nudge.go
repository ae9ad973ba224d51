package supervisor

import (
	"context"
	"net"
	"sync"
	"time"
)

// A nudge is a connection on a copy's private socket that says nothing and ends.
// A main process passes the signal on to its workers within a millisecond, and
// the first or second nudge is the last; a busy machine needs longer.
const (
	nudgeEvery = time.Millisecond
	nudgeFor   = 100 * time.Millisecond
)

// nudge wakes a server that was told to stop, until nobody listens on its private
// socket any more. gunicorn's gthread workers of 21 to 23 see that they are to go
// after one more event only: they accept that connection, and drop it unread
// (benoitc/gunicorn#3157). It should be ours and not a client's. The caller calls
// done before the life is closed.
func nudge(path string) (done func()) {
	ctx, cancel := context.WithTimeout(context.Background(), nudgeFor)
	var nudges sync.WaitGroup
	nudges.Go(func() {
		var dialer net.Dialer
		pace := time.NewTicker(nudgeEvery)
		defer pace.Stop()
		for {
			c, err := dialer.DialContext(ctx, "unix", path)
			if err != nil { // refused: it has left its loop; or its queue is full
				return
			}
			c.Close()
			select {
			case <-pace.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		nudges.Wait()
	}
}
