package site

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority issues the certificates of a test. Those that are there already stay good
// when it is replaced by another of the same bundle.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	key := newKey(tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "authority " + rand.Text()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &Authority{cert, key}
}

// Server issues a certificate of the loopback names.
func (a *Authority) Server(tb testing.TB) tls.Certificate {
	tb.Helper()
	return a.issue(tb, &x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: time.Now().Add(12 * time.Hour),
	})
}

// Client issues a certificate with the SPIFFE ID of a name, good for some time.
func (a *Authority) Client(tb testing.TB, name string, life time.Duration) tls.Certificate {
	tb.Helper()
	return a.issue(tb, &x509.Certificate{
		URIs:        []*url.URL{{Scheme: "spiffe", Host: "site.test", Path: "/" + name}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: time.Now().Add(life),
	})
}

func (a *Authority) issue(tb testing.TB, c *x509.Certificate) tls.Certificate {
	tb.Helper()
	key := newKey(tb)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	c.SerialNumber, c.Subject = serial, pkix.Name{CommonName: "site"}
	c.NotBefore, c.KeyUsage = time.Now().Add(-time.Hour), x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, c, a.Cert, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// files are what the listener reads, replaced as a whole like mounted secrets are.
type files struct{ dir string }

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

func (f files) pair(tb testing.TB, name string, c tls.Certificate) {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	f.write(tb, name+".key", "PRIVATE KEY", der)
	f.write(tb, name+".pem", "CERTIFICATE", c.Certificate...)
}

func (f files) write(tb testing.TB, name, kind string, blocks ...[]byte) {
	tb.Helper()
	var b bytes.Buffer
	for _, der := range blocks {
		if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
			tb.Fatal(err)
		}
	}
	next := f.path("." + name)
	if err := os.WriteFile(next, b.Bytes(), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(next, f.path(name)); err != nil {
		tb.Fatal(err)
	}
}

// pool trusts the authority alone.
func (a *Authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}
