// Package testpki makes authorities, certificates and revocation lists for tests: good ones,
// and such as only an attacker or a mistake makes.
package testpki

import (
	"crypto"
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
	"sync/atomic"
	"testing"
	"time"
)

var lastSerial atomic.Int64

// An Authority issues certificates for one test.
type Authority struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	// Above is the chain of an intermediate authority, its own certificate first, without the
	// root; empty for a root.
	Above [][]byte
}

// New makes a root.
func New(tb testing.TB, name string) *Authority {
	tb.Helper()
	return (&Authority{}).Authority(tb, name, nil)
}

// Authority makes an authority below this one, or a root if this is the zero value. Change
// may change what is to be signed.
func (a *Authority) Authority(tb testing.TB, name string, change func(*x509.Certificate)) *Authority {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(lastSerial.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if change != nil {
		change(template)
	}
	below := &Authority{Key: Key(tb)}
	parent, key := a.Cert, a.Key
	if parent == nil {
		parent, key = template, below.Key
	}
	below.Cert = sign(tb, template, parent, below.Key.Public(), key)
	if a.Cert != nil {
		below.Above = append([][]byte{below.Cert.Raw}, a.Above...)
	}
	return below
}

// Key makes a key on the curve P-256.
func Key(tb testing.TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// Leaf is what a good certificate is made from: for an hour, for clients and servers, with
// the names given: URIs, IP addresses and DNS names.
func Leaf(tb testing.TB, names ...string) *x509.Certificate {
	tb.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(lastSerial.Add(1)), Subject: pkix.Name{CommonName: "leaf"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			c.URIs = append(c.URIs, u)
		} else if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

// Issue signs a certificate for names.
func (a *Authority) Issue(tb testing.TB, names ...string) *tls.Certificate {
	tb.Helper()
	return a.Sign(tb, Leaf(tb, names...), Key(tb))
}

// Sign signs any certificate for a key.
func (a *Authority) Sign(tb testing.TB, template *x509.Certificate, key crypto.Signer) *tls.Certificate {
	tb.Helper()
	leaf := sign(tb, template, a.Cert, key.Public(), a.Key)
	return &tls.Certificate{Certificate: append([][]byte{leaf.Raw}, a.Above...), PrivateKey: key, Leaf: leaf}
}

// Chain returns a certificate's chain up to and with a root.
func (a *Authority) Chain(tb testing.TB, c *tls.Certificate, root *Authority) []*x509.Certificate {
	tb.Helper()
	var chain []*x509.Certificate
	for _, der := range c.Certificate {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			tb.Fatal(err)
		}
		chain = append(chain, one)
	}
	return append(chain, root.Cert)
}

// Pool returns a pool of this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

// PEM returns the authority's certificate.
func (a *Authority) PEM() []byte { return Encode("CERTIFICATE", a.Cert.Raw) }

// CRL signs a revocation list that is current for an hour. Change may change it.
func (a *Authority) CRL(tb testing.TB, number int64, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	tb.Helper()
	list := &x509.RevocationList{
		Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
	}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	if change != nil {
		change(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Cert, a.Key)
	if err != nil {
		tb.Fatal(err)
	}
	return Encode("X509 CRL", der)
}

// Encode writes PEM blocks.
func Encode(kind string, blocks ...[]byte) []byte {
	var out []byte
	for _, b := range blocks {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})...)
	}
	return out
}

// KeyPEM returns a private key.
func KeyPEM(tb testing.TB, key crypto.PrivateKey) []byte {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return Encode("PRIVATE KEY", der)
}

// Write writes a file for its owner alone, by renaming it into place.
func Write(tb testing.TB, path string, data []byte) string {
	tb.Helper()
	if err := os.WriteFile(path+".temp", data, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".temp", path); err != nil {
		tb.Fatal(err)
	}
	return path
}

// WritePair writes a certificate and its key into a folder.
func WritePair(tb testing.TB, dir string, c *tls.Certificate) (cert, key string) {
	tb.Helper()
	return Write(tb, filepath.Join(dir, "tls.crt"), Encode("CERTIFICATE", c.Certificate...)),
		Write(tb, filepath.Join(dir, "tls.key"), KeyPEM(tb, c.PrivateKey))
}

func sign(tb testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
