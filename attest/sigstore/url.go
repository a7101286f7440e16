package sigstore

import (
	"fmt"
	"net/netip"
	"net/url"
)

// checkURL refuses addresses under which somebody on the way could answer instead.
func checkURL(what, address string) error {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return fmt.Errorf("%s: no URL", what)
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s: not the plain URL of a service", what)
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("%s: the URL must be https", what)
	}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
