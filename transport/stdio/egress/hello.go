package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// maxHello bounds what is read for a ClientHello, however it is cut into records.
const maxHello = 64 << 10

// readHello reads the server name from a ClientHello, and returns what it read.
func readHello(r io.Reader) (name string, seen []byte, err error) {
	h := &hello{r: io.LimitReader(r, maxHello)}
	err = tls.Server(h, helloConfig).HandshakeContext(context.Background())
	if h.found {
		return h.name, h.seen, nil
	}
	return "", h.seen, err
}

// helloConfig ends a handshake after its first message.
var helloConfig = &tls.Config{
	MinVersion: tls.VersionTLS12,
	GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
		if h, ok := info.Conn.(*hello); ok {
			h.name, h.found = info.ServerName, true
		}
		return nil, errHello
	},
}

var errHello = errors.New("egress: read the first message of a handshake")

// A hello is a connection that is only listened to.
type hello struct {
	net.Conn // nil: nothing else of it is used

	r     io.Reader
	seen  []byte
	name  string
	found bool
}

func (h *hello) Read(b []byte) (int, error) {
	n, err := h.r.Read(b)
	h.seen = append(h.seen, b[:n]...)
	return n, err
}

// Write takes the alert that ends the handshake on our side; nobody is to hear it.
func (h *hello) Write(b []byte) (int, error) { return len(b), nil }
