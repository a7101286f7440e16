package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/segmentio/encoding/json"
)

// Bounds of RSA: shorter keys are weak, longer ones are a way to burn our time.
const (
	minModulus = 2048
	maxModulus = 8192
)

// A Key is a public key for signatures.
type Key struct {
	ID        string
	Algorithm string // the only one it is for; empty means any of its kind
	Public    crypto.PublicKey
	// Thumbprint is that of RFC 7638 by SHA-256, in base64url.
	Thumbprint string
}

// jwk has the members of a key that matter. Those of private and symmetric keys are there
// to be refused.
type jwk struct {
	Kind       string   `json:"kty"`
	ID         string   `json:"kid"`
	Algorithm  string   `json:"alg"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Curve      string   `json:"crv"`
	N          string   `json:"n"`
	E          string   `json:"e"`
	X          string   `json:"x"`
	Y          string   `json:"y"`

	Private   json.RawMessage `json:"d"`
	Symmetric json.RawMessage `json:"k"`
}

// errOther is returned for keys that are for something else: encryption, other curves.
var errOther = errors.New("no key for signatures that are known here")

// ParseKey reads one public key. Weak ones and private ones are errors.
func ParseKey(data []byte) (*Key, error) {
	var j jwk
	if err := Decode(data, &j); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return j.key()
}

func (j *jwk) key() (*Key, error) {
	switch {
	case j.Private != nil:
		return nil, errors.New("a private key was made public")
	case j.Symmetric != nil || j.Kind == "oct":
		return nil, errors.New("a symmetric key was made public")
	case j.Use != "" && j.Use != "sig", j.Operations != nil && !slices.Contains(j.Operations, "verify"):
		return nil, errOther
	case j.Algorithm != "" && algorithms[j.Algorithm].method == nil:
		return nil, errOther
	}
	k := &Key{ID: j.ID, Algorithm: j.Algorithm}
	var canonical string
	var err error
	switch j.Kind {
	case "RSA":
		k.Public, canonical, err = j.rsa()
	case "EC":
		k.Public, canonical, err = j.ec()
	case "OKP":
		k.Public, canonical, err = j.ed25519()
	default:
		return nil, errOther
	}
	if err != nil {
		return nil, err
	}
	if k.Algorithm != "" && !k.Fits(k.Algorithm) {
		return nil, errors.New("the key's algorithm is for another kind of key")
	}
	sum := sha256.Sum256([]byte(canonical))
	k.Thumbprint = base64.RawURLEncoding.EncodeToString(sum[:])
	return k, nil
}

func (j *jwk) rsa() (crypto.PublicKey, string, error) {
	n, err := decode(j.N)
	if err != nil || len(n) == 0 || n[0] == 0 {
		return nil, "", errors.New("RSA: n is not the shortest base64url")
	}
	e, err := decode(j.E)
	if err != nil || len(e) == 0 || len(e) > 4 || e[0] == 0 {
		return nil, "", errors.New("RSA: e is not the shortest base64url of at most 32 bits")
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e).Int64()
	switch bits := modulus.BitLen(); {
	case bits < minModulus:
		return nil, "", fmt.Errorf("RSA: %d bits are weak, use %d at least", bits, minModulus)
	case bits > maxModulus:
		return nil, "", fmt.Errorf("RSA: %d bits are more than %d", bits, maxModulus)
	case modulus.Bit(0) == 0, exponent < 65537, exponent >= 1<<31, exponent%2 == 0:
		return nil, "", errors.New("RSA: weak modulus or exponent")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent)}, `{"e":"` + j.E + `","kty":"RSA","n":"` + j.N + `"}`, nil
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

func (j *jwk) ec() (crypto.PublicKey, string, error) {
	curve, ok := curves[j.Curve]
	if !ok {
		return nil, "", errOther
	}
	size := (curve.Params().BitSize + 7) / 8
	x, errX := decode(j.X)
	y, errY := decode(j.Y)
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return nil, "", errors.New("EC: x and y are not of the curve's size")
	}
	k, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, "", errors.New("EC: no point of the curve")
	}
	return k, `{"crv":"` + j.Curve + `","kty":"EC","x":"` + j.X + `","y":"` + j.Y + `"}`, nil
}

func (j *jwk) ed25519() (crypto.PublicKey, string, error) {
	if j.Curve != "Ed25519" {
		return nil, "", errOther
	}
	x, err := decode(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, "", errors.New("OKP: x is not 32 bytes")
	}
	return ed25519.PublicKey(x), `{"crv":"Ed25519","kty":"OKP","x":"` + j.X + `"}`, nil
}
