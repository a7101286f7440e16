package jose

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// What is accepted here means the same to a usual reader.
func FuzzParse(f *testing.F) {
	k := issuer.NewKey(f, "ES256")
	f.Add(k.Sign(f, map[string]any{"typ": "at+jwt"}, map[string]any{"sub": "a"}))
	f.Add(k.Sign(f, map[string]any{"jwk": k.Bare()}, map[string]any{"sub": "a"}))
	for _, seed := range []string{"", ".", "..", "...", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJub25lIn0.e30.AA", "eyJhbGciOiJub25lIn0=.e30.AA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := Parse(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(text, "\r\n=") {
			t.Error("several spellings")
		}
		other, _, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
		if err != nil {
			if strings.Contains(err.Error(), "signing method") {
				return // refused later, by its algorithm
			}
			t.Fatalf("another reader: %v", err)
		}
		if other.Header["alg"] != token.Header.Algorithm {
			t.Errorf("alg %q, another reader: %v", token.Header.Algorithm, other.Header["alg"])
		}
		if kid, ok := other.Header["kid"].(string); ok && kid != token.Header.KeyID {
			t.Errorf("kid %q, another reader: %q", token.Header.KeyID, kid)
		}
		if err := mcpsec.CheckJSON(token.Claims); err != nil {
			t.Error(err)
		}
		if token.Verify(&Key{Public: k.Private.Public()}, []string{"none", "HS256"}) == nil {
			t.Error("verified")
		}
	})
}

func FuzzParseSet(f *testing.F) {
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		data, err := json.Marshal(map[string]any{"keys": []any{issuer.NewKey(f, alg).JWK()}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, _, err := ParseSet(data)
		if err == nil && len(keys) == 0 {
			t.Error("no keys and no error")
		}
		for _, k := range keys {
			if k.Public == nil || len(k.Thumbprint) != 43 {
				t.Errorf("key %+v", k)
			}
			var fits int
			for alg := range algorithms {
				if k.Fits(alg) {
					fits++
				}
			}
			if fits == 0 || k.Fits("HS256") || k.Fits("none") {
				t.Errorf("key for %d algorithms", fits)
			}
		}
	})
}
