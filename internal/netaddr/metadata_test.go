package netaddr

import (
	"net/netip"
	"testing"
)

func TestMetadataOfOtherClouds(t *testing.T) {
	t.Parallel()
	for cloud, text := range map[string]string{"Oracle": "fd00:c1::a9fe:a9fe", "Scaleway": "fd00:42::42", "Akamai": "fd00:a9fe:a9fe::1"} {
		if got := Classify(netip.MustParseAddr(text)); got != Never {
			t.Errorf("%s: %s is %q", cloud, text, got)
		}
	}
}
