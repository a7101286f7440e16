package site

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
)

// newAuthority makes an authority. What the one before it has issued stays good for as long
// as both are in the bundle.
func newAuthority(tb testing.TB) *testpki.Authority {
	tb.Helper()
	return testpki.New(tb, "authority "+rand.Text())
}

// serverOf issues a certificate of the loopback names.
func serverOf(tb testing.TB, a *testpki.Authority) *tls.Certificate {
	tb.Helper()
	c := testpki.Leaf(tb, "localhost", "127.0.0.1")
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	c.NotAfter = time.Now().Add(12 * time.Hour)
	return a.Sign(tb, c, testpki.Key(tb))
}

// clientOf issues a certificate with the SPIFFE ID of a name, good for some time.
func clientOf(tb testing.TB, a *testpki.Authority, name string, life time.Duration) *tls.Certificate {
	tb.Helper()
	c := testpki.Leaf(tb, "spiffe://site.test/"+name)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	c.NotAfter = time.Now().Add(life)
	return a.Sign(tb, c, testpki.Key(tb))
}

// files are what the listener reads, replaced as a whole like mounted secrets are.
type files struct{ dir string }

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

func (f files) pair(tb testing.TB, name string, c *tls.Certificate) {
	tb.Helper()
	testpki.Write(tb, f.path(name+".key"), testpki.KeyPEM(tb, c.PrivateKey))
	testpki.Write(tb, f.path(name+".pem"), testpki.Encode("CERTIFICATE", c.Certificate...))
}

// bundle writes those who are trusted.
func (f files) bundle(tb testing.TB, all ...*testpki.Authority) {
	tb.Helper()
	var pem []byte
	for _, a := range all {
		pem = append(pem, a.PEM()...)
	}
	testpki.Write(tb, f.path("ca.pem"), pem)
}
