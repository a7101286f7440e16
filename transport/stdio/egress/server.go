package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Sockets are those of a network namespace from which nothing else leads out. Each may be
// nil.
type Sockets struct {
	// Proxy is where programs that use a proxy find one: HTTP CONNECT, plain HTTP, SOCKS5.
	Proxy net.Listener
	// Transparent accept connections to the made-up addresses (198.18.0.0/15) that DNS
	// hands out; the local address of each says which name is meant.
	Transparent []net.Listener
	// DNS gets the questions for names.
	DNS net.PacketConn
}

// A Server is the way out for one confined program. Make it with [NewServer].
type Server struct {
	*opener

	names   *table
	queries *rate.Limiter
	http    *http.Server
	handed  *handoff // connections for http

	ctx  context.Context //nolint:containedctx // of the connections that are made for programs: it ends with Close
	stop context.CancelFunc

	mu     sync.Mutex
	open   map[io.Closer]struct{}
	closed bool
	wg     sync.WaitGroup // of goroutines, begun while mu is held
}

// NewServer makes a Server. Close must be called.
func NewServer(c Config) (*Server, error) {
	o, err := newOpener(c)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opener: o, names: newTable(), handed: newHandoff(),
		queries: rate.NewLimiter(rate.Limit(o.Limits.Queries), 10*o.Limits.Queries),
		open:    make(map[io.Closer]struct{}),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = newHTTP(s)
	s.wg.Go(func() { _ = s.http.Serve(s.handed) })
	return s, nil
}

// Serve answers on the sockets until they or the server are closed; it does not wait for
// that. The server owns the sockets.
func (s *Server) Serve(sockets Sockets) error {
	listeners := make(map[net.Listener]func(*client))
	if sockets.Proxy != nil {
		listeners[sockets.Proxy] = s.proxy
	}
	for _, l := range sockets.Transparent {
		listeners[l] = s.transparent
	}
	for l, serve := range listeners {
		via := ViaTransparent
		if l == sockets.Proxy {
			via = ViaProxy
		}
		if !s.start(l, func() { s.accept(l, via, serve) }) {
			return errClosed
		}
	}
	if sockets.DNS != nil && !s.start(sockets.DNS, func() { s.answerPackets(sockets.DNS) }) {
		return errClosed
	}
	return nil
}

var errClosed = errors.New("egress: the server is closed")

// start runs f in a goroutine of the server's; c is closed when f returns and when the
// server closes. It reports false, with c closed, if it is closed already.
func (s *Server) start(c io.Closer, f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return false
	}
	s.open[c] = struct{}{}
	s.wg.Go(func() {
		defer func() {
			_ = c.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.open, c)
		}()
		f()
	})
	return true
}

// Close ends every connection and listener, and returns when nothing of the server runs.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.stop()
	_ = s.http.Close()
	_ = s.handed.Close()
	s.wg.Wait()
	s.flush()
	return nil
}

// accept takes connections of the program's until the listener is closed.
func (s *Server) accept(l net.Listener, via Via, serve func(*client)) {
	const longest = time.Second
	wait := time.Duration(0)
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.admit(c, via, serve)
		case errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil:
			return
		default: // such as too many open files: it passes
			wait = min(max(2*wait, 5*time.Millisecond), longest)
			select {
			case <-time.After(wait):
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// admit serves a connection if there is room for one more. If not, it says so in the way
// of HTTP, which is what most programs speak to a proxy.
func (s *Server) admit(c net.Conn, via Via, serve func(*client)) {
	if !s.enter() {
		var to endpoint
		if via != ViaProxy {
			to.port = localAddress(c).Port()
		}
		d := s.refuse(via, to, full("at one time"))
		if via == ViaProxy {
			_ = c.SetWriteDeadline(s.now().Add(100 * time.Millisecond))
			_, _ = c.Write(rawAnswer(http.StatusServiceUnavailable, d))
		}
		_ = c.Close()
		return
	}
	cl := newClient(c, via)
	s.startClient(cl, serve)
}

// startClient serves a connection that has entered. It reports false if the server is
// closed.
func (s *Server) startClient(c *client, serve func(*client)) bool {
	started := s.start(c, func() {
		defer s.leave()
		serve(c)
	})
	if !started {
		s.leave()
	}
	return started
}

// begin counts a goroutine that another server started; finish must be called if it
// reports true.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.wg.Add(1)
	}
	return !s.closed
}

func (s *Server) finish() { s.wg.Done() }

func localAddress(c net.Conn) netip.AddrPort {
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
