package envelope

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A Key is a public key that somebody decided to trust: Ed25519 (RFC 8032), or ECDSA on
// P-256 with SHA-256 (FIPS 186-5). Other curves are left out because the programs that
// read these bundles do not agree on their hash. The zero Key trusts nobody.
type Key struct {
	public              crypto.PublicKey
	sum                 [sha256.Size]byte // of the PKIX DER
	notBefore, notAfter time.Time
}

// maxKey bounds a key file, in bytes.
const maxKey = 64 << 10

// NewKey returns a key for an ed25519.PublicKey or an *ecdsa.PublicKey.
func NewKey(public crypto.PublicKey) (Key, error) {
	switch p := public.(type) {
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return Key{}, fmt.Errorf("%w: an Ed25519 key has %d bytes, not %d", ErrConfig, len(p), ed25519.PublicKeySize)
		}
	case *ecdsa.PublicKey:
		if p == nil || p.Curve != elliptic.P256() {
			return Key{}, fmt.Errorf("%w: an ECDSA key is on another curve than P-256", ErrConfig)
		}
	default:
		return Key{}, fmt.Errorf("%w: a key is %T: use Ed25519 or ECDSA on P-256", ErrConfig, public)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	// What is kept shares nothing with the caller, and ECDSA points are on their curve.
	public, err = x509.ParsePKIXPublicKey(der)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return Key{public: public, sum: sha256.Sum256(der)}, nil
}

// ParseKey reads one public key: PEM with a block "PUBLIC KEY" of PKIX DER (RFC 5280,
// RFC 7468), as "cosign public-key" and "openssl pkey -pubout" write it, and nothing else.
func ParseKey(text []byte) (Key, error) {
	if len(text) > maxKey {
		return Key{}, fmt.Errorf("%w: a key file has %d bytes, the limit is %d", ErrConfig, len(text), maxKey)
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil || !bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN")):
		return Key{}, fmt.Errorf("%w: not a PEM file that begins with a public key", ErrConfig)
	case strings.Contains(block.Type, "PRIVATE"):
		return Key{}, fmt.Errorf("%w: this is a private key: give the public one, and keep the private one where releases are signed", ErrConfig)
	case block.Type != "PUBLIC KEY" || len(block.Headers) != 0:
		return Key{}, fmt.Errorf("%w: the PEM block is %s, not PUBLIC KEY without headers", ErrConfig, quote(block.Type))
	case len(bytes.TrimSpace(rest)) != 0:
		return Key{}, fmt.Errorf("%w: there is something after the public key: one key a file", ErrConfig)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("%w: the public key: %w", ErrConfig, err)
	}
	return NewKey(public)
}

// ReadKey reads one public key from a file, as [ParseKey] does.
func ReadKey(path string) (Key, error) {
	text, err := regular.ReadFile(path, maxKey)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	k, err := ParseKey(text)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// Valid returns the key with bounds on its life, both ends included; an end that is zero
// is open. Outside, it signs nothing that is accepted: neither now nor with an issue time
// of then ([Verified.Covers]). Without a trusted timestamp nobody can tell a signature of
// a retired key from one made with it after it was stolen, so both are refused.
func (k Key) Valid(notBefore, notAfter time.Time) Key {
	k.notBefore, k.notAfter = notBefore, notAfter
	return k
}

// ID names the key: "sha256:" and the digest of its PKIX DER in hexadecimal.
func (k Key) ID() string { return "sha256:" + hex.EncodeToString(k.sum[:]) }

// String returns the ID.
func (k Key) String() string { return k.ID() }

// hint is what cosign writes into bundles that the key signs.
func (k Key) hint() string { return base64.StdEncoding.EncodeToString(k.sum[:]) }

// verify reports whether the key made the signature of a message.
func (k Key) verify(message, signature []byte) bool {
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(public, message, signature)
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(message)
		return ecdsa.VerifyASN1(public, digest[:], signature)
	}
	return false
}
