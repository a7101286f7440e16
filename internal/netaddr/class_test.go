package netaddr

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddressesByClass(t *testing.T) {
	t.Parallel()
	for want, addresses := range map[Class]string{
		Public: "93.184.216.34 8.8.8.8 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808",
		Private: `10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 fc00::1 fd12::1 fec0::1
			::ffff:10.0.0.1 64:ff9b::a00:1 2606:4700::5efe:a00:1 2606:4700::200:5efe:c0a8:101`,
		Loopback: "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2606:4700::5efe:7f00:1",
		Never: `0.0.0.0 0.1.2.3 255.255.255.255 240.0.0.1 224.0.0.1 169.254.169.254 169.254.170.2 169.254.0.1 :: ff02::1
			fe80::1 fe80::1%eth0 ::ffff:169.254.169.254 ::ffff:0.0.0.0 64:ff9b::a9fe:a9fe 64:ff9b:1::a00:1 2002:a9fe:a9fe::1
			2002:808:808::1 2001:0:808:808::1 2001::1 ::8.8.8.8 ::127.0.0.1 100.100.100.200 168.63.129.16 192.0.0.192
			fd00:ec2::254 fd20:ce::254 198.18.0.1 198.19.255.255 192.0.2.1 2001:db8::1 3fff::1 4000::1 100::1
			2606:4700::5efe:a9fe:a9fe 192.88.99.1`,
	} {
		for text := range strings.FieldsSeq(addresses) {
			if got := Classify(netip.MustParseAddr(text)); got != want {
				t.Errorf("%s is %q, want %q", text, got, want)
			}
		}
	}
	if Classify(netip.Addr{}) != Never {
		t.Error("no address at all may be dialled")
	}
}
