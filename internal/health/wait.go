package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// Target is something that must answer before the first copy starts. Its Name is
// what the user called it, its Address host:port or unix:/path.
type Target struct{ Name, Address string }

func (t Target) String() string {
	if t.Name == "" || t.Name == t.Address {
		return t.Address
	}
	return t.Name + " (" + t.Address + ")"
}

const (
	firstTry = 100 * time.Millisecond // pause after the first failure; doubled
	slowTry  = 2 * time.Second        // up to this
	tryFor   = 3 * time.Second        // one connection; a firewall that drops answers never
	remind   = 10 * time.Second       // the log says again what is missing
)

// WaitAll connects to every target, again and again, until each has accepted
// once. Without targets it returns at once. How long it may take is ctx's
// matter; when that ends the error names what is still away and why. What a
// target accepts for is not asked: a database that answers may still refuse the
// password.
func WaitAll(ctx context.Context, targets []Target, log *slog.Logger) error {
	var d net.Dialer
	return waitAll(ctx, targets, log, d.DialContext)
}

func waitAll(ctx context.Context, targets []Target, log *slog.Logger, dial func(ctx context.Context, network, address string) (net.Conn, error)) error {
	problems := make([]error, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() { problems[i] = waitOne(ctx, t, log, dial) })
	}
	all.Wait()
	return errors.Join(problems...)
}

func waitOne(ctx context.Context, t Target, log *slog.Logger, dial func(ctx context.Context, network, address string) (net.Conn, error)) error {
	began := time.Now()
	said := time.Time{}
	pause := firstTry
	var last error
	for {
		err := try(ctx, t.Address, dial)
		now := time.Now()
		if err == nil {
			if !said.IsZero() {
				log.Info(t.String()+" is there", "after", now.Sub(began).Round(100*time.Millisecond))
			}
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // the one that ctx cut short explains nothing
		}
		if said.IsZero() || now.Sub(said) >= remind {
			log.Info("waiting for "+t.String(), "error", last)
			said = now
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("cannot reach %s after %s: %w", t, time.Since(began).Round(time.Second), last)
		}
		pause = min(2*pause, slowTry)
	}
}

func try(ctx context.Context, address string, dial func(ctx context.Context, network, address string) (net.Conn, error)) error {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("no answer")
		}
		return plain(err)
	}
	return conn.Close()
}
