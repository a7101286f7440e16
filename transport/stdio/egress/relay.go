package egress

import (
	"io"
	"net"
	"sync"
)

// relay joins a program with the host it means. up is a connection to the host if there is
// one already; the caller has found that c.to is permitted. It returns when all is closed.
func (s *Server) relay(c *client, up *conn) {
	if up != nil {
		c.spare.Store(up)
	}
	defer func() { _ = c.Close() }()
	what, d := c.look(s.Limits.Handshake)
	switch {
	case d != nil:
		if up = c.spare.Swap(nil); up != nil {
			up.refuse(d)
			_ = up.Close()
		} else {
			s.note(c.via, c.to, d)
		}
		return
	case what == nothing && up == nil:
		e := s.event(c.via, c.to)
		e.Allowed, e.Detail = true, "the program closed it before anything was sent"
		s.report(e)
		return
	case what == nothing:
		return
	case what == plainHTTP:
		s.hand(c)
		return
	}
	if up = c.spare.Swap(nil); up == nil {
		if up, d = s.opener.open(s.ctx, c.via, c.to, c.grant, nil); d != nil {
			return
		}
	}
	tunnel(c, up)
}

// hand gives a connection to the HTTP server and waits until it is closed. watchRequests
// counts that server's goroutine down.
func (s *Server) hand(c *client) {
	if !s.begin() {
		_ = c.Close()
		return
	}
	if !s.handed.give(c) {
		_ = c.Close()
		s.finish()
	}
	<-c.gone
}

// tunnel copies both ways until both ends are closed, or one fails.
func tunnel(c *client, up *conn) {
	up.with(c)
	var wg sync.WaitGroup
	wg.Go(func() { pour(up, c) })
	pour(c, up)
	wg.Wait()
	_ = up.Close()
	_ = c.Close()
}

// An end is one side of a tunnel.
type end interface {
	net.Conn
	CloseWrite() error
}

// pour copies until from ends, and says so to the other side. Where that cannot be said,
// or something failed, both are closed.
func pour(to, from end) {
	_, err := io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		_ = to.Close()
		_ = from.Close()
	}
}

// A handoff is a listener for connections that another one has accepted.
type handoff struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), done: make(chan struct{})}
}

// give reports whether the connection was accepted.
func (h *handoff) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements [net.Listener].
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements [net.Listener].
func (h *handoff) Addr() net.Addr { return &net.TCPAddr{} }
