package https

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// arrivals are the connections whose first request has not come yet. http.Server.Shutdown
// cuts them off without a word, although their clients were let in; so an end that refuses
// nobody first closes the listener, then waits for Serve to return and for the arrivals to
// settle, and only then shuts down. Use track as http.Server.ConnState. The zero value is
// ready.
type arrivals struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	none  chan struct{} // closed when there are none; nil if nobody waits
}

func (a *arrivals) track(conn net.Conn, state http.ConnState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if state == http.StateNew {
		if a.conns == nil {
			a.conns = make(map[net.Conn]struct{})
		}
		a.conns[conn] = struct{}{}
		return
	}
	delete(a.conns, conn)
	if len(a.conns) == 0 && a.none != nil {
		close(a.none)
		a.none = nil
	}
}

// settle waits until there are no arrivals, or ctx ends. Those that say nothing end by the
// server's ReadHeaderTimeout.
func (a *arrivals) settle(ctx context.Context) {
	a.mu.Lock()
	if len(a.conns) == 0 {
		a.mu.Unlock()
		return
	}
	if a.none == nil {
		a.none = make(chan struct{})
	}
	none := a.none
	a.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}
