package pki

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// maxChain bounds the certificates of a chain.
const maxChain = 10

// Suitable returns why a verified chain, leaf first, is not one that may prove a name for a
// usage, or nil. It asks for more than the verification of a path does: the leaf must say
// that it is for the usage (one that says nothing would be for every usage), may sign in
// handshakes, has a name, and is no authority; and no key is weak: RSA of 2048 bits or more,
// ECDSA on a NIST curve of 256 bits or more, or Ed25519.
func Suitable(chain []*x509.Certificate, usage x509.ExtKeyUsage) error {
	if len(chain) == 0 || len(chain) > maxChain {
		return fmt.Errorf("pki: a chain of %d certificates: 1 to %d are expected", len(chain), maxChain)
	}
	leaf := chain[0]
	switch {
	case leaf.IsCA:
		return errors.New("pki: the certificate is that of an authority: use one that it has issued")
	case !slices.Contains(leaf.ExtKeyUsage, usage):
		return fmt.Errorf("pki: the certificate's extended key usage lacks %s: issue one that has it", usageName(usage))
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("pki: the certificate's key usage lacks digitalSignature")
	}
	if _, err := nameOf(leaf); err != nil {
		return err
	}
	for _, c := range chain {
		if err := strong(c); err != nil {
			return err
		}
	}
	return nil
}

func usageName(usage x509.ExtKeyUsage) string {
	switch usage {
	case x509.ExtKeyUsageClientAuth:
		return "clientAuth"
	case x509.ExtKeyUsageServerAuth:
		return "serverAuth"
	default:
		return fmt.Sprintf("usage %d", usage)
	}
}

// strong refuses keys that no longer hold. Signatures with SHA-1 are refused by crypto/x509.
func strong(c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 {
			return fmt.Errorf("pki: %q has an RSA key of %d bits: 2048 are the least", c.Subject, bits)
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < 256 {
			return fmt.Errorf("pki: %q has an ECDSA key of %d bits: 256 are the least", c.Subject, bits)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("pki: %q has a key of a kind that is not used in TLS 1.3", c.Subject)
	}
	return nil
}
