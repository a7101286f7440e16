// Package netaddr reads the network addresses that the record holds.
package netaddr

import "net/netip"

// Parse reads an address with or without port. The zone of an IPv6 address means
// something on one host only and is dropped, and an IPv4 address that is written as
// IPv6 becomes what it is. The address is the zero value if the text holds none.
func Parse(s string) (ip netip.Addr, port uint16) {
	both, err := netip.ParseAddrPort(s)
	if err == nil {
		return both.Addr().Unmap().WithZone(""), both.Port()
	}
	ip, err = netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, 0
	}
	return ip.Unmap().WithZone(""), 0
}
