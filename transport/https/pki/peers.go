package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// all is several judges of whom each must accept.
type all []Peers

// All returns the Peers that accept what all of the given ones do. There must be one.
func All(peers ...Peers) Peers { return all(peers) }

// Accept implements [Peers].
func (a all) Accept(chain []*x509.Certificate) error {
	if len(a) == 0 {
		return errors.New("pki: All: there is nobody to judge the certificate")
	}
	for _, p := range a {
		if err := p.Accept(chain); err != nil {
			return err
		}
	}
	return nil
}

// Watch implements [Peers].
func (a all) Watch(ctx context.Context, changed func(), fault func(error)) error {
	var group sync.WaitGroup
	for _, p := range a {
		group.Go(func() {
			if err := p.Watch(ctx, changed, fault); err != nil && ctx.Err() == nil {
				fault(err) // it has given up before its time
			}
		})
	}
	<-ctx.Done()
	group.Wait()
	return ctx.Err()
}

// names is an allow-list.
type names []pattern

// A pattern is one line of an allow-list.
type pattern struct {
	name     name
	segments []string // of a SPIFFE ID with stars: trust domain and path
}

// Names returns Peers by name. A certificate is known by one name, the same as in the
// record and for policies: its SPIFFE ID, or else its first URI, DNS name, e-mail address
// or IP address, whichever of these kinds comes first. That name must match one of:
//
//	spiffe://example.org/ns/prod/agent   this SPIFFE ID
//	spiffe://example.org/ns/*/agent      a star is one whole segment of the path
//	spiffe://example.org/ns/prod/**      two stars, at the end only: one segment or more
//	dns:agent.example.org                this DNS name
//	dns:*.example.org                    a star, at the start only: one whole label
//	email:agent@example.org              this address; only the domain's case is ignored
//	uri:urn:uuid:2b1f…                   this URI, byte for byte
//	ip:192.0.2.7                         this IP address
//
// The trust domain has no stars. There is no pattern for everybody: that is no Peers at all.
func Names(patterns ...string) (Peers, error) {
	if len(patterns) == 0 {
		return nil, errors.New("pki: Names: no name is given: nobody could connect")
	}
	list := make(names, 0, len(patterns))
	for _, text := range patterns {
		p, err := parsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("pki: Names: %.100q: %w", text, err)
		}
		list = append(list, p)
	}
	return list, nil
}

func parsePattern(text string) (pattern, error) {
	if strings.HasPrefix(text, "spiffe://") {
		return parseSPIFFE(text)
	}
	scheme, rest, _ := strings.Cut(text, ":")
	n := name{kind(scheme), rest}
	if rest == "" {
		return pattern{}, errors.New("expected spiffe://…, dns:…, email:…, uri:… or ip:…")
	}
	switch n.kind {
	case kindURI:
		if strings.HasPrefix(strings.ToLower(rest), "spiffe:") {
			return pattern{}, errors.New("a SPIFFE ID is written without uri: before it")
		}
	case kindDNS:
		n.text = strings.ToLower(rest)
		host, star := strings.CutPrefix(n.text, "*.")
		if strings.Contains(host, "*") || star && !strings.Contains(host, ".") {
			return pattern{}, errors.New("a star stands for the first label, with two labels or more after it")
		}
	case kindEmail:
		if strings.Contains(rest, "*") || !strings.Contains(rest, "@") {
			return pattern{}, errors.New("expected one whole address")
		}
	case kindIP:
		ip, err := netip.ParseAddr(rest)
		if err != nil {
			return pattern{}, err
		}
		n.text = ip.Unmap().String()
	case kindSPIFFE:
		return pattern{}, errors.New("a SPIFFE ID begins with spiffe://")
	default:
		return pattern{}, errors.New("expected spiffe://…, dns:…, email:…, uri:… or ip:…")
	}
	return pattern{name: n}, nil
}

func parseSPIFFE(text string) (pattern, error) {
	if err := checkSPIFFE(strings.ReplaceAll(text, "*", "x")); err != nil {
		return pattern{}, err
	}
	p := pattern{name: name{kindSPIFFE, text}}
	if !strings.Contains(text, "*") {
		return p, nil
	}
	p.segments = strings.Split(strings.TrimPrefix(text, "spiffe://"), "/")
	for i, s := range p.segments {
		switch {
		case !strings.Contains(s, "*"):
		case i == 0:
			return pattern{}, errors.New("the trust domain has a star")
		case s == "*", s == "**" && i == len(p.segments)-1:
		default:
			return pattern{}, errors.New("a star stands for one whole segment, two stars only at the end")
		}
	}
	return p, nil
}

func (p pattern) matches(n name) bool {
	if p.name.kind != n.kind {
		return false
	}
	switch n.kind {
	case kindSPIFFE:
		return p.name.text == n.text || p.segments != nil && matchSegments(p.segments, strings.Split(strings.TrimPrefix(n.text, "spiffe://"), "/"))
	case kindDNS:
		own := strings.ToLower(n.text)
		if suffix, ok := strings.CutPrefix(p.name.text, "*."); ok {
			label, rest, found := strings.Cut(own, ".")
			return found && label != "" && label != "*" && rest == suffix
		}
		return p.name.text == own
	case kindEmail:
		a, b := strings.LastIndexByte(p.name.text, '@'), strings.LastIndexByte(n.text, '@')
		return b >= 0 && p.name.text[:a] == n.text[:b] && strings.EqualFold(p.name.text[a:], n.text[b:])
	default:
		return p.name.text == n.text
	}
}

// matchSegments matches the trust domain and the segments of a path.
func matchSegments(pattern, own []string) bool {
	for i, s := range pattern {
		switch {
		case i >= len(own):
			return false
		case s == "**":
			return true
		case s != "*" && s != own[i]:
			return false
		}
	}
	return len(own) == len(pattern)
}

// Accept implements [Peers].
func (l names) Accept(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("pki: there is no certificate to judge")
	}
	n, err := nameOf(chain[0])
	if err != nil {
		return err
	}
	for _, p := range l {
		if p.matches(n) {
			return nil
		}
	}
	return fmt.Errorf("pki: %.200q is not among the names that may connect", n)
}

// Watch implements [Peers]: an allow-list never changes.
func (names) Watch(ctx context.Context, _ func(), _ func(error)) error {
	<-ctx.Done()
	return ctx.Err()
}
