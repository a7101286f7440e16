// Package jws signs the short-lived JSON Web Tokens by which a client proves who it is
// (RFC 7515, RFC 7519, RFC 7523) with a key that may live in hardware.
package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
)

// An Algorithm is a name of RFC 7518 or RFC 8037.
type Algorithm string

// The algorithms.
const (
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
	RS256 Algorithm = "RS256"
	PS256 Algorithm = "PS256"
)

// For returns the algorithm of a key: ES256 for P-256, EdDSA for Ed25519, RS256 for
// RSA of at least 2048 bits.
func For(key crypto.Signer) (Algorithm, error) {
	if key == nil {
		return "", errors.New("the signing key is missing")
	}
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return "", errors.New("the signing key is not on P-256")
		}
		return ES256, nil
	case ed25519.PublicKey:
		return EdDSA, nil
	case *rsa.PublicKey:
		if public.N.BitLen() < 2048 {
			return "", fmt.Errorf("the signing key has %d bits, RSA needs 2048", public.N.BitLen())
		}
		return RS256, nil
	default:
		return "", fmt.Errorf("the signing key is a %T: use ECDSA P-256, Ed25519 or RSA", public)
	}
}

// Sign returns the compact form of claims signed by the key. The header gets "alg"
// and "typ" and what else is given.
func Sign(key crypto.Signer, alg Algorithm, header map[string]any, claims any) (string, error) {
	full := map[string]any{"typ": "JWT"}
	maps.Copy(full, header)
	full["alg"] = alg
	head, err := json.Marshal(full)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	input := enc.EncodeToString(head) + "." + enc.EncodeToString(body)
	signature, err := sign(key, alg, []byte(input))
	if err != nil {
		return "", fmt.Errorf("signing with %s: %w", alg, err)
	}
	return input + "." + enc.EncodeToString(signature), nil
}

func sign(key crypto.Signer, alg Algorithm, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch alg {
	case EdDSA:
		return key.Sign(rand.Reader, input, crypto.Hash(0))
	case RS256:
		return key.Sign(rand.Reader, digest[:], crypto.SHA256)
	case PS256:
		return key.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	case ES256:
		der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return fixed(der)
	default:
		return nil, errors.New("unknown algorithm")
	}
}

// fixed turns the ASN.1 form that every signer returns into the two numbers of 32
// bytes each that JWS wants (RFC 7518 section 3.4).
func fixed(der []byte) ([]byte, error) {
	var pair struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &pair)
	if err != nil || len(rest) != 0 || pair.R.Sign() <= 0 || pair.S.Sign() <= 0 || pair.R.BitLen() > 256 || pair.S.BitLen() > 256 {
		return nil, errors.New("the key's signature is not one of P-256")
	}
	out := make([]byte, 64)
	pair.R.FillBytes(out[:32])
	pair.S.FillBytes(out[32:])
	return out, nil
}

// ID returns a random identifier of 128 bits, for "jti".
func ID() string { return rand.Text() }
