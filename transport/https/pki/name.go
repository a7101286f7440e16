package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A kind says which subject alternative name identifies a certificate.
type kind string

const (
	kindSPIFFE kind = "spiffe"
	kindURI    kind = "uri"
	kindDNS    kind = "dns"
	kindEmail  kind = "email"
	kindIP     kind = "ip"
)

// A name is what a certificate's owner is known by: here, in the record, and in policies.
type name struct {
	kind kind
	text string
}

// String returns the name as [Names] takes it.
func (n name) String() string {
	if n.kind == kindSPIFFE {
		return n.text
	}
	return string(n.kind) + ":" + n.text
}

// nameOf returns the name that a certificate's owner is known by, as the principal is: the
// SPIFFE ID, or else the first URI, DNS name, e-mail address or IP address. The common name
// is none (RFC 9525). A SPIFFE ID must be well formed and the only URI (X509-SVID, section
// 2), so that nobody has two.
func nameOf(c *x509.Certificate) (name, error) {
	for _, u := range c.URIs {
		if !strings.EqualFold(u.Scheme, "spiffe") {
			continue
		}
		if len(c.URIs) > 1 {
			return name{}, errors.New("pki: a certificate with a SPIFFE ID has other URIs besides")
		}
		id := u.String()
		if err := checkSPIFFE(id); err != nil {
			return name{}, err
		}
		return name{kindSPIFFE, id}, nil
	}
	switch {
	case len(c.URIs) > 0:
		return name{kindURI, c.URIs[0].String()}, nil
	case len(c.DNSNames) > 0:
		return name{kindDNS, c.DNSNames[0]}, nil
	case len(c.EmailAddresses) > 0:
		return name{kindEmail, c.EmailAddresses[0]}, nil
	case len(c.IPAddresses) > 0:
		return name{kindIP, c.IPAddresses[0].String()}, nil
	}
	return name{}, errors.New("pki: the certificate has no subject alternative name, and a common name is none")
}

// maxSPIFFE bounds a SPIFFE ID, in bytes (SPIFFE-ID, section 2.3).
const maxSPIFFE = 2048

var spiffeID = regexp.MustCompile(`^spiffe://[a-z0-9._-]{1,255}(/[a-zA-Z0-9._-]+)*$`)

// checkSPIFFE checks a SPIFFE ID against the standard's alphabet. Dots that climb have no
// place in it.
func checkSPIFFE(id string) error {
	if len(id) > maxSPIFFE || !spiffeID.MatchString(id) {
		return fmt.Errorf("pki: %.100q is no SPIFFE ID", id)
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(id, "spiffe://"), "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("pki: %.100q is no SPIFFE ID: its path has dots that climb", id)
		}
	}
	return nil
}
