package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Bounds of what a name server can make us do.
const (
	maxAnswer = 64 // addresses looked at
	maxDials  = 4  // addresses tried
)

// Config is what a [Server] and a [Dialer] work with.
type Config struct {
	Policy *Policy // required
	// Resolve returns the addresses of a name; nil means the host's resolver. It is called
	// once for each connection: what it answers is checked and then dialled.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
	// Dial connects to an address by TCP; nil means from this host. If what it returns has
	// no CloseWrite, the end of what one side sends ends the connection.
	Dial   func(ctx context.Context, address netip.AddrPort) (net.Conn, error)
	Limits Limits
	// OnEvent is called for each decision, from many goroutines; the connection concerned
	// waits for it. Nil means that nothing is recorded.
	OnEvent func(Event)
}

// An opener decides about connections and makes them.
type opener struct {
	Config
	*reporter

	now func() time.Time
	own func() ([]netip.Addr, error)

	total, sent, received atomic.Int64
	parallel              atomic.Int64
}

func newOpener(c Config) (*opener, error) {
	if c.Policy == nil {
		return nil, errors.New("egress: no policy: use Parse, without rules to refuse everything")
	}
	var err error
	if c.Limits, err = c.Limits.withDefaults(); err != nil {
		return nil, err
	}
	if c.Resolve == nil {
		c.Resolve = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name+".") // the dot: no search list
		}
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address.String())
		}
	}
	return &opener{Config: c, reporter: newReporter(c.OnEvent), now: time.Now, own: new(interfaces).addresses}, nil
}

// event returns the beginnings of one about a connection.
func (o *opener) event(via Via, to endpoint) Event {
	return Event{Time: o.now(), Via: via, Name: to.host.String(), Port: to.port}
}

// note records a refusal.
func (o *opener) note(via Via, to endpoint, d *mcpsec.Denial) {
	o.refused(o.event(via, to), d)
}

// refuse records a refusal and returns it.
func (o *opener) refuse(via Via, to endpoint, d *mcpsec.Denial) *mcpsec.Denial {
	o.note(via, to, d)
	return d
}

// allow looks an endpoint up in the policy.
func (o *opener) allow(to endpoint) (grant, *mcpsec.Denial) {
	g, ok := o.Policy.grant(to)
	if !ok {
		return g, codeNotListed.Deny(fmt.Sprintf("%s is not on this server's list of hosts", to))
	}
	return g, nil
}

// enter counts a connection of the program's and reports whether there is room for it; if
// so, leave must be called.
func (o *opener) enter() bool {
	if o.parallel.Add(1) > int64(o.Limits.Parallel) {
		o.parallel.Add(-1)
		return false
	}
	return true
}

func (o *opener) leave() { o.parallel.Add(-1) }

func full(what string) *mcpsec.Denial {
	return codeConnections.Deny("too many connections " + what)
}

// open connects to a permitted endpoint. Both refusals and failures are recorded; of a
// connection, Close records the end, and calls done if that is not nil.
func (o *opener) open(ctx context.Context, via Via, to endpoint, g grant, done func()) (*conn, *mcpsec.Denial) {
	e := o.event(via, to)
	if o.total.Add(1) > o.Limits.Total {
		o.total.Add(-1)
		return nil, o.refuse(via, to, full("since this server started"))
	}
	ctx, cancel := context.WithTimeout(ctx, o.Limits.Handshake)
	defer cancel()
	addresses, d := o.resolve(ctx, to, g)
	if d == nil {
		var c net.Conn
		if c, e.Address, d = o.dial(ctx, addresses, to.port); d == nil {
			return newConn(o, c, e, done), nil
		}
	}
	e.Allowed = d.Code == codeUnreachable.Name
	o.refused(e, d)
	return nil, d
}

// resolve returns the addresses of a host that may be dialled.
func (o *opener) resolve(ctx context.Context, to endpoint, g grant) ([]netip.Addr, *mcpsec.Denial) {
	answer := []netip.Addr{to.host.addr}
	if to.host.name != "" {
		var err error
		if answer, err = o.Resolve(ctx, to.host.name); err != nil {
			return nil, codeUnreachable.Deny(to.host.name + " could not be resolved").Because(err)
		}
	} else {
		g.private = true // listed as it is written
	}
	if len(answer) == 0 {
		return nil, codeUnreachable.Deny(to.host.name + " has no address")
	}
	own, err := o.own()
	if err != nil {
		return nil, codeUnreachable.Deny("this host cannot tell its own addresses").Because(err)
	}
	answer = answer[:min(len(answer), maxAnswer)]
	good, worst := g.reachable(answer, own)
	if len(good) == 0 {
		return nil, codeAddress.Deny(to.host.String() + " leads to no address that may be reached").
			Because(fmt.Errorf("%.4v: %s", answer, worst))
	}
	return good[:min(len(good), maxDials)], nil
}

// dial tries the addresses in turn, each with its share of the time that is left.
func (o *opener) dial(ctx context.Context, addresses []netip.Addr, port uint16) (net.Conn, netip.AddrPort, *mcpsec.Denial) {
	var failure error
	for i, a := range addresses {
		to := netip.AddrPortFrom(a, port)
		share, cancel := ctx, context.CancelFunc(func() {})
		if until, ok := ctx.Deadline(); ok {
			share, cancel = context.WithTimeout(ctx, time.Until(until)/time.Duration(len(addresses)-i))
		}
		c, err := o.Dial(share, to)
		cancel()
		if err == nil {
			return c, to, nil
		}
		failure = err
	}
	return nil, netip.AddrPort{}, codeUnreachable.Deny("the host could not be reached").Because(failure)
}
