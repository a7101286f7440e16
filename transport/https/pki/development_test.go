package pki

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/testpki"
)

func TestDevelopmentKeepsItsAuthority(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "development")
	one, err := Development(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Development(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !one.ca.Equal(two.ca) {
		t.Error("the second start has another authority")
	}
	cert, key, err := two.IssueClient("agent-1")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Another program, with what is printed for it.
	cas, err := CAFile(one.CA())
	if err != nil {
		t.Fatal(err)
	}
	own, err := Files(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	server, _ := one.Certificate(nil)
	if _, err := server.Leaf.Verify(x509.VerifyOptions{Roots: cas.Pool(), DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
	client, _ := own.Certificate(nil)
	chains, err := client.Leaf.Verify(x509.VerifyOptions{Roots: one.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Fatal(err)
	}
	peers, err := Names("spiffe://localhost/agent-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := peers.Accept(chains[0]); err != nil {
		t.Error(err)
	}
	text := one.Describe("https://localhost:8443/mcp", "agent-1")
	for _, want := range []string{one.CA(), cert, key, "BEGIN CERTIFICATE", "NODE_EXTRA_CA_CERTS", "https://localhost:8443/mcp"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not described:\n%s", want, text)
		}
	}
	if strings.Contains(text, "PRIVATE KEY") {
		t.Error("a key is described")
	}
}

// Whoever steals the authority's key speaks for no host but this one.
func TestStolenDevelopmentKeyIsGoodForLoopbackOnly(t *testing.T) {
	t.Parallel()
	l, err := Development(filepath.Join(t.TempDir(), "d"))
	if err != nil {
		t.Fatal(err)
	}
	mail := testpki.Leaf(t)
	mail.EmailAddresses = []string{"ceo@example.com"}
	for name, test := range map[string]struct {
		template *x509.Certificate
		ok       bool
	}{
		"localhost":      {testpki.Leaf(t, "localhost"), true},
		"loopback":       {testpki.Leaf(t, "127.0.0.1", "::1"), true},
		"local ID":       {testpki.Leaf(t, "spiffe://localhost/agent"), true},
		"another host":   {testpki.Leaf(t, "mcp.example.com"), false},
		"both":           {testpki.Leaf(t, "localhost", "mcp.example.com"), false},
		"wildcard":       {testpki.Leaf(t, "*"), false},
		"another IP":     {testpki.Leaf(t, "10.0.0.1"), false},
		"another IPv6":   {testpki.Leaf(t, "2001:db8::1"), false},
		"mapped IP":      {testpki.Leaf(t, "::ffff:10.0.0.1"), false},
		"another domain": {testpki.Leaf(t, "spiffe://example.com/agent"), false},
		"somebody":       {mail, false},
	} {
		der, err := x509.CreateCertificate(rand.Reader, test.template, l.ca, l.key.Public(), l.key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(x509.VerifyOptions{Roots: l.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nor does it make another authority that does.
	stolen := &testpki.Authority{Cert: l.ca, Key: l.key}
	below := stolen.Authority(t, "below", nil)
	leaf := below.Issue(t, "localhost")
	between := x509.NewCertPool()
	between.AddCert(below.Cert)
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: l.pool, Intermediates: between}); err == nil {
		t.Error("an authority below it is trusted")
	}
}

func TestDevelopmentFolder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("reason: no such permissions on Windows")
	}
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := Development(shared); err == nil || !strings.Contains(err.Error(), "its group or others") {
		t.Errorf("a folder that others write in: %v", err)
	}
	foreign := testpki.New(t, "a company's")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	testpki.Write(t, filepath.Join(dir, "authority.pem"), append(foreign.PEM(), testpki.KeyPEM(t, foreign.Key)...))
	if _, err := Development(dir); err == nil || !strings.Contains(err.Error(), "no development authority") {
		t.Errorf("an authority without constraints: %v", err)
	}
	l, err := Development(filepath.Join(t.TempDir(), "d"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "../x", "a/b", "a b", strings.Repeat("x", 65)} {
		if _, _, err := l.IssueClient(name); err == nil {
			t.Errorf("a certificate for %q", name)
		}
	}
}

func TestManyFirstStarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	var group sync.WaitGroup
	all := make([]*Local, 8)
	for i := range all {
		group.Go(func() {
			var err error
			if all[i], err = Development(dir); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, l := range all {
		if l != nil && all[0] != nil && !l.ca.Equal(all[0].ca) {
			t.Error("two authorities")
		}
	}
}

func TestDevelopmentRenews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := Development(filepath.Join(t.TempDir(), "d"))
		if err != nil {
			t.Fatal(err)
		}
		e := watching(t, l.Watch)
		first, _ := l.Certificate(nil)
		time.Sleep(4 * 24 * time.Hour) //nolint:forbidigo // in a bubble
		e.expect(t, "four days", 0)
		time.Sleep(24 * time.Hour) //nolint:forbidigo // in a bubble
		e.expect(t, "five days", 1)
		second, _ := l.Certificate(nil)
		if !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
			t.Error("not renewed")
		}
		time.Sleep(devAuthority) //nolint:forbidigo // in a bubble
		synctest.Wait()
		e.expect(t, "two years", e.changes, "ends in 7 days", "ends in 16h40m0s", "has expired")
		// The next start makes a new authority.
		next, err := Development(l.dir)
		if err != nil || next.ca.Equal(l.ca) {
			t.Errorf("no new authority: %v", err)
		}
	})
}

// Handshakes under rotation see a whole pair, the old or the new one.
func TestHandshakesWhileFilesChange(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	dir := t.TempDir()
	cert, key := testpki.WritePair(t, dir, root.Issue(t, "localhost"))
	p, err := Files(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				a, b := net.Pipe()
				server := tls.Server(a, &tls.Config{GetCertificate: p.Certificate, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true})
				client := tls.Client(b, &tls.Config{RootCAs: root.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS13})
				done := make(chan error, 1)
				go func() { done <- server.Handshake() }()
				if err := client.Handshake(); err != nil {
					t.Errorf("client: %v", err)
				}
				if err := <-done; err != nil {
					t.Errorf("server: %v", err)
				}
				_, _ = a.Close(), b.Close()
			}
		})
	}
	for range 50 {
		testpki.WritePair(t, dir, root.Issue(t, "localhost"))
		if err := p.Reload(); err != nil {
			t.Error(err)
		}
	}
	cancel()
	group.Wait()
}
