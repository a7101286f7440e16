package ledger

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mcpsec/mcpsec-go/internal/regular"
)

// Algorithms of C2SP signed-note.
const (
	algEd25519 = 1
	algECDSA   = 2 // P-256 with SHA-256, ASN.1
)

// A Key signs checkpoints. Make one with [NewKey]; the ledger makes one of its own
// in its folder when it is given none.
type Key struct {
	signer   crypto.Signer
	verifier note.Verifier
	text     string // of the verifier
}

// NewKey makes a key of any signer, for example one whose private half stays in a
// KMS or an HSM: Ed25519, or ECDSA on P-256. The name stands in every signature and
// is usually the ledger's origin; it has no spaces and no plus sign.
//
// The signer is asked about once a second while records come in. While it answers
// nothing is written, so it should take no more than some milliseconds; the ledger
// goes on without it after two seconds, and tries again.
func NewKey(name string, signer crypto.Signer) (*Key, error) {
	if signer == nil {
		return nil, errors.New("ledger: the signer is nil")
	}
	text, err := encodeVerifier(name, signer.Public())
	if err != nil {
		return nil, err
	}
	v, err := ParseVerifier(text)
	if err != nil {
		return nil, err
	}
	return &Key{signer, v, text}, nil
}

// Verifier returns the public half.
func (k *Key) Verifier() note.Verifier { return k.verifier }

// String returns the public half as text, "NAME+HASH+BASE64", the form that
// [ParseVerifier] reads. It holds nothing secret.
func (k *Key) String() string { return k.text }

// The methods of note.Signer.

// Name returns the key's name.
func (k *Key) Name() string { return k.verifier.Name() }

// KeyHash returns the number that tells keys of one name apart.
func (k *Key) KeyHash() uint32 { return k.verifier.KeyHash() }

// Sign signs the text of a note.
func (k *Key) Sign(msg []byte) ([]byte, error) {
	if _, ok := k.signer.Public().(ed25519.PublicKey); ok {
		return k.signer.Sign(rand.Reader, msg, crypto.Hash(0))
	}
	sum := sha256.Sum256(msg)
	return k.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func encodeVerifier(name string, public crypto.PublicKey) (string, error) {
	if name == "" || strings.ContainsAny(name, "+ \t\r\n") {
		return "", fmt.Errorf("ledger: a key cannot be named %q: use a name without spaces and plus signs", name)
	}
	switch p := public.(type) {
	case ed25519.PublicKey:
		return note.NewEd25519VerifierKey(name, p)
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return "", errors.New("ledger: of ECDSA keys only those on P-256 can sign a checkpoint")
		}
		der, err := x509.MarshalPKIXPublicKey(p)
		if err != nil {
			return "", fmt.Errorf("ledger: the public key: %w", err)
		}
		return fmt.Sprintf("%s+%08x+%s", name, hashECDSA(der), base64.StdEncoding.EncodeToString(append([]byte{algECDSA}, der...))), nil
	}
	return "", fmt.Errorf("ledger: a key of type %T cannot sign a checkpoint: use Ed25519 or ECDSA on P-256", public)
}

func hashECDSA(der []byte) uint32 {
	sum := sha256.Sum256(der)
	return binary.BigEndian.Uint32(sum[:])
}

// ParseVerifier reads a public key in the text form of C2SP signed-note, of type
// Ed25519 or ECDSA.
func ParseVerifier(text string) (note.Verifier, error) {
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("ledger: a public key has the form NAME+HASH+BASE64")
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) < 2 {
		return nil, errors.New("ledger: the public key is not base64")
	}
	if raw[0] != algECDSA {
		return note.NewVerifier(text)
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil || hash != uint64(hashECDSA(raw[1:])) {
		return nil, errors.New("ledger: the public key does not have the hash it names")
	}
	public, err := x509.ParsePKIXPublicKey(raw[1:])
	if err != nil {
		return nil, fmt.Errorf("ledger: the public key: %w", err)
	}
	p, ok := public.(*ecdsa.PublicKey)
	if again, err := encodeVerifier(parts[0], public); !ok || err != nil || again != text {
		return nil, errors.New("ledger: the public key is no ECDSA key on P-256")
	}
	return &ecdsaVerifier{parts[0], uint32(hash), p}, nil
}

type ecdsaVerifier struct {
	name string
	hash uint32
	key  *ecdsa.PublicKey
}

func (v *ecdsaVerifier) Name() string    { return v.name }
func (v *ecdsaVerifier) KeyHash() uint32 { return v.hash }
func (v *ecdsaVerifier) Verify(msg, sig []byte) bool {
	sum := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(v.key, sum[:], sig)
}

// The files of a ledger's own key.
const (
	privateKeyFile = "ledger.key"
	PublicKeyFile  = "ledger.pub" // in the ledger's folder, one key a line: the newest is the last
)

// ReadKeys reads the public keys of a file, one a line. A ledger whose key has
// changed has several; checkpoints of any of them count.
func ReadKeys(path string) ([]note.Verifier, error) {
	text, err := regular.ReadFile(path, maxSmall)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	var keys []note.Verifier
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, err := ParseVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("%w (in %s)", err, path)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("ledger: %s holds no key", path)
	}
	return keys, nil
}

// ownKey reads the private key in the folder, or makes one.
func ownKey(dir, origin string) (*Key, error) {
	path := filepath.Join(dir, privateKeyFile)
	text, err := regular.ReadFile(path, maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path, origin)
	}
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || strings.TrimSpace(string(rest)) != "" {
		return nil, fmt.Errorf("%s is no private key in PEM", path)
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read as a private key", path)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s cannot sign", path)
	}
	return NewKey(origin, signer)
}

func makeKey(path, origin string) (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	if err := regular.Replace(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	return NewKey(origin, private)
}

// publish adds the key to those that the folder tells.
func (k *Key) publish(dir string) (added bool, err error) {
	path := filepath.Join(dir, PublicKeyFile)
	text, err := regular.ReadFile(path, maxSmall)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	lines := strings.Fields(string(text))
	if len(lines) > 0 && lines[len(lines)-1] == k.text {
		return false, nil
	}
	return len(lines) > 0, regular.Replace(path, []byte(strings.Join(append(lines, k.text), "\n")+"\n"), 0o644)
}

// maxSmall bounds a file of keys, in bytes.
const maxSmall = 1 << 16
