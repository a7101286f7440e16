package rolesanywhere

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rsaKey is one for all tests: it takes long to make.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// serial has more than 64 bits: it must be sent in decimal, whole.
func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return n.Add(n, new(big.Int).Lsh(big.NewInt(1), 120))
}

func newAuthority(t *testing.T, parent *authority) *authority {
	t.Helper()
	a := &authority{key: ecKey(t)}
	a.cert = sign(t, parent, a, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func sign(t *testing.T, parent, self *authority, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	issuer, key := template, self.key
	if parent != nil {
		issuer, key = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, self.key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

// leaf returns the identity of a workload. change may spoil its certificate.
func (a *authority) leaf(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) Identity {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "mcp-server"}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	return Identity{Leaf: sign(t, a, &authority{key: key}, template), Signer: key}
}

func fixed(id Identity) Source {
	return func(context.Context) (Identity, error) { return id, nil }
}

// configure returns a configuration for the service.
func configure(t *testing.T, service *fakeaws.RolesAnywhere, source Source) Config {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return Config{
		TrustAnchorARN: fakeaws.TrustAnchorARN, ProfileARN: fakeaws.ProfileARN, RoleARN: fakeaws.WorkloadRole,
		Certificate: source, Endpoint: service.URL, Client: &http.Client{Transport: transport},
	}
}

// provider returns one whose pauses take no time.
func provider(t *testing.T, c Config) *Provider {
	t.Helper()
	p, err := New(c)
	must(t, err)
	p.pause = func(ctx context.Context, _ int) error { return ctx.Err() }
	return p
}

// refused wants an error that has each of the words and no credentials.
func refused(t *testing.T, p *Provider, words ...string) {
	t.Helper()
	keys, err := p.Retrieve(t.Context())
	if err == nil || keys != (awssdk.Credentials{}) {
		t.Fatalf("credentials %s, error %v", keys.AccessKeyID, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	if said := err.Error(); strings.Contains(said, canary) || len(said) > 1024 {
		t.Error(said)
	}
}

const canary = "CANARY-correct-horse"

// write puts an identity into files, as a certificate manager does.
func write(t *testing.T, dir string, id Identity) (certificate, key string) {
	t.Helper()
	certificate, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	var chain []byte
	for _, c := range append([]*x509.Certificate{id.Leaf}, id.Chain...) {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(id.Signer)
	must(t, err)
	must(t, os.WriteFile(certificate, chain, 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return certificate, key
}
