package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// A host is a domain name in canonical form, or an address. It is the zero value if it is
// neither.
type host struct {
	name string
	addr netip.Addr
}

func (h host) String() string {
	if h.addr.IsValid() {
		return h.addr.String()
	}
	return h.name
}

// lookup is the form in which names are looked up. Hyphens in the third and fourth place
// are common in names of content networks.
var lookup = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(true))

// parseEndpoint reads "host", "host:port", "[address]" or "[address]:port". A missing port
// is the one given; if that is 0, it is an error.
func parseEndpoint(s string, port uint16) (endpoint, error) {
	name, digits, given := s, "", false
	if end := strings.LastIndexByte(s, ']'); end >= 0 || strings.Count(s, ":") == 1 {
		if colon := strings.LastIndexByte(s, ':'); colon > end {
			name, digits, given = s[:colon], s[colon+1:], true
		}
	}
	switch {
	case given:
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != digits {
			return endpoint{}, errors.New("the port is not a number from 1 to 65535")
		}
		port = uint16(n)
	case port == 0:
		return endpoint{}, errors.New("the port is missing")
	}
	h, err := parseHost(name)
	return endpoint{h, port}, err
}

// parseHost reads a name or an address in the one form that everybody reads alike: forms
// that only some programs take for an address (0x7f.1, 2130706433, 0177.0.0.1) are errors.
func parseHost(s string) (host, error) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() {
			return host{}, errors.New("what stands in brackets is not an IPv6 address")
		}
		s = inner
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" {
			return host{}, errors.New("an address with a zone means something on one host only")
		}
		return host{addr: addr.Unmap()}, nil
	}
	name, err := canonical(s)
	return host{name: name}, err
}

// canonical returns a domain name in ASCII and lower case, without a final dot.
func canonical(s string) (string, error) {
	if len(s) > 4*254 { // of UTF-8
		return "", errors.New("the name is too long")
	}
	name := s
	if strings.Contains(strings.ToLower(s), "xn--") || strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 }) {
		var err error
		if !utf8.ValidString(s) {
			return "", errors.New("the name is not valid UTF-8")
		}
		if name, err = lookup.ToASCII(s); err != nil {
			return "", errors.New("the name is not valid by IDNA 2008")
		}
		if again, err := lookup.ToASCII(name); err != nil || again != name {
			return "", errors.New("the name has no one form by IDNA 2008")
		}
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > 253 {
		return "", errors.New("the name is empty or longer than 253 bytes")
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return "", err
		}
		last = label
	}
	if numeric(last) {
		return "", errors.New("the name ends in a number, which some programs take for an address")
	}
	return name, nil
}

func checkLabel(label string) error {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return errors.New("a label of the name is empty, longer than 63 bytes, or begins or ends with a hyphen")
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return fmt.Errorf("the name has the character %q", c)
		}
	}
	return nil
}

// numeric reports whether a program could take a last label for a part of an IPv4 address,
// as the URL standard does: decimal, octal or hexadecimal.
func numeric(label string) bool {
	hex, isHex := strings.CutPrefix(label, "0x")
	digits := "0123456789"
	if isHex {
		label, digits = hex, digits+"abcdef"
	}
	return strings.Trim(label, digits) == ""
}
