package egress

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A conn is a connection to a permitted host. It counts, keeps the limits, is closed if
// nothing moves, and is recorded when it is closed.
type conn struct {
	net.Conn

	o        *opener
	event    Event
	out, in  atomic.Int64
	moved    atomic.Int64 // when, in nanoseconds after event.Time
	watch    *time.Timer
	done     func() // called once, when it is closed
	cut      atomic.Pointer[mcpsec.Denial]
	refused  atomic.Bool
	closing  sync.Once
	closeErr error

	mu   sync.Mutex
	peer io.Closer // closed with it if nothing moves
}

func newConn(o *opener, c net.Conn, e Event, done func()) *conn {
	n := &conn{Conn: c, o: o, event: e, done: done}
	n.mu.Lock() // the timer waits until it is known
	n.watch = time.AfterFunc(o.Limits.Idle, n.idle)
	n.mu.Unlock()
	return n
}

// idle runs when Limits.Idle has passed since it was last set, and looks whether anything
// has moved since.
func (c *conn) idle() {
	c.mu.Lock()
	watch, peer := c.watch, c.peer
	c.mu.Unlock()
	quiet := c.o.now().Sub(c.event.Time) - time.Duration(c.moved.Load())
	if left := c.o.Limits.Idle - quiet; left > 0 {
		watch.Reset(left)
		return
	}
	_ = c.end(codeTimeout.Deny("nothing moved"))
	_ = c.Close()
	if peer != nil {
		_ = peer.Close()
	}
}

// with names the other end: that of the program.
func (c *conn) with(peer io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer = peer
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	c.moved.Store(int64(c.o.now().Sub(c.event.Time)))
	if c.o.received.Add(int64(n)) > c.o.Limits.Received {
		return 0, c.end(codeBytes.Deny("too many bytes received since this server started"))
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if c.o.sent.Add(int64(len(b))) > c.o.Limits.Sent {
		c.o.sent.Add(-int64(len(b)))
		return 0, c.end(codeBytes.Deny("too many bytes sent since this server started"))
	}
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n))
	c.moved.Store(int64(c.o.now().Sub(c.event.Time)))
	return n, err
}

// end remembers why the connection is cut, and returns that.
func (c *conn) end(d *mcpsec.Denial) error {
	c.cut.CompareAndSwap(nil, d)
	return d
}

// CloseWrite tells the host that no more will come.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// refuse remembers that the connection was not permitted after all.
func (c *conn) refuse(d *mcpsec.Denial) {
	_ = c.end(d)
	c.refused.Store(true)
}

// Close closes the connection and records what it was.
func (c *conn) Close() error {
	c.closing.Do(func() {
		c.watch.Stop()
		c.closeErr = c.Conn.Close()
		e := c.event
		e.BytesOut, e.BytesIn, e.Duration = c.out.Load(), c.in.Load(), c.o.now().Sub(e.Time)
		e.Allowed = !c.refused.Load()
		if d := c.cut.Load(); d != nil {
			e.Reason, e.Detail = d.Code, d.Reason
		}
		if c.done != nil {
			c.done()
		}
		c.o.report(e)
	})
	return c.closeErr
}
