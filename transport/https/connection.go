package https

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A connection is what is remembered of one: which certificates its client showed, and
// whether they are still trusted.
type connection struct {
	conn   net.Conn               // nil behind a listener that is not ours
	caller atomic.Pointer[caller] // who was the last

	mu      sync.Mutex
	chain   []*x509.Certificate
	pool    *x509.CertPool // that the chain was last verified with
	checked time.Time
	change  uint64 // of certificates, authorities or revocations
	err     error
}

type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{conn: c})
}

func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

// cut closes the connection without another word.
func (c *connection) cut() {
	conn := c.conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn() // closing TLS would wait to say goodbye
	}
	if conn != nil {
		_ = conn.Close() // it is being cut
	}
}

// fresh is how long a verdict on certificates holds when nothing is known to have changed.
const fresh = 2 * time.Second

var errNoCertificate = errors.New("https: no verified client certificate")

// certificates returns the client's chain, leaf first, if it is trusted at this moment:
// the handshake may have been long ago.
func (c *connection) certificates(s *Server, state *tls.ConnectionState) ([]*x509.Certificate, error) {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil, errNoCertificate
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chain == nil {
		chain, err := s.gate.chain(state)
		if err != nil {
			return nil, err
		}
		if (mcpsec.Peer{Certificates: chain}).Principal().Rung != mcpsec.Certificate {
			return nil, errNameless
		}
		c.chain = chain
	}
	return c.chain, c.check(s)
}

// still is certificates for a stream that is open.
func (c *connection) still(s *Server) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.check(s)
}

func (c *connection) check(s *Server) error {
	now, change, pool := s.now(), s.changes.Load(), s.gate.pool()
	if c.pool == pool && c.change == change && now.Sub(c.checked) < fresh && !c.checked.IsZero() {
		return c.err
	}
	c.err = nil
	if pool == nil || c.pool != pool {
		c.err = s.gate.trusted(c.chain)
	}
	if c.err == nil {
		c.pool = pool
		c.err = s.gate.accepted(c.chain)
	} else {
		c.pool = nil
	}
	c.checked, c.change = now, change
	return c.err
}
