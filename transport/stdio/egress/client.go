package egress

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A client is the program's end of a connection.
type client struct {
	net.Conn

	via   Via
	local netip.AddrPort // what the program connected to
	to    endpoint       // whom it means, and
	grant grant          // under which rule; unset while it talks to the proxy

	ahead []byte               // read from Conn and not yet from here
	spare atomic.Pointer[conn] // a connection to the host, made before it was known what comes

	reading atomic.Bool // a request of HTTP has begun and is not yet understood
	gone    chan struct{}
	closing sync.Once
}

func newClient(c net.Conn, via Via) *client {
	return &client{Conn: c, via: via, local: localAddress(c), gone: make(chan struct{})}
}

func (c *client) Read(b []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// Close closes the connection, and a spare one to the host with it.
func (c *client) Close() (err error) {
	c.closing.Do(func() {
		err = c.Conn.Close()
		if spare := c.spare.Swap(nil); spare != nil {
			_ = spare.Close()
		}
		close(c.gone)
	})
	return err
}

// CloseWrite tells the program that no more will come.
func (c *client) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// A kind is what a connection turns out to be.
type kind int

const (
	nothing   kind = iota // it ended before it began
	opaque                // TLS, or whatever where the rule says tcp
	plainHTTP             // requests that are to be looked at one by one
)

// look finds out whether the connection speaks under the name of the host it is meant for:
// TLS with that server name, or HTTP. What it reads can be read again.
func (c *client) look(within time.Duration) (kind, *mcpsec.Denial) {
	if c.grant.raw {
		return opaque, nil
	}
	_ = c.SetReadDeadline(time.Now().Add(within))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	first, err := c.peek()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nothing, late
	case err != nil:
		return nothing, nil
	case first == 0x16: // a TLS handshake
		return opaque, c.lookTLS()
	case first < 'A' || first > 'Z' || c.to.port == 443:
		return nothing, codeProtocol.Deny("only TLS is spoken on port 443, and TLS or HTTP on others")
	}
	return plainHTTP, nil
}

// late is the refusal of what never came.
var late = codeTimeout.Deny("nothing came that tells what the connection is")

// peek returns the first byte that the program sends.
func (c *client) peek() (byte, error) {
	if len(c.ahead) == 0 {
		b := make([]byte, 1)
		if _, err := io.ReadFull(c.Conn, b); err != nil {
			return 0, err
		}
		c.ahead = b
	}
	return c.ahead[0], nil
}

func (c *client) lookTLS() *mcpsec.Denial {
	name, seen, err := readHello(c)
	c.ahead = append(seen, c.ahead...)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return late
	case err != nil:
		return codeProtocol.Deny("the connection begins like TLS but is none").Because(err)
	case c.to.host.addr.IsValid() && name == "":
		return nil // an address has no server name (RFC 6066 section 3)
	case name == "":
		return codeName.Deny("the TLS handshake names no server: " + c.to.host.String() + " was expected")
	}
	if h, err := parseHost(name); err != nil || h != c.to.host {
		return codeName.Deny("the TLS handshake names another server than " + c.to.host.String()).
			Because(errors.New("server name " + quote(name)))
	}
	return nil
}
