//go:build linux

package learn

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/transport/stdio/egress"
)

// What is learned must be a profile that can be used: the C library connects to port 0 to
// sort addresses, and what a name server says can hold anything.
func TestHostsThatNoRuleCanName(t *testing.T) {
	t.Parallel()
	s := newSeen()
	s.connect(netip.MustParseAddrPort("192.0.2.1:0"), "api.example.com")
	s.connect(netip.MustParseAddrPort("8.8.8.8:443"), "api.example.com")
	s.connect(netip.MustParseAddrPort("169.254.169.254:80"), "")
	s.connect(netip.MustParseAddrPort("8.8.4.4:443"), "evil host tcp")
	p, remarks := s.Profile()
	if _, err := egress.Parse(p.Egress...); err != nil {
		t.Errorf("%q: %v", p.Egress, err)
	}
	if len(p.Egress) != 1 {
		t.Errorf("%q", p.Egress)
	}
	if all := strings.Join(remarks, "\n"); !strings.Contains(all, "169.254.169.254") || !strings.Contains(all, "evil") {
		t.Errorf("remarks %q", remarks)
	}
}
