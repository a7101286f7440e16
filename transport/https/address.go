package https

import (
	"fmt"
	"net/netip"
)

// never are addresses that nobody serves MCP at, and at which a host's own secrets may be
// had: metadata services above all.
var never = prefixes(
	"0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
	"::/128", "fe80::/10", "ff00::/8", "fd00:ec2::/32", "fec0::/10",
)

// inside are addresses of this host and of networks that are not the Internet (RFC 6890).
var inside = prefixes(
	"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
	"192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"::1/128", "fc00::/7", "100::/64", "2001:db8::/32", "5f00::/16",
)

// embedding are IPv6 prefixes that lead to the IPv4 address at an offset, in bytes.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64, local use, RFC 8215
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4, RFC 3056
	{netip.MustParsePrefix("::/96"), 12},          // IPv4-compatible, RFC 4291
}

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// judgeAddress returns why an address and port is not to be connected to, or nil.
func judgeAddress(address string, private bool) error {
	both, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("https: %.100q is no address", address)
	}
	ip := both.Addr().Unmap().WithZone("")
	if within(ip, never) {
		return fmt.Errorf("https: %v is an address that no server has", ip)
	}
	if !private && within(ip, inside) {
		return fmt.Errorf("https: the name leads to the private address %v: write that into the URL, or set ClientConfig.Private", ip)
	}
	if ip == netip.IPv6Loopback() {
		return nil
	}
	for _, e := range embedding {
		if !e.prefix.Contains(ip) {
			continue
		}
		b := ip.As16()
		return judgeAddress(netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[e.at:e.at+4])), both.Port()).String(), private)
	}
	return nil
}

func within(ip netip.Addr, all []netip.Prefix) bool {
	for _, p := range all {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
