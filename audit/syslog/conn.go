package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// grace is how long a receiver has to say why it refused what was written.
const grace = time.Second

// maxReply bounds what is read of a receiver that sends something, which it should
// not.
const maxReply = 64 << 10

var (
	errEarly = errors.New("the receiver ended the connection before it had everything: look for its reason in its log")
	errBare  = errors.New("the receiver closed the connection without the TLS closure alert, as anybody on the way could: " +
		"nothing confirms what it has read. If it never sends one, set Config.AllowBareClose")
	errReply = errors.New("the receiver sends data: it is no syslog receiver")
)

// A stream is a connection to a receiver, with or without TLS.
type stream struct {
	net.Conn              // what messages are written to
	tcp      *net.TCPConn // below it
	wire     *wire        // between the two, nil without TLS
	closing  atomic.Bool  // set when everything has been written
	shut     func() error // sends the closure alert
	bare     bool         // no closure alert is expected
}

// A wire notices that TCP has ended: tls.Conn reports io.EOF for a closure alert and
// for a bare end alike.
type wire struct {
	net.Conn
	ended bool // used by whoever reads
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.ended = w.ended || err != nil
	return n, err
}

// send writes frames over a new connection and waits for the receiver to confirm,
// by its end, that it has read them.
func (d *Destination) send(ctx context.Context, frames []byte) error {
	s, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // everything is known by then
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	ended := make(chan error, 1)
	go func() { ended <- s.awaitEnd() }()

	err = s.finish(frames)
	if err != nil && ctx.Err() == nil {
		// A receiver that refuses us says so in an alert, which tells more than the
		// broken pipe that the write met.
		_ = s.SetReadDeadline(time.Now().Add(grace))
	}
	end := <-ended
	if err != nil {
		if alert, ok := errors.AsType[*net.OpError](end); ok && alert.Op == "remote error" {
			err = end
		}
		return fmt.Errorf("writing: %w", err)
	}
	if end != nil {
		return end
	}
	return s.settled(ctx)
}

// dial connects and shakes hands.
func (d *Destination) dial(ctx context.Context) (*stream, error) {
	dialer := net.Dialer{}
	if d.plain {
		dialer.Control = loopbackOnly
	}
	conn, err := dialer.DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, err // it names the address and what failed
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a connection of type %T", conn), conn.Close())
	}
	if d.plain {
		return &stream{Conn: tcp, tcp: tcp, shut: func() error { return nil }}, nil
	}
	w := &wire{Conn: tcp}
	secure := tls.Client(w, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS handshake: %w", err), tcp.Close())
	}
	return &stream{Conn: secure, tcp: tcp, wire: w, shut: secure.CloseWrite, bare: d.bare}, nil
}

// loopbackOnly refuses an address before anything is sent to it.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Unmap().IsLoopback() {
		return nil
	}
	return errors.New("InsecureLoopbackTCP is for this machine only: use TLS to reach another")
}

// finish writes the frames and says goodbye.
func (s *stream) finish(frames []byte) error {
	if _, err := s.Write(frames); err != nil {
		return err
	}
	s.closing.Store(true)
	return errors.Join(s.shut(), s.tcp.CloseWrite())
}

// awaitEnd reads until the receiver has ended the connection, and returns nil if it
// did so in answer to us, by an alert if there is TLS, and without a reset.
func (s *stream) awaitEnd() error {
	if err := drain(s.Conn); err != nil {
		return err
	}
	switch {
	case !s.closing.Load():
		return errEarly
	case s.wire == nil:
		return nil
	case s.wire.ended && !s.bare:
		return errBare
	}
	return drain(s.tcp) // behind the alert comes the end of TCP, or a reset
}

// drain reads to the end.
func drain(r io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(r, maxReply))
	if err == nil && n == maxReply {
		err = errReply
	}
	return err
}
