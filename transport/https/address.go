package https

import (
	"fmt"
	"net/netip"

	"github.com/mcpsec/mcpsec-go/internal/netaddr"
)

// judgeAddress returns why an address and port is not to be connected to, or nil.
func judgeAddress(address string, private bool) error {
	both, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("https: %.100q is no address", address)
	}
	switch ip := both.Addr().Unmap(); netaddr.Classify(ip) {
	case netaddr.Public:
	case netaddr.Private, netaddr.Loopback:
		if !private {
			return fmt.Errorf("https: the name leads to the private address %v: write that into the URL, or set ClientConfig.Private", ip)
		}
	default:
		return fmt.Errorf("https: %v is an address that no server has", ip)
	}
	return nil
}
