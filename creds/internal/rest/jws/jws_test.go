package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/json"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func keys(t *testing.T) map[Algorithm]crypto.Signer {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[Algorithm]crypto.Signer{ES256: ec, EdDSA: ed, RS256: rs}
}

// TestAnotherLibraryAgrees verifies with go-jose, which shares no code with this
// package.
func TestAnotherLibraryAgrees(t *testing.T) {
	t.Parallel()
	all := keys(t)
	for want, key := range all {
		alg, err := For(key)
		if err != nil || alg != want {
			t.Fatalf("%s: %s, %v", want, alg, err)
		}
	}
	all[PS256] = all[RS256]
	for alg, key := range all {
		for range 20 { // numbers of less than 32 bytes come up now and then
			token, err := Sign(key, alg, map[string]any{"kid": "k1", "alg": "none"}, map[string]any{"iss": "me", "exp": 1700000000})
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			payload, err := parsed.Verify(key.Public())
			var claims map[string]any
			if err != nil || json.Unmarshal(payload, &claims) != nil || claims["iss"] != "me" || parsed.Signatures[0].Header.KeyID != "k1" {
				t.Fatalf("%s: %v, %v", alg, claims, err)
			}
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for fault, key := range map[string]crypto.Signer{"none": nil, "another curve": p384, "short RSA": short{}, "unknown": odd{}} {
		if alg, err := For(key); err == nil {
			t.Errorf("%s: %s", fault, alg)
		}
	}
}

type short struct{ crypto.Signer }

func (short) Public() crypto.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
}

type odd struct{ crypto.Signer }

func (odd) Public() crypto.PublicKey { return "odd" }

// liar is a key in hardware that answers nonsense.
type liar struct {
	crypto.Signer
	answer []byte
}

func (l liar) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return l.answer, nil }

func TestSignerThatAnswersNonsense(t *testing.T) {
	t.Parallel()
	big256 := new(big.Int).Lsh(big.NewInt(1), 256)
	for fault, pair := range map[string]struct{ R, S *big.Int }{
		"too large": {big256, big.NewInt(1)}, "negative": {big.NewInt(-1), big.NewInt(1)}, "zero": {big.NewInt(0), big.NewInt(1)},
	} {
		der, err := asn1.Marshal(pair)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Sign(liar{answer: der}, ES256, nil, nil); err == nil {
			t.Errorf("%s: no error", fault)
		}
	}
	for _, answer := range []string{"", "x", strings.Repeat("\x30", 64)} {
		if _, err := Sign(liar{answer: []byte(answer)}, ES256, nil, nil); err == nil {
			t.Errorf("%q: no error", answer)
		}
	}
	if _, err := Sign(liar{}, "none", nil, nil); err == nil {
		t.Error("alg none was signed")
	}
}

func FuzzFixed(f *testing.F) {
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	f.Fuzz(func(t *testing.T, der []byte) {
		if out, err := fixed(der); err == nil && len(out) != 64 {
			t.Fatalf("%d bytes", len(out))
		}
	})
}
