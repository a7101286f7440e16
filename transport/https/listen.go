package https

import (
	"net"
	"net/netip"
	"sync"

	"github.com/mcpsec/mcpsec-go/internal/netaddr"
)

// A capped is a listener that holds a number of connections, and no more of one address.
// What is beyond is reset at once: whoever waits in a queue would keep others out of it.
type capped struct {
	net.Listener

	most, per int // negative: no bound
	refused   func(net.Addr)

	mu    sync.Mutex
	total int
	of    map[netip.Prefix]int
}

// limitListener bounds the open connections of a listener, in total and of one address. An
// address is one of IPv4, or the 64 bits of IPv6 that one customer has all to himself.
// Peers without address, on Unix sockets, count in total only. Negative is no bound.
// refused, if not nil, is called for each connection that was reset, and must not block.
func limitListener(l net.Listener, most, per int, refused func(net.Addr)) net.Listener {
	return &capped{Listener: l, most: most, per: per, refused: refused, of: make(map[netip.Prefix]int)}
}

// Accept waits for the next connection that is within the bounds.
func (l *capped) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := bucket(conn.RemoteAddr())
		if l.take(from) {
			return &cappedConn{Conn: conn, done: sync.OnceFunc(func() { l.give(from) })}, nil
		}
		if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
			_ = tcp.SetLinger(0) // a reset leaves nothing to wait for
		}
		_ = conn.Close() // nothing was written
		if l.refused != nil {
			l.refused(conn.RemoteAddr())
		}
	}
}

// bucket returns what an address is counted by; the zero prefix if it has none.
func bucket(a net.Addr) netip.Prefix {
	if a == nil {
		return netip.Prefix{}
	}
	return prefixOf(a.String())
}

func prefixOf(address string) netip.Prefix {
	ip, _ := netaddr.Parse(address)
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

func (l *capped) take(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most >= 0 && l.total >= l.most {
		return false
	}
	if from.IsValid() {
		if l.per >= 0 && l.of[from] >= l.per {
			return false
		}
		l.of[from]++
	}
	l.total++
	return true
}

func (l *capped) give(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if !from.IsValid() {
		return
	}
	if l.of[from]--; l.of[from] == 0 {
		delete(l.of, from)
	}
}

// A cappedConn gives its place back when it is closed.
type cappedConn struct {
	net.Conn

	done func()
}

// Close closes the connection.
func (c *cappedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}
