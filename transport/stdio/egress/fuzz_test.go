package egress

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

// What is written in two ways is one host, and nothing that is read can be read otherwise.
func FuzzParseEndpoint(f *testing.F) {
	f.Add("\x86:1") // no UTF-8
	for _, s := range []string{"allowed.test:443", "[::1]:80", "bücher.test:1", "0x7f.1:80", "a@b:1", "127.1:1", "xn--a:2", "[::ffff:1.2.3.4]:5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseEndpoint(s, 0)
		if err != nil {
			return
		}
		if e.port == 0 || (e.host.name == "") == !e.host.addr.IsValid() {
			t.Fatalf("%q: %+v", s, e)
		}
		again, err := parseEndpoint(e.String(), 0)
		if err != nil || again != e {
			t.Errorf("%q: %q is read as %+v, %v", s, e, again, err)
		}
		if _, err := netip.ParseAddr(e.host.name); err == nil {
			t.Errorf("%q is an address and a name", s)
		}
		if strings.ContainsAny(e.host.name, "\r\n \t@/?#%:[]\x00") || strings.ToLower(e.host.name) != e.host.name {
			t.Errorf("%q: name %q", s, e.host.name)
		}
	})
}

func FuzzParseRule(f *testing.F) {
	f.Add("\xd00") // no UTF-8
	for _, s := range []string{"allowed.test", "*.wild.test:80 tcp", "10.0.0.5:80", "127.0.0.1:1 host private", "*.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(p.Rules()...)
		if err != nil || len(p.Rules()) != 1 || again.Rules()[0] != p.Rules()[0] {
			t.Errorf("%q: %q %v", s, p.Rules(), err)
		}
		if p.Allows("169.254.169.254", p.Ports()[0]) {
			t.Errorf("%q permits the metadata service", s)
		}
	})
}

func FuzzReadSOCKS(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x03\x0callowed.test\x01\xbb"))
	f.Add([]byte("\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"))
	f.Add([]byte("\x05\x03\x00\x04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		to, reply, d := readSOCKS(bytes.NewReader(b))
		if (d == nil) != (reply == 0) {
			t.Errorf("reply %d with %v", reply, d)
		}
		if d == nil && to.host == (host{}) {
			t.Errorf("%x: nobody is meant", b)
		}
	})
}
