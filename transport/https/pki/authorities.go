package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const (
	maxBundleFile = 4 << 20
	maxBundle     = 1000 // authorities
)

// A Bundle is a set of authorities from files, and follows them: it is an [Authorities].
type Bundle struct {
	live[x509.CertPool]
}

// CAFile reads the certificates of authorities in PEM from one or more files, each with at
// least one. All are taken together or not at all, the first time and whenever the files
// change: an empty file, a block that cannot be read, a certificate that is none of an
// authority, a weak key, or no authority that is valid now, and those before stay. To trust
// nobody any more, use peers, or stop.
//
// Of an authority that ends Watch tells ahead: when nine tenths of its life have passed, a week
// before the end if that is later, and at the end; unless there is another of the same subject
// or key that is good for longer.
func CAFile(paths ...string) (*Bundle, error) {
	return newBundle(paths, time.Now)
}

func newBundle(paths []string, now func() time.Time) (*Bundle, error) {
	if len(paths) == 0 {
		return nil, errors.New("pki: CAFile: no file is named")
	}
	b := &Bundle{}
	b.clock = now
	b.read = func() (content, error) { return readAll("CAFile", paths, maxBundleFile) }
	b.parse = func(c content, old *x509.CertPool) (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		var all []*x509.Certificate
		for i, data := range c {
			found, err := parseAuthorities(data, now())
			if err != nil {
				return nil, fmt.Errorf("pki: CAFile: %s: %w", paths[i], err)
			}
			all = append(all, found...)
		}
		for _, c := range all {
			pool.AddCert(c)
		}
		b.terms = authorityTerms(all, now())
		if old != nil && old.Equal(pool) {
			return old, nil
		}
		return pool, nil
	}
	if err := b.start(); err != nil {
		return nil, err
	}
	return b, nil
}

// Pool implements [Authorities].
func (b *Bundle) Pool() *x509.CertPool { return b.now.Load() }

// readAll reads public files.
func readAll(op string, paths []string, limit int64) (content, error) {
	c := make(content, 0, len(paths))
	for _, path := range paths {
		data, err := regular.ReadFile(path, limit)
		if err != nil {
			return nil, fmt.Errorf("pki: %s: %w", op, err)
		}
		c = append(c, data)
	}
	return c, nil
}

// parseAuthorities returns all authorities of a PEM file.
func parseAuthorities(data []byte, now time.Time) ([]*x509.Certificate, error) {
	ders, err := blocks(data, "CERTIFICATE", maxBundle)
	if err != nil {
		return nil, err
	}
	valid := 0
	found := make([]*x509.Certificate, 0, len(ders))
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		switch {
		case !c.BasicConstraintsValid || !c.IsCA:
			return nil, fmt.Errorf("%q is no authority: its basic constraints do not say CA", c.Subject)
		case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
			return nil, fmt.Errorf("%q is no authority: its key usage lacks keyCertSign", c.Subject)
		}
		if err := strong(c); err != nil {
			return nil, err
		}
		if !now.Before(c.NotBefore) && !now.After(c.NotAfter) {
			valid++
		}
		found = append(found, c)
	}
	switch {
	case len(found) == 0:
		return nil, errors.New("no certificate is in it")
	case valid == 0:
		return nil, errors.New("no certificate in it is valid now")
	}
	return found, nil
}

// authorityTerms returns how long authorities are good that have no successor among them. That
// an authority has passed three quarters of its life is no fault: by then another issues, and it
// is trusted on.
func authorityTerms(all []*x509.Certificate, now time.Time) []term {
	var terms []term
	for i, c := range all {
		succeeds := func(n *x509.Certificate) bool {
			return (bytes.Equal(n.RawSubject, c.RawSubject) || bytes.Equal(n.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo)) &&
				n.NotAfter.After(c.NotAfter) && !n.NotBefore.After(c.NotAfter) // and leaves no time between
		}
		if now.After(c.NotAfter) || slices.ContainsFunc(all, succeeds) || slices.ContainsFunc(all[:i], c.Equal) {
			continue
		}
		terms = append(terms, term{
			what: fmt.Sprintf("CAFile: the authority %.200q", c.Subject), until: c.NotAfter,
			ahead: certified(c.NotBefore, c.NotAfter)[1:], remedy: "add its successor, or remove it",
		})
	}
	return terms
}
