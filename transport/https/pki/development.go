package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

const (
	devAuthority = 2 * 365 * 24 * time.Hour
	devServer    = 7 * 24 * time.Hour
	devClient    = 90 * 24 * time.Hour
	devOverlap   = time.Hour // for clocks that are behind
)

// A Local is an authority for development on one machine, with the certificate of a server
// that it renews by itself: a [Source], and the [Authorities] of the clients it issues
// certificates to.
type Local struct {
	dir  string
	now  func() time.Time
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool

	mu     sync.Mutex // of renewal
	server atomic.Pointer[tls.Certificate]
}

// Development returns the development authority that is kept in a folder, which it makes on
// first start; empty means the folder mcpsec/development of the user's configuration. What
// it signs is good for the loopback names only: the authority's own certificate says so
// (name constraints: localhost, 127.0.0.0/8, ::1), so that whoever steals its key can speak
// for no other host to the programs that trust it. Everything in the folder is its owner's
// alone. The key of the server's certificate is in memory only.
func Development(dir string) (*Local, error) {
	return newLocal(dir, time.Now)
}

func newLocal(dir string, now func() time.Time) (*Local, error) {
	if dir == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("pki: Development: %w: name a folder", err)
		}
		dir = filepath.Join(base, "mcpsec", "development")
	}
	l := &Local{dir: dir, now: now}
	err := errors.Join(os.MkdirAll(dir, 0o700), private(dir))
	if err == nil {
		err = l.open()
	}
	if err == nil {
		err = l.renew()
	}
	if err != nil {
		return nil, fmt.Errorf("pki: Development: %w", err)
	}
	return l, nil
}

// private refuses a folder in which others could put an authority of their own.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	return regular.OwnerOnly(dir)(info)
}

// serial returns a random serial number of 127 bits.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it cannot fail
	b[0] &= 0x7f
	b[0] |= 0x40 // nor be zero
	return new(big.Int).SetBytes(b)
}

// issue signs a certificate for a new key.
func (l *Local) issue(template *x509.Certificate, life time.Duration) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := l.now()
	template.SerialNumber, template.KeyUsage = serial(), x509.KeyUsageDigitalSignature
	template.NotBefore, template.NotAfter = now.Add(-devOverlap), now.Add(life)
	if template.NotAfter.After(l.ca.NotAfter) {
		template.NotAfter = l.ca.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, l.ca, key.Public(), l.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, l.ca.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// renew issues the server's certificate if less than a third of its life is left.
func (l *Local) renew() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.server.Load(); c != nil && l.now().Before(c.Leaf.NotAfter.Add(-devServer/3)) {
		return nil
	}
	c, err := l.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "localhost"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, devServer)
	if err != nil {
		return err
	}
	if !l.now().Before(c.Leaf.NotAfter) {
		return errors.New("the development authority has expired: start again, and give clients the new one")
	}
	l.server.Store(c)
	return nil
}

// Certificate implements [Source]: the server's certificate.
func (l *Local) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return l.server.Load(), nil
}

// terms returns how long the authority is good. It is told once a new start makes another.
func (l *Local) terms() []term {
	return []term{{
		what: "Development: the development authority", until: l.ca.NotAfter,
		ahead: []time.Duration{devServer, devServer / 10}, remedy: "start again, and give clients the new one",
	}}
}

// Pool implements [Authorities]: this authority alone.
func (l *Local) Pool() *x509.CertPool { return l.pool }

// Watch implements [Source] and [Authorities].
func (l *Local) Watch(ctx context.Context, changed func(), fault func(error)) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	told := ""
	var ends almanac
	for seen := l.server.Load(); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		switch err := l.renew(); {
		case err == nil:
			if err := ends.due(l.terms(), l.now()); err != nil {
				fault(err)
			}
		case err.Error() != told:
			told = err.Error()
			fault(fmt.Errorf("pki: Development: %w", err))
		}
		if now := l.server.Load(); now != seen {
			seen = now
			changed()
		}
	}
}

var clientName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// IssueClient issues a certificate to a client on this machine, with the SPIFFE ID
// "spiffe://localhost/NAME", for 90 days. It returns the paths of the certificate and the
// key, which replace those of the same name. A name is 1 to 64 letters, digits, - and _.
func (l *Local) IssueClient(client string) (cert, key string, err error) {
	if !clientName.MatchString(client) {
		return "", "", fmt.Errorf("pki: IssueClient: %.80q: 1 to 64 letters, digits, - and _ are expected", client)
	}
	c, err := l.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: client},
		URIs:        []*url.URL{{Scheme: "spiffe", Host: "localhost", Path: "/" + client}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, devClient)
	if err != nil {
		return "", "", fmt.Errorf("pki: IssueClient: %w", err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return "", "", fmt.Errorf("pki: IssueClient: %w", err)
	}
	defer clear(raw)
	secret := encode("PRIVATE KEY", raw)
	defer clear(secret)
	cert, key = "client-"+client+".pem", "client-"+client+".key"
	if err := errors.Join(l.write(key, secret), l.write(cert, encode("CERTIFICATE", c.Certificate...))); err != nil {
		return "", "", fmt.Errorf("pki: IssueClient: %w", err)
	}
	return filepath.Join(l.dir, cert), filepath.Join(l.dir, key), nil
}
