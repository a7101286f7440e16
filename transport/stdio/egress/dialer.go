package egress

import (
	"context"
	"net"
)

// A Dialer is a policy for one's own process: give its DialContext to an
// [net/http.Transport] or to whatever else dials. It keeps the rules for names, addresses
// and limits. It does not look into connections, and it binds only those who use it.
type Dialer struct{ o *opener }

// NewDialer makes a Dialer.
func NewDialer(c Config) (*Dialer, error) {
	o, err := newOpener(c)
	if err != nil {
		return nil, err
	}
	return &Dialer{o}, nil
}

// DialContext connects to "host:port" by TCP. A refusal is a [*mcpsec.Denial] whose text
// may be shown to a model.
//
// [*mcpsec.Denial]: https://pkg.go.dev/github.com/mcpsec/mcpsec-go/mcpsec#Denial
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, d.o.refuse(ViaDial, endpoint{}, codeProtocol.Deny("only TCP can be dialled"))
	}
	to, err := parseEndpoint(address, 0)
	if err != nil {
		return nil, d.o.refuse(ViaDial, endpoint{}, codeMalformed.Deny("the address cannot be read").Because(err))
	}
	g, denial := d.o.allow(to)
	if denial != nil {
		return nil, d.o.refuse(ViaDial, to, denial)
	}
	if !d.o.enter() {
		return nil, d.o.refuse(ViaDial, to, full("at one time"))
	}
	c, denial := d.o.open(ctx, ViaDial, to, g, d.o.leave)
	if denial != nil {
		d.o.leave()
		return nil, denial
	}
	return c, nil
}
