package egress

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A class says who may have an address dialled.
type class int

const (
	public   class = iota
	private        // with the word private
	loopback       // this host: with the word host
	never          // nobody
)

func (c class) String() string {
	return [...]string{"public", "private", "of this host", "of a metadata service, link-local, multicast or reserved"}[c]
}

// metadata are services that hand out credentials, beyond those that are link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
	netip.MustParseAddr("fd00:ec2::254"),   // AWS: instance metadata,
	netip.MustParseAddr("fd00:ec2::23"),    // pod identity,
	netip.MustParseAddr("fd00:ec2::253"),   // resolver
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
}

// Made-up addresses are of the range for benchmarks (RFC 2544), which nobody routes.
var madeUp = netip.MustParsePrefix("198.18.0.0/15")

// reserved are the ranges of the IANA registries of special purpose that lead to no host of
// anybody's, or to one that another address decides about.
var reserved = prefixes(
	"0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", // Teredo and others, documentation, 6to4
)

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96")  // RFC 6052
	global  = netip.MustParsePrefix("2000::/3")      // all that IANA has given out
	shared  = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	siteOld = netip.MustParsePrefix("fec0::/10")     // site-local, deprecated
	// isatap are the interface identifiers that an IPv4 address follows (RFC 5214).
	isatap = [][4]byte{{0x00, 0x00, 0x5e, 0xfe}, {0x02, 0x00, 0x5e, 0xfe}}
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

// classify says what an address is by itself. An IPv6 address that carries an IPv4 one is
// what that one is, or worse.
func classify(a netip.Addr) class {
	a = a.Unmap()
	switch {
	case !a.IsValid(), a.Zone() != "", a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(),
		slices.Contains(metadata, a), slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(a) }):
		return never
	case a.IsLoopback():
		return loopback
	case a.IsPrivate(), shared.Contains(a), siteOld.Contains(a):
		return private
	case a.Is4():
		return public
	}
	b := a.As16()
	if nat64.Contains(a) {
		return classify(netip.AddrFrom4([4]byte(b[12:])))
	}
	if !global.Contains(a) {
		return never
	}
	if slices.Contains(isatap, [4]byte(b[8:])) {
		return max(public, classify(netip.AddrFrom4([4]byte(b[12:]))))
	}
	return public
}

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
func (g grant) reachable(answer, own []netip.Addr) (good []netip.Addr, worst class) {
	for _, a := range answer {
		a = a.Unmap()
		c := classify(a)
		if c < never && embeds(a, own) {
			c = loopback
		}
		if c == public || c == private && g.private || c == loopback && g.own {
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
	if a.Is4() {
		return false
	}
	b := a.As16()
	inner := netip.AddrFrom4([4]byte(b[12:]))
	return (nat64.Contains(a) || slices.Contains(isatap, [4]byte(b[8:]))) && slices.Contains(own, inner)
}
