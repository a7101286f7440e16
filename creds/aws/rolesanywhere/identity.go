package rolesanywhere

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// A Source says what the server identifies itself with at this moment. It is asked for
// each session, so that a certificate that was replaced counts at once.
type Source func(ctx context.Context) (Identity, error)

// An Identity is a certificate, and the key that goes with it.
type Identity struct {
	Leaf *x509.Certificate
	// Chain leads from the leaf to the trust anchor, without it: each one has signed
	// the one before. It is empty if the anchor has signed the leaf.
	Chain []*x509.Certificate
	// Signer is an RSA or ECDSA key, wherever it is kept.
	Signer crypto.Signer
}

// String says whose certificate it is.
func (id Identity) String() string {
	if id.Leaf == nil {
		return "no certificate"
	}
	return fmt.Sprintf("certificate %d", id.Leaf.SerialNumber)
}

// Format writes what String returns, for every verb: a key must not be printed.
func (id Identity) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, id.String()) }

// MarshalText writes what String returns: encoding/json would write the key.
func (id Identity) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

const (
	// maxFile bounds a file with certificates or a key, in bytes.
	maxFile = 64 << 10
	// maxChain is how many certificates the service takes besides the leaf.
	maxChain = 5
)

// Files returns a Source that reads PEM files: the leaf and then its chain from one,
// the key from the other (PKCS #8, PKCS #1 or SEC 1, not encrypted). On Unix nobody but
// its owner may have any permission on the key's file. Both are read for each session.
func Files(certificate, key string) Source {
	return func(context.Context) (Identity, error) {
		text, err := regular.ReadFile(certificate, maxFile)
		if err != nil {
			return Identity{}, err
		}
		id, err := parseCertificates(text)
		if err != nil {
			return Identity{}, fmt.Errorf("%s: %w", certificate, err)
		}
		secret, err := regular.ReadSecret(key, maxFile)
		defer clear(secret)
		if err != nil {
			return Identity{}, err
		}
		if id.Signer, err = parseKey(secret); err != nil {
			return Identity{}, fmt.Errorf("%s: %w", key, err)
		}
		return id, nil
	}
}

// parseCertificates reads the leaf, and the chain after it.
func parseCertificates(text []byte) (Identity, error) {
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if text = rest; block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Identity{}, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		if all = append(all, c); len(all) > maxChain+1 {
			return Identity{}, fmt.Errorf("it has more than %d certificates", maxChain+1)
		}
	}
	if len(all) == 0 {
		return Identity{}, errors.New("it has no CERTIFICATE block in PEM")
	}
	return Identity{Leaf: all[0], Chain: all[1:]}, nil
}

var errKey = errors.New("it has no key as Roles Anywhere wants it: an RSA or ECDSA key in PEM (PKCS #8, PKCS #1 or SEC 1), not encrypted")

// parseKey reads the first key. Its errors say nothing of it.
func parseKey(text []byte) (crypto.Signer, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errKey
		}
		text = rest
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default: // such as EC PARAMETERS
			continue
		}
		clear(block.Bytes)
		signer, ok := key.(crypto.Signer)
		if err != nil || !ok {
			return nil, errKey
		}
		return signer, nil
	}
}

var errMismatch = errors.New("the key is not that of the certificate: one of the two was replaced alone")

// check refuses what the service would not take, and would not say why.
func (id Identity) check(now time.Time) error {
	c := id.Leaf
	if c == nil || id.Signer == nil {
		return errors.New("the source gave no certificate, or no key")
	}
	mine, err := x509.MarshalPKIXPublicKey(id.Signer.Public())
	if err != nil || !bytes.Equal(mine, c.RawSubjectPublicKeyInfo) {
		return errMismatch
	}
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return errors.New("an RSA key needs 2048 bits or more")
		}
	case *ecdsa.PublicKey:
	default:
		return fmt.Errorf("the key must be RSA or ECDSA, not %s", c.PublicKeyAlgorithm)
	}
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("it is not valid before %s: correct this machine's clock, or wait", c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("it expired at %s: renew it, or correct this machine's clock", c.NotAfter.UTC().Format(time.RFC3339))
	case c.Version != 3 || c.IsCA:
		return errors.New("it must be a certificate of version 3 that is no authority")
	case c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("its key usage must have digitalSignature")
	case len(id.Chain) > maxChain:
		return fmt.Errorf("its chain has more than %d certificates", maxChain)
	}
	for i, issuer := range id.Chain {
		if issuer == nil || c.CheckSignatureFrom(issuer) != nil {
			return fmt.Errorf("certificate %d of the chain has not signed the one before it: put the leaf first, then who signed it", i+1)
		}
		if now.Before(issuer.NotBefore) || now.After(issuer.NotAfter) {
			return fmt.Errorf("certificate %d of the chain has expired or is not yet valid: it is from %s to %s", i+1,
				issuer.NotBefore.UTC().Format(time.RFC3339), issuer.NotAfter.UTC().Format(time.RFC3339))
		}
		c = issuer
	}
	return nil
}
