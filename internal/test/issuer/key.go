package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512" // for the hashes below
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"testing"
)

// A Key signs. It is immutable but for its fields, which belong to who made it.
type Key struct {
	ID      string
	Alg     string
	Private crypto.Signer
}

// NewKey makes a key for RS256, RS384, PS256, ES256, ES384, ES512 or EdDSA.
func NewKey(tb testing.TB, alg string) *Key {
	tb.Helper()
	k := &Key{ID: unique(), Alg: alg}
	var err error
	switch alg {
	case "RS256", "RS384", "PS256":
		k.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		k.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k.Private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		k.Private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, k.Private, err = ed25519.GenerateKey(rand.Reader)
	default:
		tb.Fatalf("no algorithm %q", alg)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// Sign signs claims, a value for JSON or a json.RawMessage as it is. The header gets the
// key's alg and kid; the members of header replace them or add more, and nil removes one.
func (k *Key) Sign(tb testing.TB, header map[string]any, claims any) string {
	tb.Helper()
	h := map[string]any{"alg": k.Alg, "kid": k.ID}
	maps.Copy(h, header)
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
	return k.SignRaw(tb, marshal(tb, h), marshal(tb, claims))
}

// SignRaw signs the bytes of a header and claims, whatever they are.
func (k *Key) SignRaw(tb testing.TB, header, claims []byte) string {
	tb.Helper()
	input := b64(header) + "." + b64(claims)
	return input + "." + b64(k.signature(tb, []byte(input)))
}

func (k *Key) signature(tb testing.TB, input []byte) []byte {
	tb.Helper()
	hash, ok := map[string]crypto.Hash{
		"RS256": crypto.SHA256, "PS256": crypto.SHA256, "ES256": crypto.SHA256,
		"RS384": crypto.SHA384, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
	}[k.Alg]
	var digest []byte
	if ok {
		h := hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	var sig []byte
	var err error
	switch key := k.Private.(type) {
	case ed25519.PrivateKey:
		sig = ed25519.Sign(key, input)
	case *rsa.PrivateKey:
		if k.Alg == "PS256" {
			sig, err = rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(nil, key, hash, digest)
		}
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, key, digest)
		if err == nil {
			size := (key.Curve.Params().BitSize + 7) / 8
			sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return sig
}

// JWK returns the public key with kid, alg and use.
func (k *Key) JWK() map[string]any {
	jwk := k.Bare()
	jwk["kid"], jwk["alg"], jwk["use"] = k.ID, k.Alg, "sig"
	return jwk
}

// Bare returns the required members of the public key only.
func (k *Key) Bare() map[string]any {
	switch pub := k.Private.Public().(type) {
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(pub)}
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "n": b64(pub.N.Bytes()), "e": b64(big.NewInt(int64(pub.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			panic(err) // a key that was just made
		}
		half := (len(point) - 1) / 2
		return map[string]any{"kty": "EC", "crv": pub.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	}
	return map[string]any{}
}

func marshal(tb testing.TB, v any) []byte {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func unique() string { return rand.Text() }
