package pki

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
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

func TestPairIsRefused(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	between := root.Authority(t, "between", nil)
	namesake := testpki.New(t, "between")
	good := between.Issue(t, "server.example")
	edit := func(change func(*x509.Certificate)) *tls.Certificate {
		c := testpki.Leaf(t, "server.example")
		change(c)
		return root.Sign(t, c, testpki.Key(t))
	}
	shown := func(key crypto.PrivateKey, chain ...[]byte) *tls.Certificate {
		return &tls.Certificate{Certificate: chain, PrivateKey: key}
	}
	deep := root
	for range maxChain {
		deep = deep.Authority(t, "deep", nil)
	}
	for name, test := range map[string]struct {
		pair *tls.Certificate
		want string
	}{
		"key of another certificate": {shown(testpki.Key(t), good.Certificate...), "private key does not match"},
		"expired":                    {edit(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "valid from"},
		"not valid yet":              {edit(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour / 2) }), "valid from"},
		"a common name only":         {edit(func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, "server.example" }), "subject alternative name"},
		"an authority's own":         {edit(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), "that of an authority"},
		"for code signing":           {edit(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), "neither serverAuth nor clientAuth"},
		"for anything":               {edit(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), "neither serverAuth nor clientAuth"},
		"may not sign":               {edit(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), "digitalSignature"},
		"two SPIFFE IDs":             {edit(func(c *x509.Certificate) { c.URIs = testpki.Leaf(t, "spiffe://a/b", "spiffe://a/c").URIs }), "other URIs"},
		"chain upside down":          {shown(good.PrivateKey, good.Certificate[1], good.Certificate[0]), "does not match"},
		"chain with a gap":           {shown(good.PrivateKey, good.Certificate[0], root.Cert.Raw), "out of order"},
		"chain of a namesake":        {shown(good.PrivateKey, good.Certificate[0], namesake.Cert.Raw), "broken"},
		"chain without end":          {deep.Issue(t, "server.example"), "the most"},
		"cut off":                    {shown(good.PrivateKey, good.Certificate[0][:200]), "malformed"},
		"nothing":                    {shown(good.PrivateKey), "PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := parsePair(testpki.Encode("CERTIFICATE", test.pair.Certificate...), testpki.KeyPEM(t, test.pair.PrivateKey), time.Now())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, _, err := parsePair(testpki.Encode("CERTIFICATE", good.Certificate...), testpki.KeyPEM(t, good.PrivateKey), time.Now()); err != nil {
		t.Errorf("a good pair: %v", err)
	}
}

func TestWeakKeys(t *testing.T) {
	t.Parallel()
	small := func(bits uint) crypto.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}
	}
	curve, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key  crypto.PublicKey
		weak bool
	}{
		"RSA of 1024 bits": {small(1024), true}, "RSA of 2047 bits": {small(2047), true}, "RSA of 2048 bits": {small(2048), false},
		"P-224": {curve.Public(), true}, "P-256": {testpki.Key(t).Public(), false}, "Ed25519": {ed25519.PublicKey{}, false}, "DSA": {nil, true},
	} {
		if err := strong(&x509.Certificate{PublicKey: test.key}); (err != nil) != test.weak {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyThatOthersCanRead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("reason: no such permissions on Windows")
	}
	cert, key := testpki.WritePair(t, t.TempDir(), testpki.New(t, "root").Issue(t, "a.example"))
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Files(cert, key); err == nil || !strings.Contains(err.Error(), "set 0600 or 0400") {
		t.Errorf("got %v", err)
	}
}

// events counts what a watch tells.
type events struct {
	mu      sync.Mutex
	changes int
	faults  []string
}

func (e *events) changed() { e.mu.Lock(); defer e.mu.Unlock(); e.changes++ }
func (e *events) fault(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, err.Error())
}

func (e *events) expect(t *testing.T, when string, changes int, faults ...string) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	ok := e.changes == changes && len(e.faults) == len(faults)
	for i := range faults {
		ok = ok && strings.Contains(e.faults[i], faults[i])
	}
	if !ok {
		t.Errorf("%s: %d changes, faults %q; want %d and %q", when, e.changes, e.faults, changes, faults)
	}
}

// watching runs a watch inside a bubble.
func watching(t *testing.T, watch func(context.Context, func(), func(error)) error) *events {
	t.Helper()
	e := &events{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- watch(ctx, e.changed, e.fault) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended with %v", err)
		}
	})
	synctest.Wait()
	return e
}

func look() { time.Sleep(pollEvery) } //nolint:forbidigo // in a bubble, where time is not waited for

func TestPairFollowsItsFiles(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	first, second, third := root.Issue(t, "one.example"), root.Issue(t, "two.example"), root.Issue(t, "three.example")
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cert, key := testpki.WritePair(t, dir, first)
		p, err := newPair(cert, key, func() time.Time { return first.Leaf.NotBefore.Add(time.Minute) })
		if err != nil {
			t.Fatal(err)
		}
		shown := func(want *tls.Certificate) {
			t.Helper()
			got, err := p.Certificate(nil)
			if err != nil || got.Leaf == nil || !got.Leaf.Equal(want.Leaf) {
				t.Errorf("another certificate is shown: %v, %v", got, err)
			}
		}
		e := watching(t, p.Watch)
		shown(first)
		// Half a change is not taken, and not told unless it stays so.
		testpki.Write(t, cert, testpki.Encode("CERTIFICATE", second.Certificate...))
		look()
		e.expect(t, "half a change", 0)
		shown(first)
		testpki.WritePair(t, dir, second)
		look()
		e.expect(t, "the other half", 1)
		shown(second)
		// A fault is told once, however long it lasts.
		testpki.Write(t, key, []byte("rubbish"))
		for range 5 {
			look()
		}
		e.expect(t, "rubbish", 1, "failed to find any PEM data in key")
		shown(second)
		if err := os.Remove(cert); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			look()
		}
		e.expect(t, "gone", 1, "failed to find any PEM data in key", "no such file")
		shown(second)
		// Reload does not wait for the next look.
		testpki.WritePair(t, dir, third)
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
		e.expect(t, "reload", 2, e.faults...)
		shown(third)
		// The same content once more is no change.
		testpki.WritePair(t, dir, third)
		look()
		e.expect(t, "the same again", 2, e.faults...)
		// An older fault is told anew when it comes back.
		testpki.Write(t, key, []byte("rubbish"))
		look()
		look()
		e.expect(t, "rubbish again", 2, "failed to find any PEM data in key", "no such file", "failed to find any PEM data in key")
	})
}

// A mounted secret is a link to a folder that is replaced as one.
func TestMountedSecretIsSeenToChange(t *testing.T) {
	t.Parallel()
	root := testpki.New(t, "root")
	dir := t.TempDir()
	mount := func(name string) *tls.Certificate {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		c := root.Issue(t, name+".example")
		testpki.WritePair(t, filepath.Join(dir, name), c)
		if err := os.Symlink(name, filepath.Join(dir, "..next")); err != nil {
			t.Skipf("reason: no links here: %v", err)
		}
		if err := os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		return c
	}
	mount("one")
	for _, file := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", file), filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Files(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	second := mount("two")
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if got, _ := p.Certificate(nil); !got.Leaf.Equal(second.Leaf) {
		t.Error("the first certificate is still shown")
	}
}
