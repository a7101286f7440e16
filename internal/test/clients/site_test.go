package clients

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
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
)

// A site is a server under test with all that a client needs to reach it.
type site struct {
	Dir   string // holds ca.pem, server.pem, server.key, alice.pem and alice.key
	Addr  string // "localhost:PORT"
	URL   string
	Token string // of alice; empty without an issuer
	PID   int
	TLS   *tls.Config // of alice

	// Mallory is somebody else, with a good token: what she does must not cost alice.
	Mallory      tls.Certificate
	MalloryToken string
}

// newSite makes the certificates of a site.
func newSite(tb testing.TB) *site {
	tb.Helper()
	s := &site{Dir: tb.TempDir()}
	s.pki(tb)
	return s
}

// start runs the command everything for the site, bare or behind the listener.
func (s *site) start(tb testing.TB, args ...string) *site {
	tb.Helper()
	addr, pid := run(tb, exec.Command(program(tb), append([]string{"-dir", s.Dir}, args...)...))
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	s.Addr, s.PID = "localhost:"+port, pid
	s.URL = "https://" + s.Addr
	return s
}

// bare starts what the SDK offers by itself, behind TLS.
func bare(tb testing.TB) *site {
	tb.Helper()
	return newSite(tb).start(tb, "-bare")
}

// secured starts the listener under test, which wants client certificates and tokens, and
// gets alice a token.
func secured(tb testing.TB, args ...string) *site {
	tb.Helper()
	s := newSite(tb)
	who := issuer.New(tb)
	s.write(tb, "issuer.pem", "CERTIFICATE", who.TLS.Certificate[0])
	s.start(tb, append([]string{"-issuer", who.URL}, args...)...)
	s.Token = who.Token(tb, s.URL+"/mcp", map[string]any{"aud": []string{s.URL + "/mcp", s.URL + "/sse"}})
	s.MalloryToken = who.Token(tb, s.URL+"/mcp", map[string]any{"sub": "mallory"})
	return s
}

// client speaks to the site as alice.
func (s *site) client(tb testing.TB) *http.Client {
	tb.Helper()
	t := &http.Transport{TLSClientConfig: s.TLS.Clone(), ForceAttemptHTTP2: true}
	tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: &bearing{t, s.Token}, Timeout: patience}
}

// bearing adds the token.
type bearing struct {
	next  http.RoundTripper
	token string
}

func (b *bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

// pki writes an authority and what it issued.
func (s *site) pki(tb testing.TB) {
	tb.Helper()
	key := newKey(tb)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		tb.Fatal(err)
	}
	s.write(tb, "ca.pem", "CERTIFICATE", der)
	s.issue(tb, ca, key, "server", &x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	person := func(name string) tls.Certificate {
		return s.issue(tb, ca, key, name, &x509.Certificate{
			URIs:        []*url.URL{{Scheme: "spiffe", Host: "clients.test", Path: "/" + name}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Certificates: []tls.Certificate{person("alice")}}
	s.Mallory = person("mallory")
}

func (s *site) issue(tb testing.TB, ca *x509.Certificate, signer *ecdsa.PrivateKey, name string, c *x509.Certificate) tls.Certificate {
	tb.Helper()
	key := newKey(tb)
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.Subject = pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(12*time.Hour)
	c.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	s.write(tb, name+".pem", "CERTIFICATE", der)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	s.write(tb, name+".key", "PRIVATE KEY", pkcs8)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (s *site) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *site) write(tb testing.TB, name, kind string, der []byte) {
	tb.Helper()
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), b.Bytes(), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}
