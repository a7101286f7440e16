package egress

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/netaddr"
)

// Made-up addresses are of the range for benchmarks (RFC 2544), which nobody routes.
var madeUp = netip.MustParsePrefix("198.18.0.0/15")

// interfaces are those of the host: a connection to one of their addresses is one to the
// host itself. What the kernel says is good for a second.
type interfaces struct {
	mu    sync.Mutex
	known []netip.Addr
	asked time.Time
}

func (i *interfaces) addresses() ([]netip.Addr, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.asked.IsZero() && time.Since(i.asked) < time.Second {
		return i.known, nil
	}
	asked := time.Now()
	known, err := ownAddresses()
	if err == nil {
		i.known, i.asked = known, asked
	}
	return known, err
}

func ownAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this host: %w", err)
	}
	own := make([]netip.Addr, 0, len(all))
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap().WithZone(""))
		}
	}
	return own, nil
}

// reachable returns those addresses that the grant permits, and what the others are.
func (g grant) reachable(answer, own []netip.Addr) (good []netip.Addr, worst netaddr.Class) {
	for _, a := range answer {
		a = a.Unmap()
		c := netaddr.Classify(a)
		if c < netaddr.Never && embeds(a, own) {
			c = netaddr.Loopback
		}
		if c == netaddr.Public || c == netaddr.Private && g.private || c == netaddr.Loopback && g.own {
			good = append(good, a)
		} else {
			worst = max(worst, c)
		}
	}
	return good, worst
}

// embeds reports whether an address is one of the host's, or carries one.
func embeds(a netip.Addr, own []netip.Addr) bool {
	if slices.Contains(own, a) {
		return true
	}
	inner, ok := netaddr.Embedded(a)
	return ok && slices.Contains(own, inner)
}
