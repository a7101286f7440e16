package loopnet

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
)

// Where the sockets of the host listen inside. All of 198.18.0.0/15, which is for
// measurements between networks (RFC 2544) and routed nowhere, is local there.
var (
	Proxy = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), egress.ProxyPort)
	DNS   = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 53}), 53)
)

// ResolvConf and NSSwitch are what libraries read to ask [DNS] for names.
const (
	ResolvConf = "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n"
	NSSwitch   = "passwd: files\ngroup: files\nhosts: files dns\n"
)

// MaxPorts bounds the ports on which made-up addresses are listened to.
const MaxPorts = 64

// Transparent is where connections to made-up addresses arrive.
func Transparent(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), port)
}

// Ports are the ports of made-up addresses to listen on: those of the hosts that may be
// reached, with those that every program tries, so that what is refused there is refused
// by name.
func Ports(reached []uint16) ([]uint16, error) {
	if slices.Contains(reached, Proxy.Port()) {
		return nil, fmt.Errorf("profile: egress: port %d inside is the proxy's", Proxy.Port())
	}
	ports := append(slices.Clone(reached), 80, 443)
	slices.Sort(ports)
	if ports = slices.Compact(ports); len(ports) > MaxPorts {
		return nil, fmt.Errorf("profile: egress to %d ports: at most %d", len(ports), MaxPorts)
	}
	return ports, nil
}
