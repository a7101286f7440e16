package fetch

import (
	"net/netip"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/netaddr"
)

func TestAddressesOfTheOwnNetworkAreNotPublic(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"127.0.0.1", "127.255.255.254", "::1", "0.0.0.0", "::", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
		"100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::1", "2001::1", "::ffff:0:127.0.0.1",
	} {
		if netaddr.Classify(netip.MustParseAddr(text)) == netaddr.Public {
			t.Errorf("%s is public", text)
		}
	}
	for _, text := range []string{"1.1.1.1", "8.8.8.8", "::ffff:8.8.8.8", "2606:4700:4700::1111", "172.32.0.1", "100.128.0.1"} {
		if netaddr.Classify(netip.MustParseAddr(text)) != netaddr.Public {
			t.Errorf("%s is not public", text)
		}
	}
}

func TestURLsThatAreNotAsked(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "http://a.example", "file:///etc/passwd", "gopher://a.example", "https:", "https:///x", "https:a.example", "//a.example",
		"https://user@a.example", "https://a.example?q", "https://a.example?", "https://a.example#f", "https://:443/", "https://a.example/\x7f",
	} {
		if CheckURL(text) == nil {
			t.Errorf("%q is asked", text)
		}
	}
	for text, host := range map[string]string{
		"https://a.example/x": "a.example:443", "https://a.example:8443": "a.example:8443", "https://[::1]/x": "[::1]:443",
	} {
		if err := CheckURL(text); err != nil || Host(text) != host {
			t.Errorf("%q: %v, host %s", text, err, Host(text))
		}
	}
}
