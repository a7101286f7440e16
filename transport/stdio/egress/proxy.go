package egress

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// proxy serves a connection to the proxy: the first byte says what it is.
func (s *Server) proxy(c *client) {
	defer func() { _ = c.Close() }()
	_ = c.SetReadDeadline(time.Now().Add(s.Limits.Handshake))
	first, err := c.peek()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.note(ViaProxy, endpoint{}, late)
	case err != nil: // nothing was asked
	case first == socksVersion:
		s.socks(c)
	case first >= 'A' && first <= 'Z':
		_ = c.SetReadDeadline(time.Time{})
		s.hand(c)
	default:
		s.note(ViaProxy, endpoint{}, codeProtocol.Deny("the proxy speaks HTTP and SOCKS5"))
	}
}

// SOCKS5 (RFC 1928).
const (
	socksVersion = 5

	socksConnect = 1

	socksIPv4   = 1
	socksDomain = 3
	socksIPv6   = 4

	socksFailure    = 1
	socksNotAllowed = 2
	socksNoHost     = 4
	socksNoCommand  = 7
	socksNoAddress  = 8
)

// socks serves the SOCKS5 command CONNECT, without authentication: who can reach the
// socket is the program. There is no BIND and no UDP ASSOCIATE.
func (s *Server) socks(c *client) {
	if !greetSOCKS(c) {
		s.note(ViaSOCKS, endpoint{}, codeMalformed.Deny("a SOCKS greeting that offers no method without authentication"))
		return
	}
	to, reply, d := readSOCKS(c)
	if d != nil {
		_ = answerSOCKS(c, reply)
		s.note(ViaSOCKS, to, d)
		return
	}
	up, d := s.reach(s.ctx, c, ViaSOCKS, to)
	if d != nil {
		reply := byte(socksNotAllowed)
		switch d.Code {
		case codeUnreachable.Name:
			reply = socksNoHost
		case codeConnections.Name:
			reply = socksFailure
		}
		_ = answerSOCKS(c, reply)
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	if answerSOCKS(c, 0) != nil {
		_ = up.Close()
		return
	}
	s.relay(c, up)
}

// greetSOCKS agrees on no authentication.
func greetSOCKS(c io.ReadWriter) bool {
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return false
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(c, methods); err != nil {
		return false
	}
	if slices.Contains(methods, 0) {
		_, err := c.Write([]byte{socksVersion, 0})
		return err == nil
	}
	_, _ = c.Write([]byte{socksVersion, 0xff})
	return false
}

// readSOCKS reads a request. With a refusal comes the reply to give.
func readSOCKS(r io.Reader) (to endpoint, reply byte, d *mcpsec.Denial) {
	bad := func(why string) (endpoint, byte, *mcpsec.Denial) {
		return endpoint{}, socksFailure, codeMalformed.Deny("a SOCKS request that " + why)
	}
	var head [4]byte // version, command, reserved, kind of address
	if _, err := io.ReadFull(r, head[:]); err != nil || head[0] != socksVersion || head[2] != 0 {
		return bad("cannot be read")
	}
	var size int
	switch head[3] {
	case socksIPv4:
		size = 4
	case socksIPv6:
		size = 16
	case socksDomain:
		var n [1]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return bad("is cut short")
		}
		size = int(n[0])
	default:
		return endpoint{}, socksNoAddress, codeProtocol.Deny("a SOCKS request with an unknown kind of address")
	}
	rest := make([]byte, size+2)
	if _, err := io.ReadFull(r, rest); err != nil {
		return bad("is cut short")
	}
	to.port = binary.BigEndian.Uint16(rest[size:])
	if head[3] == socksDomain {
		var err error
		if to, err = parseEndpoint(string(rest[:size])+":"+strconv.Itoa(int(to.port)), 0); err != nil {
			return bad("names no valid host and port")
		}
	} else if a, ok := netip.AddrFromSlice(rest[:size]); ok {
		to.host.addr = a.Unmap()
	}
	if head[1] != socksConnect {
		return to, socksNoCommand, codeProtocol.Deny("of SOCKS only CONNECT is offered")
	}
	return to, 0, nil
}

func answerSOCKS(w io.Writer, reply byte) error {
	_, err := w.Write([]byte{socksVersion, reply, 0, socksIPv4, 0, 0, 0, 0, 0, 0})
	return err
}
