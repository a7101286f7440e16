package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// The types of PEM blocks that cosign writes, and used to write.
const (
	pemType    = "ENCRYPTED SIGSTORE PRIVATE KEY"
	oldPEMType = "ENCRYPTED COSIGN PRIVATE KEY"
)

// maxFile bounds a key file, in bytes. One of P-256 has about 650.
const maxFile = 64 << 10

// ErrPassword is wrapped by the error about a password that does not open a key. A
// file that was changed looks the same.
var ErrPassword = errors.New("wrong password, or the file was changed")

// A Password returns the password of a key. It is called once, and what it returns is
// overwritten after use.
type Password func() ([]byte, error)

// Generate makes a key on P-256 and returns it encrypted, and its public key, both in
// PEM. An empty password is refused: it would make an unencrypted key look like an
// encrypted one.
func Generate(password []byte) (private, public []byte, err error) {
	if len(password) == 0 {
		return nil, nil, errors.New("keyfile.Generate: the password is empty")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("keyfile.Generate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("keyfile.Generate: %w", err)
	}
	defer clear(der)
	box, err := encrypted.Encrypt(der, password)
	if err != nil {
		return nil, nil, fmt.Errorf("keyfile.Generate: %w", err)
	}
	if public, err = PublicPEM(key.Public()); err != nil {
		return nil, nil, fmt.Errorf("keyfile.Generate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: box}), public, nil
}

// PublicPEM returns a public key as cosign and envelope.ParseKey read it.
func PublicPEM(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// Read reads the key file at path; see [Parse].
func Read(path string, password Password) (crypto.Signer, error) {
	data, err := regular.ReadFile(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("keyfile.Read: %w", err)
	}
	defer clear(data)
	key, err := Parse(data, password)
	if err != nil {
		return nil, fmt.Errorf("keyfile.Read: %s: %w", path, err)
	}
	return key, nil
}

// Parse decrypts a key. Only what signs a manifest is accepted: ECDSA on P-256, and
// Ed25519. Mind that cosign signs with Ed25519ph, which is another algorithm: a key
// that both are to use should be on P-256.
func Parse(data []byte, password Password) (crypto.Signer, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("more than %d bytes", maxFile)
	}
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return nil, errors.New("not a PEM file")
	case block.Type != pemType && block.Type != oldPEMType:
		return nil, fmt.Errorf("the PEM block is no %s: encrypt it with cosign import-key-pair", pemType)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("something follows the key")
	}
	if password == nil {
		return nil, errors.New("the key is encrypted and there is no password")
	}
	word, err := password()
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	defer clear(word)
	der, err := encrypted.Decrypt(block.Bytes, word) // takes only the costs of scrypt that it writes
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassword, err)
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("what was decrypted is not a PKCS #8 key")
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return k, nil
		}
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, errors.New("the key is neither on P-256 nor Ed25519")
}
