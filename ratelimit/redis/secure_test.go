package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// selfSigned writes a certificate for the loopback interface and its key.
func selfSigned(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key = write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	return cert, key, roots
}

// documentedRights are what the package documentation says an ACL must allow.
func documentedRights(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	rights := regexp.MustCompile(` ([+~][a-z|{}*]+)`).FindAllStringSubmatch(string(text), -1)
	var all []string
	for _, r := range rights {
		all = append(all, r[1])
	}
	if len(all) < 10 || all[0] != "~{mcpsec}*" || slices.Contains(all, "+@all") {
		t.Fatalf("the documentation asks for %v", all)
	}
	return all
}

// The rights that the package documentation asks for are enough, and reach no
// other key.
func TestEncryptedConnectionWithLeastRights(t *testing.T) {
	t.Parallel()
	cert, key, roots := selfSigned(t)
	encrypted := freeAddr(t)
	srv := start(t, "--tls-port", portOf(encrypted), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	rights := []any{"ACL", "SETUSER", "limits", "on", ">s3cret"}
	for _, right := range documentedRights(t) {
		rights = append(rights, right)
	}
	srv.must(rights...)
	client := func(password string, roots *x509.CertPool) *goredis.Client {
		c := goredis.NewClient(&goredis.Options{
			Addr: encrypted, Username: "limits", Password: password, ContextTimeoutEnabled: true,
			TLSConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	s := on(t, client("s3cret", roots), Config{})
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	use(t, s)
	b := bucket("leased", 1000, time.Hour)
	for range 4 {
		mustTake(t, s, call(b))
	}
	v := mustTake(t, s, spend("low", daily("a", 100, 5)))
	if err := v.Hold.Settle(t.Context(), []int64{50}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for name, s := range map[string]*Store{
		"password": on(t, client("wrong", roots), Config{}),
		"server":   on(t, client("s3cret", x509.NewCertPool()), Config{}),
		"prefix":   on(t, client("s3cret", roots), Config{Prefix: "other"}),
	} {
		undecided(t, s, call(bucket("x", 1, time.Hour)))
		_ = name
	}
}
