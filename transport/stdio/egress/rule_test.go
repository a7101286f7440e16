package egress

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// probe 72: exact semantics of names.
func TestNamesAreComparedExactly(t *testing.T) {
	t.Parallel()
	p, err := Parse("allowed.test", "*.wild.test", "bücher.test:8443", "*.deep.wild.test:80", "[2606:2800::5]", "93.184.216.40:443", "a_b.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host string
		port uint16
		want bool
	}{
		{"allowed.test", 443, true},
		{"ALLOWED.Test", 443, true},
		{"allowed.test.", 443, true},
		{"allowed.test..", 443, false},
		{".allowed.test", 443, false},
		{"allowed.test", 80, false},
		{"allowed.test.evil", 443, false},
		{"xallowed.test", 443, false},
		{"x.allowed.test", 443, false},
		{"allowed.test ", 443, false},
		{"allowed.test\x00.evil", 443, false},
		{"allowed\u3002test", 443, true}, // an ideographic full stop is a dot (UTS 46)
		{"\uff41llowed.test", 443, true}, // fullwidth
		{"a\u00adllowed.test", 443, true},
		{"\u0430llowed.test", 443, false}, // Cyrillic a
		{"a.wild.test", 443, true},
		{"c.b.a.wild.test", 443, true},
		{"A.WILD.TEST.", 443, true},
		{"wild.test", 443, false},
		{"xwild.test", 443, false},
		{".wild.test", 443, false},
		{"a.wild.test.evil", 443, false},
		{"a.deep.wild.test", 80, true},
		{"a.deep.wild.test", 443, true},
		{"a.wild.test", 80, false},
		{"bücher.test", 8443, true},
		{"BÜCHER.test", 8443, true},
		{"xn--bcher-kva.test", 8443, true},
		{"XN--BCHER-KVA.test", 8443, true},
		{"xn--a.wild.test", 443, false}, // no valid Punycode
		{"a_b.test", 443, true},
		{"r1---sn-x.wild.test", 443, true},
		{"93.184.216.40", 443, true},
		{"::ffff:93.184.216.40", 443, true},
		{"[::ffff:93.184.216.40]", 443, true},
		{"2606:2800::5", 443, true},
		{"2606:2800:0:0::5", 443, true},
		{"2606:2800::5%eth0", 443, false},
		{"93.184.216.040", 443, false},
		{"0x5d.184.216.40", 443, false},
		{"1572395048", 443, false},
		{"0x5db8d828", 443, false},
		{"93.184.55336", 443, false},
		{"", 443, false},
	} {
		if got := p.Allows(c.host, c.port); got != c.want {
			t.Errorf("%q port %d: %v", c.host, c.port, got)
		}
	}
	if got := p.Ports(); !slices.Equal(got, []uint16{80, 443, 8443}) {
		t.Errorf("ports %v", got)
	}
	if new(Policy).Allows("allowed.test", 443) {
		t.Error("the zero policy allows something")
	}
}

func TestRulesThatAreMistakes(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"":                                 "empty",
		"https://allowed.test":             "without scheme",
		"user@allowed.test":                "without scheme",
		"allowed.test/path":                "without scheme",
		"allowed.test:0":                   "port",
		"allowed.test:":                    "port",
		"allowed.test:65536":               "port",
		"allowed.test:0443":                "port",
		"allowed.test:+443":                "port",
		"allowed.test:https":               "port",
		"allowed.test:443 udp":             "unknown word",
		"allowed.test tcp host tcp":        "twice",
		"*":                                "character '*'",
		"*.test":                           "top-level",
		"*.":                               "empty",
		"a.*.test":                         "character '*'",
		"*allowed.test":                    "character '*'",
		"**.allowed.test":                  "character '*'",
		"*.10.0.0.5":                       "no names below",
		"al lowed.test":                    "unknown word",
		"-a.test":                          "hyphen",
		"169.254.169.254:80":               "cannot be permitted",
		"[fd00:ec2::254]:80 private":       "cannot be permitted",
		"100.100.100.200 private":          "cannot be permitted",
		"0.0.0.0:80 host":                  "cannot be permitted",
		"[::ffff:169.254.169.254]:80":      "cannot be permitted",
		"[64:ff9b::a9fe:a9fe]:80":          "cannot be permitted",
		"224.0.0.1":                        "cannot be permitted",
		"198.18.0.1":                       "cannot be permitted",
		"127.0.0.1:8080":                   "word host",
		"[::1]:8080 private":               "word host",
		"127.1:80":                         "ends in a number",
		"0x7f000001":                       "ends in a number",
		"[fe80::1%eth0]:80":                "zone",
		"[10.0.0.5]:80":                    "brackets",
		"[::1":                             "brackets",
		strings.Repeat("a", 64) + ".test":  "63 bytes",
		strings.Repeat("a.", 130) + "test": "253",
	} {
		if _, err := Parse(rule); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "rule ") {
			t.Errorf("%q: %v, want it to say %q", rule, err, want)
		}
	}
	if _, err := Parse("allowed.test", "ALLOWED.test.:443 tcp"); err == nil {
		t.Error("a host that is listed twice is taken")
	}
	if _, err := Parse(make([]string, maxRules+1)...); err == nil {
		t.Error("too many rules are taken")
	}
}

func TestMostSpecificRuleCountsAlone(t *testing.T) {
	t.Parallel()
	p, err := Parse("*.wild.test private", "*.a.wild.test host", "x.a.wild.test tcp")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]grant{
		"b.wild.test": {private: true}, "y.a.wild.test": {own: true}, "z.y.a.wild.test": {own: true}, "x.a.wild.test": {raw: true},
	} {
		if g, ok := p.grant(endpoint{host{name: name}, 443}); !ok || g != want {
			t.Errorf("%s: %+v", name, g)
		}
	}
	if got, want := p.Rules(), []string{"*.wild.test:443 private", "*.a.wild.test:443 host", "x.a.wild.test:443 tcp"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	again, err := Parse(p.Rules()...)
	if err != nil || !slices.Equal(again.Rules(), p.Rules()) {
		t.Errorf("the canonical form is another policy: %v", err)
	}
}

func TestAddressesOfThisHost(t *testing.T) {
	t.Parallel()
	own := []netip.Addr{netip.MustParseAddr("93.184.216.99"), netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("2606:4700::99")}
	for text, want := range map[string]bool{
		"93.184.216.99": false, "::ffff:93.184.216.99": false, "64:ff9b::5db8:d863": false, "10.1.1.1": false,
		"2606:4700::99": false, "93.184.216.98": true, "10.1.1.2": true,
	} {
		good, _ := grant{private: true}.reachable([]netip.Addr{netip.MustParseAddr(text)}, own)
		if (len(good) == 1) != want {
			t.Errorf("%s may be dialled: %v", text, !want)
		}
	}
	if good, _ := (grant{own: true}).reachable(own, own); len(good) != 3 {
		t.Errorf("with the word host: %v", good)
	}
	if _, err := ownAddresses(); err != nil {
		t.Error(err)
	}
}
