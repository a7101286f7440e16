package attest_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

// A maker is somebody who signs manifests.
type maker struct {
	t      *testing.T
	dir    string
	signer envelope.Signer
	public string // PEM file
}

func newMaker(t *testing.T) *maker {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &maker{t: t, dir: t.TempDir()}
	if m.signer, err = envelope.SignWith(private); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	m.public = filepath.Join(m.dir, "release.pub")
	m.write(m.public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return m
}

func (m *maker) write(path string, text []byte) {
	m.t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// sign writes a manifest with the maker's signature and returns the path.
func (m *maker) sign(of *manifest.Manifest) string {
	m.t.Helper()
	statement, err := of.Encode()
	if err != nil {
		m.t.Fatal(err)
	}
	bundle, err := m.signer.Sign(m.t.Context(), envelope.PayloadType, statement)
	if err != nil {
		m.t.Fatal(err)
	}
	path := filepath.Join(m.dir, "manifest.sigstore.json")
	m.write(path, append(bundle, '\n'))
	return path
}
