package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/internal/netaddr"
)

// maxRules bounds a policy; a longer list is a mistake or a wildcard in disguise.
const maxRules = 1024

// A Policy is a list of hosts that may be reached; everything else is refused. It does not
// change once it is made and may be used by many at once. The zero value refuses all.
type Policy struct {
	exact map[endpoint]grant // names and addresses
	below map[endpoint]grant // "*.name", by the name
	ports []uint16
	rules []string
}

// An endpoint is a host and a port.
type endpoint struct {
	host host
	port uint16
}

// String returns "host:port".
func (e endpoint) String() string {
	if e.host == (host{}) {
		return ""
	}
	if e.host.addr.IsValid() {
		return netip.AddrPortFrom(e.host.addr, e.port).String()
	}
	return fmt.Sprintf("%s:%d", e.host.name, e.port)
}

// A grant is what a rule permits beyond a connection to a public address that speaks TLS
// or HTTP under the rule's name.
type grant struct {
	private bool // addresses of private networks
	own     bool // this host itself
	raw     bool // any protocol: nothing is looked into
}

// Parse makes a policy of rules. A rule is a host, an optional port and optional words:
//
//	api.example.com               port 443
//	api.example.com:8443
//	*.example.com                 any name below example.com, at any depth; never example.com
//	10.0.0.5:443, [2001:db8::5]   an address, for those who use it as it is written
//	db.example.com:5432 tcp       any protocol, no name is looked for in it
//	wiki.example.com private      the name may lead to an address of a private network
//	localhost:8080 host           the name or address may be this host's own
//
// Names are compared in their ASCII form (IDNA 2008 as in UTS 46), without regard to case
// or a final dot. Of several rules for one port the most specific counts, alone. Addresses of
// cloud metadata services, link-local, multicast and reserved ones cannot be permitted.
func Parse(rules ...string) (*Policy, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("egress: %d rules, at most %d: use a wildcard, or a proxy of your own", len(rules), maxRules)
	}
	p := &Policy{exact: make(map[endpoint]grant), below: make(map[endpoint]grant)}
	for _, rule := range rules {
		if err := p.add(rule); err != nil {
			return nil, fmt.Errorf("egress: rule %.80q: %w", rule, err)
		}
	}
	return p, nil
}

func (p *Policy) add(rule string) error {
	words := strings.Fields(rule)
	if len(words) == 0 {
		return errors.New("is empty: write a host such as api.example.com:443")
	}
	g, err := parseGrant(words[1:])
	if err != nil {
		return err
	}
	if strings.ContainsAny(words[0], "/@?#") {
		return errors.New("is not a host: write api.example.com:443, without scheme, user or path")
	}
	text, wildcard := strings.CutPrefix(words[0], "*.")
	to, err := parseEndpoint(text, 443)
	if err != nil {
		return err
	}
	hosts := p.exact
	if wildcard {
		hosts = p.below
	}
	switch class := netaddr.Classify(to.host.addr); {
	case wildcard && to.host.addr.IsValid():
		return errors.New("an address has no names below it")
	case wildcard && !strings.Contains(to.host.name, "."):
		return errors.New("a wildcard over a whole top-level domain: name at least two labels, *.example.com")
	case !to.host.addr.IsValid():
	case class == netaddr.Never:
		return errors.New("this address cannot be permitted: it is a metadata service's, link-local, multicast or reserved")
	case class == netaddr.Loopback && !g.own:
		return errors.New("this is the host's own address: if you mean that, add the word host")
	}
	if _, twice := hosts[to]; twice {
		return errors.New("the same host and port are listed twice")
	}
	hosts[to] = g
	if at, found := slices.BinarySearch(p.ports, to.port); !found {
		p.ports = slices.Insert(p.ports, at, to.port)
	}
	p.rules = append(p.rules, strings.Join(append([]string{prefix(wildcard) + to.String()}, words[1:]...), " "))
	return nil
}

func prefix(wildcard bool) string {
	if wildcard {
		return "*."
	}
	return ""
}

func parseGrant(words []string) (g grant, err error) {
	for _, word := range words {
		var flag *bool
		switch word {
		case "private":
			flag = &g.private
		case "host":
			flag = &g.own
		case "tcp":
			flag = &g.raw
		default:
			return g, fmt.Errorf("unknown word %q: use private, host or tcp", word)
		}
		if *flag {
			return g, fmt.Errorf("the word %s stands there twice", word)
		}
		*flag = true
	}
	return g, nil
}

// Rules returns the rules in canonical form, in the order they were given.
func (p *Policy) Rules() []string { return slices.Clone(p.rules) }

// Ports returns the ports that rules name, sorted: those on which transparent connections
// are to be accepted.
func (p *Policy) Ports() []uint16 { return slices.Clone(p.ports) }

// Allows reports whether a program may ask for the host and port. The host may be written
// in any form that a program may use. Where the name leads is looked at when it is used.
func (p *Policy) Allows(hostname string, port uint16) bool {
	h, err := parseHost(hostname)
	if err != nil {
		return false
	}
	_, ok := p.grant(endpoint{h, port})
	return ok
}

// grant returns the most specific rule's.
func (p *Policy) grant(to endpoint) (grant, bool) {
	if g, ok := p.exact[to]; ok {
		return g, true
	}
	return p.wildcard(to.host.name, func(above string) (grant, bool) {
		g, ok := p.below[endpoint{host{name: above}, to.port}]
		return g, ok
	})
}

// listed reports whether some rule names the host, at whatever port.
func (p *Policy) listed(name string) bool {
	for _, port := range p.ports {
		if _, ok := p.grant(endpoint{host{name: name}, port}); ok {
			return true
		}
	}
	return false
}

// wildcard asks for the names above name, the longest first.
func (p *Policy) wildcard(name string, find func(above string) (grant, bool)) (grant, bool) {
	for {
		_, above, more := strings.Cut(name, ".")
		if !more {
			return grant{}, false
		}
		if g, ok := find(above); ok {
			return g, true
		}
		name = above
	}
}
