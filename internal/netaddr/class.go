package netaddr

import (
	"net/netip"
	"slices"
)

// A Class says what an address leads to. Higher is worse.
type Class int

// The classes.
const (
	Public   Class = iota // the Internet
	Private               // a network that is not the Internet
	Loopback              // this host
	Never                 // no host that anybody serves: metadata services, link-local, multicast, reserved
)

// String returns the class in words that follow "an address that is".
func (c Class) String() string {
	return [...]string{"public", "private", "of this host", "of a metadata service, link-local, multicast or reserved"}[c]
}

// metadata are services that hand out credentials, beyond those that are link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"),    // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),      // Azure
	netip.MustParseAddr("192.0.0.192"),        // Oracle Cloud
	netip.MustParseAddr("fd00:ec2::254"),      // AWS: instance metadata,
	netip.MustParseAddr("fd00:ec2::23"),       // pod identity,
	netip.MustParseAddr("fd00:ec2::253"),      // resolver
	netip.MustParseAddr("fd20:ce::254"),       // Google Cloud
	netip.MustParseAddr("fd00:c1::a9fe:a9fe"), // Oracle Cloud
	netip.MustParseAddr("fd00:42::42"),        // Scaleway
	netip.MustParseAddr("fd00:a9fe:a9fe::1"),  // Akamai
	netip.MustParseAddr("fd00:100::100:200"),  // Alibaba Cloud
}

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

// Classify says what an address is by itself; it knows no names and no interfaces. An IPv6 address that carries an IPv4 one is
// what that one is, or worse.
func Classify(a netip.Addr) Class {
	a = a.Unmap()
	switch {
	case !a.IsValid(), a.Zone() != "", a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(),
		slices.Contains(metadata, a), slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(a) }):
		return Never
	case a.IsLoopback():
		return Loopback
	case a.IsPrivate(), shared.Contains(a), siteOld.Contains(a):
		return Private
	case a.Is4():
		return Public
	}
	b := a.As16()
	if nat64.Contains(a) {
		return Classify(netip.AddrFrom4([4]byte(b[12:])))
	}
	if !global.Contains(a) {
		return Never
	}
	if slices.Contains(isatap, [4]byte(b[8:])) {
		return max(Public, Classify(netip.AddrFrom4([4]byte(b[12:]))))
	}
	return Public
}

// Embedded returns the IPv4 address that an IPv6 address of the public kind carries, by
// NAT64 or ISATAP.
func Embedded(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	if a.Is4() || !nat64.Contains(a) && !slices.Contains(isatap, [4]byte(b[8:])) {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[12:])), true
}
