package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
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
func CAFile(paths ...string) (*Bundle, error) {
	return newBundle(paths, time.Now)
}

func newBundle(paths []string, now func() time.Time) (*Bundle, error) {
	if len(paths) == 0 {
		return nil, errors.New("pki: CAFile: no file is named")
	}
	b := &Bundle{}
	b.read = func() (content, error) { return readAll("CAFile", paths, maxBundleFile) }
	b.parse = func(c content, old *x509.CertPool) (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		for i, data := range c {
			if err := addAuthorities(pool, data, now()); err != nil {
				return nil, fmt.Errorf("pki: CAFile: %s: %w", paths[i], err)
			}
		}
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

// addAuthorities adds all authorities of a PEM file to a pool.
func addAuthorities(pool *x509.CertPool, data []byte, now time.Time) error {
	ders, err := blocks(data, "CERTIFICATE", maxBundle)
	if err != nil {
		return err
	}
	valid := 0
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		switch {
		case !c.BasicConstraintsValid || !c.IsCA:
			return fmt.Errorf("%q is no authority: its basic constraints do not say CA", c.Subject)
		case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
			return fmt.Errorf("%q is no authority: its key usage lacks keyCertSign", c.Subject)
		}
		if err := strong(c); err != nil {
			return err
		}
		if !now.Before(c.NotBefore) && !now.After(c.NotAfter) {
			valid++
		}
		pool.AddCert(c)
	}
	switch {
	case len(ders) == 0:
		return errors.New("no certificate is in it")
	case valid == 0:
		return errors.New("no certificate in it is valid now")
	}
	return nil
}
