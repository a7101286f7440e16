package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const (
	maxCertFile = 1 << 20
	maxKeyFile  = 64 << 10
)

// A Pair is a certificate and its key from two files, and follows them: it is a [Source].
type Pair struct {
	live[tls.Certificate]
}

// Files reads a certificate with its chain, leaf first, and its private key, both in PEM.
// The key's file must be its owner's alone. Both are taken together or not at all, the first
// time and whenever they change: the key must be that of the certificate, each certificate
// must be signed by the next and be valid now, and the leaf must have a subject alternative
// name, no weak key, and serve for TLS. Until a new pair is in order, the one before it
// stays.
//
// If no new one comes, Watch says so in time: when three quarters of the certificate's life have
// passed, when nine tenths have, a week before the end if that is later, and at the end. The
// end is that of the certificate in the chain that ends first.
func Files(cert, key string) (*Pair, error) {
	return newPair(cert, key, time.Now)
}

func newPair(cert, key string, now func() time.Time) (*Pair, error) {
	p := &Pair{}
	p.clock = now
	p.read = func() (content, error) {
		chain, err := regular.ReadFile(cert, maxCertFile)
		if err != nil {
			return nil, fmt.Errorf("pki: Files: %w", err)
		}
		secret, err := regular.ReadSecret(key, maxKeyFile)
		if err != nil {
			return nil, fmt.Errorf("pki: Files: %w", err)
		}
		return content{chain, secret}, nil
	}
	p.parse = func(c content, _ *tls.Certificate) (*tls.Certificate, error) {
		next, chain, err := parsePair(c[0], c[1], now())
		if err != nil {
			return nil, fmt.Errorf("pki: Files: %s, %s: %w", cert, key, err)
		}
		p.terms = []term{chainTerm("Files: "+cert, chain)}
		return next, nil
	}
	if err := p.start(); err != nil {
		return nil, err
	}
	return p, nil
}

// Certificate implements [Source].
func (p *Pair) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.now.Load(), nil
}

// parsePair checks a certificate and its key, and returns its chain besides.
func parsePair(chain, key []byte, now time.Time) (*tls.Certificate, []*x509.Certificate, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, nil, err
	}
	certs := make([]*x509.Certificate, 0, len(pair.Certificate))
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, err
		}
		certs = append(certs, c)
	}
	if err := orderly(certs, now); err != nil {
		return nil, nil, err
	}
	pair.Leaf = certs[0]
	return &pair, certs, nil
}

// chainTerm returns how long an orderly chain is good.
func chainTerm(source string, chain []*x509.Certificate) term {
	leaf, first := chain[0], chain[0]
	for _, c := range chain {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	owner, _ := nameOf(leaf) // which it has: Suitable
	what := fmt.Sprintf("%s: the certificate of %.200q", source, owner)
	if first != leaf {
		what = fmt.Sprintf("%s: %.200q, which has issued the certificate of %.200q,", source, first.Subject, owner)
	}
	return term{what: what, until: first.NotAfter, ahead: certified(leaf.NotBefore, first.NotAfter), remedy: "put its successor there, with the key"}
}

// orderly checks a chain that is to be shown to others.
func orderly(chain []*x509.Certificate, now time.Time) error {
	if len(chain) > maxChain {
		return fmt.Errorf("a chain of %d certificates: %d are the most", len(chain), maxChain)
	}
	leaf := chain[0]
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	i := slices.IndexFunc(leaf.ExtKeyUsage, func(u x509.ExtKeyUsage) bool { return slices.Contains(usages, u) })
	if i < 0 {
		return errors.New("the extended key usage has neither serverAuth nor clientAuth")
	}
	if err := Suitable(chain, leaf.ExtKeyUsage[i]); err != nil {
		return err
	}
	for i, c := range chain {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return fmt.Errorf("%q is valid from %s to %s only", c.Subject,
				c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
		}
		if i == 0 {
			continue
		}
		if !bytes.Equal(chain[i-1].RawIssuer, c.RawSubject) {
			return fmt.Errorf("the chain is out of order: %q comes after %q, which it has not issued", c.Subject, chain[i-1].Subject)
		}
		if err := chain[i-1].CheckSignatureFrom(c); err != nil {
			return fmt.Errorf("the chain is broken between %q and %q: %w", chain[i-1].Subject, c.Subject, err)
		}
	}
	return nil
}

// blocks returns the content of all PEM blocks of a type. Whatever looks like a block and is
// none of that type, or is cut off, is refused: what is left out silently is missed late.
func blocks(data []byte, kind string, most int) ([][]byte, error) {
	var found [][]byte
	begin := []byte("-----BEGIN")
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			if bytes.Contains(data, begin) {
				return nil, errors.New("a PEM block is cut off or malformed")
			}
			return found, nil
		}
		if n := bytes.Count(data[:len(data)-len(rest)], begin); n != 1 {
			return nil, errors.New("a PEM block is cut off or malformed")
		}
		if block.Type != kind {
			return nil, fmt.Errorf("a PEM block of type %.40q among those of type %q", block.Type, kind)
		}
		if found = append(found, block.Bytes); len(found) > most {
			return nil, fmt.Errorf("more than %d PEM blocks", most)
		}
		data = rest
	}
}
