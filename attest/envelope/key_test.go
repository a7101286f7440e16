package envelope

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

func pemOf(tb testing.TB, kind string, public crypto.PublicKey) string {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(private)
	good := pemOf(t, "PUBLIC KEY", public)
	if _, err := ParseKey([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":                     "",
		"no PEM":                      "ssh-ed25519 AAAA",
		"a private key":               string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
		"an encrypted private key":    string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: pkcs8})),
		"a certificate":               pemOf(t, "CERTIFICATE", public),
		"RSA":                         pemOf(t, "PUBLIC KEY", &rsaKey.PublicKey),
		"ECDSA on another curve":      pemOf(t, "PUBLIC KEY", &p384.PublicKey),
		"two keys":                    good + good,
		"something after the key":     good + "x",
		"something before the key":    "trust me\n" + good,
		"headers":                     strings.Replace(good, "KEY-----\n", "KEY-----\nA: b\n\n", 1),
		"DER with bytes after it":     string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: append(mustPKIX(t, public), 0)})),
		"DER that is cut off":         string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: mustPKIX(t, public)[:20]})),
		"a file that is no key, long": strings.Repeat("x", maxKey+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := ParseKey([]byte(text))
			if !errors.Is(err, ErrConfig) || k.public != nil {
				t.Errorf("got %v, %v", k, err)
			}
			if strings.Contains(text, "PRIVATE") && !strings.Contains(err.Error(), "keep the private one") {
				t.Errorf("it does not say what is wrong: %v", err)
			}
		})
	}
}

func mustPKIX(tb testing.TB, public crypto.PublicKey) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func TestReadKey(t *testing.T) {
	t.Parallel()
	public, _, _ := ed25519.GenerateKey(rand.Reader)
	path := filepath.Join(t.TempDir(), "release.pub")
	if err := os.WriteFile(path, []byte(pemOf(t, "PUBLIC KEY", public)), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := ReadKey(path)
	want, _ := NewKey(public)
	if err != nil || k.ID() != want.ID() {
		t.Error(k, err)
	}
	if _, err := ReadKey(filepath.Dir(path)); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// A crooked key is a remote one that misbehaves.
type crooked struct {
	crypto.Signer
	sign func() ([]byte, error)
}

func (c crooked) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return c.sign() }

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	for name, key := range map[string]crypto.Signer{"no key": nil, "another curve": p384} {
		if s, err := SignWith(key); !errors.Is(err, ErrConfig) || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	for name, sign := range map[string]func() ([]byte, error){
		"a key that fails":                  func() ([]byte, error) { return nil, errors.New("no") },
		"a key whose signature is not good": func() ([]byte, error) { return make([]byte, 64), nil },
	} {
		s, err := SignWith(crooked{private, sign})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := s.Sign(t.Context(), PayloadType, []byte("{}")); err == nil || b != nil {
			t.Errorf("%s: %s", name, b)
		}
	}
	s, _ := SignWith(private)
	if b, err := s.Sign(t.Context(), "", []byte("{}")); err == nil || b != nil {
		t.Error("it signed a payload without a type")
	}
	if b, err := s.Sign(t.Context(), PayloadType, make([]byte, MaxBundle)); !errors.Is(err, ErrBundle) || b != nil {
		t.Error("it signed what it cannot read", err)
	}
}

// TestPAE has the example of the DSSE protocol's own documentation.
func TestPAE(t *testing.T) {
	t.Parallel()
	if got := string(PAE("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Error(got)
	}
}

func TestPayloadTypeIsThatOfManifests(t *testing.T) {
	t.Parallel()
	if PayloadType != manifest.PayloadType {
		t.Error("manifests are signed with a type that Open refuses")
	}
}
