package syslog

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// A receiver that shuts down by itself says goodbye while our bytes are on the way.
// They meet a closed connection, and only the reset that answers them tells.
func TestGoodbyesThatCross(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	r := listen(t, nil, func(_ *receiver, _ *net.TCPConn, c *tls.Conn) {
		_ = c.Handshake()
		c.Close()
		close(closed)
	})
	d := r.destination(t)
	s, err := d.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	<-closed
	record := batch(1)
	frame, _ := d.appendFrame(nil, &record[0])
	if _, err := s.Write(frame); err != nil {
		t.Fatal(err)
	}
	s.closing.Store(true) // as if the receiver's goodbye had come only now
	if err := s.awaitEnd(); err != nil {
		t.Logf("seen before the last check: %v", err)
		return
	}
	if err := s.settled(t.Context()); err == nil || errors.Is(err, t.Context().Err()) {
		t.Errorf("what nobody took counts as delivered: %v", err)
	}
}

// Bytes that lie in the receiver's kernel when it closes are answered with a reset,
// which comes behind the goodbye.
func TestGoodbyeWithBytesUnread(t *testing.T) {
	t.Parallel()
	written := make(chan struct{})
	r := listen(t, nil, func(_ *receiver, tcp *net.TCPConn, c *tls.Conn) {
		_ = c.Handshake()
		<-written
		_ = c.CloseWrite()
		tcp.Close()
	})
	d := r.destination(t)
	s, err := d.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var frames []byte // more than the handshake may have read along
	for _, r := range batch(200) {
		frames, _ = d.appendFrame(frames, &r)
	}
	if err := s.finish(frames); err != nil {
		t.Fatal(err)
	}
	close(written)
	if err := s.awaitEnd(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a receiver that read nothing confirmed everything: %v", err)
	}
}

// The ordinary end is recognised.
func TestSettledWhenAllIsAcknowledged(t *testing.T) {
	t.Parallel()
	r := listen(t, nil, polite)
	d := r.destination(t)
	s, err := d.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.finish(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.awaitEnd(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := s.settled(t.Context()); err != nil || time.Since(start) > time.Minute {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
