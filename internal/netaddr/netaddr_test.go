package netaddr

import "testing"

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		ip   string
		port uint16
	}{
		"203.0.113.7":               {"203.0.113.7", 0},
		"203.0.113.7:51234":         {"203.0.113.7", 51234},
		"[::ffff:203.0.113.7]:1":    {"203.0.113.7", 1},
		"[2001:db8::7%eth0\n]:443":  {"2001:db8::7", 443},
		"fe80::1%eth0":              {"fe80::1", 0},
		"":                          {"invalid IP", 0},
		"example.com:1":             {"invalid IP", 0},
		"203.0.113.7:99999":         {"invalid IP", 0},
		"203.0.113.7\r\nX-Other: 1": {"invalid IP", 0},
	} {
		if ip, port := Parse(text); ip.String() != want.ip || port != want.port {
			t.Errorf("%q: %v port %d, want %v", text, ip, port, want)
		}
	}
}
