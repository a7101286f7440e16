package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A connection is one to a server, from the first record to the first error.
type connection struct {
	conn   *gonats.Conn
	stream jetstream.JetStream
	raw    atomic.Pointer[net.Conn]
	fresh  bool // nothing has been acknowledged yet
	// What no acknowledgement says: that the connection is lost, or may not publish.
	// The first reason is kept.
	lost   <-chan struct{}
	why    func() error
	breaks context.CancelCauseFunc
}

// A dialer is a function as the client wants it.
type dialer func(network, address string) (net.Conn, error)

func (d dialer) Dial(network, address string) (net.Conn, error) { return d(network, address) }

// connect connects within the time that the context has.
func connect(ctx context.Context, o gonats.Options) (*connection, error) {
	lost, breaks := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &connection{fresh: true, lost: lost.Done(), why: func() error { return context.Cause(lost) }, breaks: breaks}
	defer context.AfterFunc(ctx, c.cut)()
	dial := (&net.Dialer{Timeout: o.Timeout}).DialContext
	if own := o.CustomDialer; own != nil {
		dial = func(_ context.Context, network, address string) (net.Conn, error) { return own.Dial(network, address) }
	}
	var undialled error // the client says no more than that no server is available
	o.CustomDialer = dialer(func(network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err == nil {
			c.raw.Store(&raw)
		}
		undialled = err
		return raw, err
	})
	failed, closed := o.AsyncErrorCB, o.ClosedCB
	o.AsyncErrorCB = func(conn *gonats.Conn, s *gonats.Subscription, err error) {
		c.breaks(err)
		if failed != nil {
			failed(conn, s, err)
		}
	}
	o.ClosedCB = func(conn *gonats.Conn) {
		err := conn.LastError()
		if err == nil {
			err = gonats.ErrConnectionClosed
		}
		c.breaks(err)
		if closed != nil {
			closed(conn)
		}
	}
	var err error
	if c.conn, err = o.Connect(); err != nil {
		breaks(err)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("not connected in time: %w", ctx.Err())
		case errors.Is(err, gonats.ErrNoServers) && undialled != nil:
			return nil, fmt.Errorf("%w: %w", err, undialled)
		}
		return nil, err
	}
	if c.stream, err = jetstream.New(c.conn); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// cut closes the network connection, whatever waits for it: writing to a server
// that takes nothing would hold a lock of the client's beyond any deadline.
func (c *connection) cut() {
	if raw := c.raw.Load(); raw != nil {
		_ = (*raw).Close()
	}
}

// close gives up what is not acknowledged.
func (c *connection) close() {
	c.cut()
	c.conn.Close()
	c.breaks(gonats.ErrConnectionClosed)
}
