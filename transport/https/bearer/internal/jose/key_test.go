package jose

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
)

func b64(data []byte) string { return encoding.EncodeToString(data) }

func odd(bits uint) []byte {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.Add(n, big.NewInt(1)).Bytes()
}

func TestKeysThatAreNotGood(t *testing.T) {
	t.Parallel()
	rsa := func(bits uint, e string) map[string]any {
		return map[string]any{"kty": "RSA", "n": b64(odd(bits)), "e": e}
	}
	ec := issuer.NewKey(t, "ES256").Bare()
	off := map[string]any{"kty": "EC", "crv": "P-256", "x": ec["x"], "y": ec["x"]}
	with := func(member string, value any) map[string]any {
		m := map[string]any{member: value}
		for name, v := range ec {
			if name != member {
				m[name] = v
			}
		}
		return m
	}
	tests := []struct {
		name string
		key  map[string]any
		want string
	}{
		{"RSA of 1024 bits", rsa(1024, "AQAB"), "weak"},
		{"RSA of 2047 bits", rsa(2047, "AQAB"), "weak"},
		{"RSA of 16384 bits", rsa(16384, "AQAB"), "more than"},
		{"RSA with exponent 1", rsa(2048, "AQ"), "weak"},
		{"RSA with exponent 3", rsa(2048, "Aw"), "weak"},
		{"RSA with an even exponent", rsa(2048, "AQAC"), "weak"},
		{"RSA with a huge exponent", rsa(2048, b64(odd(64))), "32 bits"},
		{"RSA with zeros before", map[string]any{"kty": "RSA", "n": b64(append([]byte{0}, odd(2048)...)), "e": "AQAB"}, "shortest"},
		{"point that is not on the curve", off, "no point"},
		{"point of another size", with("x", "AA"), "size"},
		{"unknown curve", with("crv", "secp256k1"), "no key for"},
		{"for encryption", with("use", "enc"), "no key for"},
		{"for signing only", with("key_ops", []string{"sign"}), "no key for"},
		{"for another algorithm of its kind", with("alg", "ES384"), "another kind"},
		{"for HMAC", with("alg", "HS256"), "no key for"},
		{"private", with("d", "AA"), "private"},
		{"symmetric", map[string]any{"kty": "oct", "k": "AAAA"}, "symmetric"},
		{"X25519", map[string]any{"kty": "OKP", "crv": "X25519", "x": b64(make([]byte, 32))}, "no key for"},
		{"Ed25519 of 31 bytes", map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(make([]byte, 31))}, "32 bytes"},
		{"nothing", map[string]any{}, "no key for"},
		{"members in capitals", map[string]any{"KTY": "EC", "CRV": "P-256", "X": ec["x"], "Y": ec["y"]}, "no key for"},
	}
	for _, test := range tests {
		data, err := json.Marshal(test.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseKey(data); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestSetsOfKeys(t *testing.T) {
	t.Parallel()
	a, b := issuer.NewKey(t, "ES256"), issuer.NewKey(t, "ES256")
	twin := *b
	twin.ID = a.ID
	weak := map[string]any{"kty": "RSA", "n": b64(odd(1024)), "e": "AQAB", "kid": "weak"}
	encryption := map[string]any{"kty": "EC", "crv": "P-256", "use": "enc"}
	parse := func(keys ...any) (int, int, error) {
		data, err := json.Marshal(map[string]any{"keys": keys})
		if err != nil {
			t.Fatal(err)
		}
		good, faults, err := ParseSet(data)
		return len(good), len(faults), err
	}
	if good, faults, err := parse(a.JWK(), weak, encryption, b.JWK()); good != 2 || faults != 1 || err != nil {
		t.Errorf("mixed: %d good, %d faults, %v", good, faults, err)
	}
	if _, _, err := parse(a.JWK(), twin.JWK()); err == nil {
		t.Error("two keys of one id")
	}
	if _, _, err := parse(weak); err == nil || !strings.Contains(err.Error(), "weak") {
		t.Errorf("a weak key only: %v", err)
	}
	many := make([]any, 65)
	for n := range many {
		many[n] = encryption
	}
	if _, _, err := parse(many...); err == nil || !strings.Contains(err.Error(), "the limit is 64") {
		t.Errorf("many: %v", err)
	}
}
