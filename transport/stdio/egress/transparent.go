package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Where a program without a network namespace finds the proxy and the name server, as one
// with a namespace does.
const (
	ProxyPort = 3128 // of 127.0.0.1
	dnsPort   = 53
)

var proxyEndpoint = endpoint{host{addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}, ProxyPort}

// transparent serves a connection to a made-up address.
func (s *Server) transparent(c *client) {
	defer func() { _ = c.Close() }()
	to := s.meant(endpoint{host{addr: c.local.Addr()}, c.local.Port()})
	g, d := s.allow(to)
	if d != nil {
		s.note(c.via, to, d)
		return
	}
	c.to, c.grant = to, g
	s.relay(c, nil)
}

// Connect decides on a connect call of a program that has no network namespace of its own.
// It returns a connected TCP socket that is to take the place of the program's: its other
// end is the server's. The error of a refused call is a [*mcpsec.Denial].
//
// Made-up addresses stand for names, 127.0.0.1:3128 is the proxy, and port 53 of any address
// that no rule lists is the name server, over TCP: the C library asks it with
// RES_OPTIONS=use-vc, and who asks by datagram only needs the proxy. Everything else is
// refused if it is not listed, ports that the program itself listens on included.
//
// [*mcpsec.Denial]: https://pkg.go.dev/github.com/mcpsec/mcpsec-go/mcpsec#Denial
func (s *Server) Connect(ctx context.Context, address netip.AddrPort) (*net.TCPConn, error) {
	to := s.meant(endpoint{host{addr: address.Addr().Unmap()}, address.Port()})
	via := ViaNotify
	var serve func(*client)
	g, d := s.allow(to)
	switch {
	case d == nil:
		serve = func(c *client) { //nolint:contextcheck // a connection outlives the call that asked for it
			c.to, c.grant = to, g
			s.relay(c, nil)
		}
	case to.port == dnsPort:
		serve = s.answerStream
	case to == proxyEndpoint:
		via, serve = ViaProxy, s.proxy
	default:
		return nil, s.refuse(via, to, d)
	}
	if !s.enter() {
		return nil, s.refuse(via, to, full("at one time"))
	}
	inside, outside, err := tcpPair(ctx)
	if err != nil {
		s.leave()
		return nil, s.refuse(via, to, codeUnreachable.Deny("no socket for the connection").Because(err))
	}
	if !s.startClient(newClient(outside, via), serve) {
		_ = inside.Close()
		return nil, errClosed
	}
	return inside, nil
}

// tcpPair returns the two ends of a TCP connection of this host with itself.
func tcpPair(ctx context.Context) (a, b *net.TCPConn, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, fmt.Errorf("egress: %w", err)
	}
	defer func() { _ = l.Close() }()
	var d net.Dialer
	dialled, err := d.DialContext(ctx, "tcp4", l.Addr().String())
	if err != nil {
		return nil, nil, fmt.Errorf("egress: %w", err)
	}
	a, ok := dialled.(*net.TCPConn)
	_ = l.SetDeadline(time.Now().Add(5 * time.Second))
	for range 16 { // others of this host can connect as well
		if b, err = l.AcceptTCP(); err != nil || !ok {
			break
		}
		if b.RemoteAddr().String() == a.LocalAddr().String() {
			return a, b, nil
		}
		_ = b.Close()
		err = errors.New("others connected in between")
	}
	_ = dialled.Close()
	return nil, nil, fmt.Errorf("egress: a pair of sockets: %w", err)
}
