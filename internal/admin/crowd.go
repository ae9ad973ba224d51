package admin

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// maxConnections is far above what probers and scrapers open, and far below what
// descriptors and memory of a PID 1 can bear.
const maxConnections = 64

// crowd bounds the connections of a server. A plain limit on accepting would let
// a thousand idle connections starve the orchestrator's probe, and the container
// would be killed for it: here the newest comes in and the oldest that does
// nothing has to go.
type crowd struct {
	limit int

	mu    sync.Mutex
	conns []*guest // oldest first
}

type guest struct {
	conn   net.Conn
	active bool // a request has begun
	exempt bool // it is served for long, and rightly
}

// observe is the server's ConnState.
func (c *crowd) observe(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.conns, func(g *guest) bool { return g.conn == conn })
	switch state {
	case http.StateNew:
		c.conns = append(c.conns, &guest{conn: conn})
		if len(c.conns) > c.limit {
			c.evict()
		}
	case http.StateActive, http.StateIdle:
		if i >= 0 {
			c.conns[i].active = state == http.StateActive
		}
	case http.StateClosed, http.StateHijacked:
		if i >= 0 {
			c.conns = slices.Delete(c.conns, i, i+1)
		}
	}
}

// evict closes the oldest that is between requests, else the oldest whose
// request takes its time, else the one that has just come.
func (c *crowd) evict() {
	i := slices.IndexFunc(c.conns, func(g *guest) bool { return !g.active && !g.exempt })
	if newest := len(c.conns) - 1; i < 0 || i == newest {
		if i = slices.IndexFunc(c.conns, func(g *guest) bool { return !g.exempt }); i < 0 {
			i = newest
		}
	}
	_ = c.conns[i].conn.Close()
	c.conns = slices.Delete(c.conns, i, i+1)
}

// exempt keeps a connection from being closed for newer ones.
func (c *crowd) exempt(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.conns {
		if g.conn == conn {
			g.exempt = true
		}
	}
}
