package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// An algorithm is a way to sign with a kind of key: asymmetric ones only, so that no public
// key can serve as the secret of an HMAC.
type algorithm struct {
	method jwt.SigningMethod
	fits   func(crypto.PublicKey) bool
}

var algorithms = map[string]algorithm{
	"RS256": {jwt.SigningMethodRS256, isRSA},
	"RS384": {jwt.SigningMethodRS384, isRSA},
	"RS512": {jwt.SigningMethodRS512, isRSA},
	"PS256": {jwt.SigningMethodPS256, isRSA},
	"PS384": {jwt.SigningMethodPS384, isRSA},
	"PS512": {jwt.SigningMethodPS512, isRSA},
	"ES256": {jwt.SigningMethodES256, isCurve("P-256")},
	"ES384": {jwt.SigningMethodES384, isCurve("P-384")},
	"ES512": {jwt.SigningMethodES512, isCurve("P-521")},
	"EdDSA": {jwt.SigningMethodEdDSA, isEd25519},
}

// Default lists the algorithms that are accepted unless others are named.
func Default() []string { return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} }

// CheckAlgorithms reports a name that is no algorithm for signatures with key pairs.
func CheckAlgorithms(names []string) error {
	for _, name := range names {
		if _, ok := algorithms[name]; !ok {
			return fmt.Errorf("algorithm %q: only RS, PS and ES with 256, 384 or 512 and EdDSA are known", name)
		}
	}
	return nil
}

func isRSA(k crypto.PublicKey) bool { _, ok := k.(*rsa.PublicKey); return ok }

func isEd25519(k crypto.PublicKey) bool { _, ok := k.(ed25519.PublicKey); return ok }

func isCurve(name string) func(crypto.PublicKey) bool {
	return func(k crypto.PublicKey) bool {
		ec, ok := k.(*ecdsa.PublicKey)
		return ok && ec.Params().Name == name
	}
}

// ErrSignature is returned where a signature is wrong.
var ErrSignature = errors.New("the signature is wrong")

// Verify verifies the token's signature. The algorithm must be one of allowed, and the
// key's own where it names one; the kind of key must be the algorithm's.
func (t *Token) Verify(k *Key, allowed []string) error {
	alg := algorithms[t.Header.Algorithm]
	switch {
	case alg.method == nil || !slices.Contains(allowed, t.Header.Algorithm):
		return errors.New("the algorithm is not allowed")
	case !k.Fits(t.Header.Algorithm):
		return errors.New("the key is not for this algorithm")
	}
	if err := alg.method.Verify(t.input, t.signature, k.Public); err != nil {
		return ErrSignature
	}
	return nil
}

// Fits reports whether the key may verify signatures of an algorithm.
func (k *Key) Fits(alg string) bool {
	a, ok := algorithms[alg]
	return ok && (k.Algorithm == "" || k.Algorithm == alg) && a.fits(k.Public)
}
