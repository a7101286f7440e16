package bearer

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
)

type claimset = map[string]any

func enc(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// hs256 signs with the public key as if it were a secret.
func hs256(tb testing.TB, secret []byte, header, claims any) string {
	tb.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		tb.Fatal(err)
	}
	input := enc(string(h)) + "." + enc(string(c))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + enc(string(mac.Sum(nil)))
}

func publicPEM(tb testing.TB, k crypto.PublicKey) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Each attack makes a token from an issuer that is honest otherwise. All are refused in the
// same words; the cause, which only the operator sees, shows that it was for the right
// reason.
var attacks = []struct {
	name  string
	make  func(testing.TB, *issuer.Issuer) string
	cause string
}{
	// The signature.
	{"alg none", raw(`{"alg":"none","typ":"at+jwt"}`), "algorithm is not allowed"},
	{"alg none without signature", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		t := withHeader(claimset{"alg": "none"})(tb, i)
		return t[:strings.LastIndex(t, ".")+1]
	}, "not base64url"},
	{"alg NONE in capitals", withHeader(claimset{"alg": "NONE"}), "algorithm is not allowed"},
	{"alg nOnE", withHeader(claimset{"alg": "nOnE"}), "algorithm is not allowed"},
	{"alg empty", withHeader(claimset{"alg": ""}), "no algorithm"},
	{"alg absent", withHeader(claimset{"alg": nil}), "no algorithm"},
	{"alg null", withHeader(claimset{"alg": issuer.Raw("null")}), "no algorithm"},
	{"alg a list", withHeader(claimset{"alg": []string{"ES256"}}), "wrong type"},
	{"alg in small letters", withHeader(claimset{"alg": "es256"}), "algorithm is not allowed"},
	{"alg with a space", withHeader(claimset{"alg": "ES256 "}), "algorithm is not allowed"},
	{"HS256 with the public key as PEM", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		k := i.Key()
		return hs256(tb, publicPEM(tb, k.Private.Public()), claimset{"alg": "HS256", "kid": k.ID, "typ": "at+jwt"}, i.Claims(endpoint, nil))
	}, "algorithm is not allowed"},
	{"HS256 with the key set as secret", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		k := i.Key()
		secret, err := json.Marshal(k.JWK())
		if err != nil {
			tb.Fatal(err)
		}
		return hs256(tb, secret, claimset{"alg": "HS256", "kid": k.ID, "typ": "at+jwt"}, i.Claims(endpoint, nil))
	}, "algorithm is not allowed"},
	{"HS256 with an empty secret", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		return hs256(tb, nil, claimset{"alg": "HS256", "kid": i.Key().ID, "typ": "at+jwt"}, i.Claims(endpoint, nil))
	}, "algorithm is not allowed"},
	{"RS256 said of an EC key", withHeader(claimset{"alg": "RS256"}), "no such key"},
	{"ES384 said of a P-256 key", withHeader(claimset{"alg": "ES384"}), "no such key"},
	{"EdDSA said of an EC key", withHeader(claimset{"alg": "EdDSA"}), "no such key"},
	{"PS256 by a key for RS256", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		k := i.Rotate(tb, "RS256")
		other := &issuer.Key{ID: k.ID, Alg: "PS256", Private: k.Private}
		return other.Sign(tb, claimset{"typ": "at+jwt"}, i.Claims(endpoint, nil))
	}, "no such key"},
	{"RS384, which is not allowed", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		k := i.Rotate(tb, "RS384")
		return k.Sign(tb, claimset{"typ": "at+jwt"}, i.Claims(endpoint, nil))
	}, "algorithm is not allowed"},
	{"another key under the id of the issuer's", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		k := issuer.NewKey(tb, "ES256")
		k.ID = i.Key().ID
		return k.Sign(tb, claimset{"typ": "at+jwt"}, i.Claims(endpoint, nil))
	}, "signature is wrong"},
	{"ECDSA signature of zeros (CVE-2022-21449)", signed(func([]byte) []byte { return make([]byte, 64) }), "signature is wrong"},
	{"ECDSA signature in DER", signed(func(s []byte) []byte {
		return append([]byte{0x30, 0x44, 2, 32}, append(append(s[:32:32], 2, 32), s[32:]...)...)
	}), "signature is wrong"},
	{"ECDSA signature of half the length", signed(func(s []byte) []byte { return s[:32] }), "signature is wrong"},
	{"ECDSA signature with a byte more", signed(func(s []byte) []byte { return append(s, 0) }), "signature is wrong"},
	{"signature of a bit less", signed(func(s []byte) []byte { s[3] ^= 1; return s }), "signature is wrong"},
	{"signature missing", signed(func([]byte) []byte { return nil }), "signature: not base64url"},
	{"claims changed after signing", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		parts := strings.Split(i.Token(tb, endpoint, nil), ".")
		other := strings.Split(i.Token(tb, endpoint, claimset{"sub": "root"}), ".")
		return parts[0] + "." + other[1] + "." + parts[2]
	}, "signature is wrong"},
	{"header changed after signing", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		parts := strings.Split(i.Token(tb, endpoint, nil), ".")
		return enc(`{"alg":"ES256","typ":"at+jwt","kid":"`+i.Key().ID+`","x":1}`) + "." + parts[1] + "." + parts[2]
	}, "signature is wrong"},

	// Keys that the token brings along, and extensions.
	{"own key in jwk (CVE-2018-0114)", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		k := issuer.NewKey(tb, "ES256")
		return k.Sign(tb, claimset{"typ": "at+jwt", "jwk": k.Bare()}, i.Claims(endpoint, nil))
	}, "brings its own key"},
	{"own keys in jku", withHeader(claimset{"jku": "https://attacker.example/jwks"}), "not supported"},
	{"own chain in x5u", withHeader(claimset{"x5u": "https://attacker.example/chain"}), "not supported"},
	{"own chain in x5c", withHeader(claimset{"x5c": []string{"AA=="}}), "not supported"},
	{"jku that is null", withHeader(claimset{"jku": issuer.Raw("null")}), "not supported"},
	{"crit with an unknown extension", withHeader(claimset{"crit": []string{"exp"}, "exp": 1}), "not supported"},
	{"crit empty", withHeader(claimset{"crit": []string{}}), "not supported"},
	{"payload not encoded (RFC 7797)", withHeader(claimset{"b64": false, "crit": []string{"b64"}}), "not supported"},
	{"b64 without crit", withHeader(claimset{"b64": false}), "not supported"},
	{"compressed", withHeader(claimset{"zip": "DEF"}), "not supported"},
	{"encrypted, by its header", withHeader(claimset{"enc": "A256GCM"}), "not supported"},
	{"encrypted, five parts", text("a.b.c.d.e"), "not a signed token"},

	// The key id.
	{"kid of nobody", withHeader(claimset{"kid": "nobody"}), "no such key"},
	{"kid a path", withHeader(claimset{"kid": "../../../../dev/null"}), "no such key"},
	{"kid an injection", withHeader(claimset{"kid": "' UNION SELECT 'secret"}), "no such key"},
	{"kid a number", withHeader(claimset{"kid": 7}), "wrong type"},
	{"no kid, and two keys", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		i.Rotate(tb, "ES256")
		return i.Key().Sign(tb, claimset{"typ": "at+jwt", "kid": nil}, i.Claims(endpoint, nil))
	}, "no such key"},

	// The kind of token.
	{"ID token by its typ", withHeader(claimset{"typ": "JWT"}), "no access token"},
	{"no typ", withHeader(claimset{"typ": nil}), "no access token"},
	{"logout token", withHeader(claimset{"typ": "logout+jwt"}), "no access token"},
	{"proof of possession as a token", withHeader(claimset{"typ": "dpop+jwt"}), "no access token"},
	{"ID token by its claims", with(claimset{"at_hash": "x"}), "ID token"},

	// How it is written.
	{"two parts", text("a.b"), "not a signed token"},
	{"nothing between the dots", text(".."), "not three parts"},
	{"an empty header", text(".e30.c2ln"), "not three parts"},
	{"header an array", raw(`[]`), "not an object"},
	{"header null", raw(`null`), "not an object"},
	{"header with two algs", raw(`{"alg":"none","alg":"ES256","typ":"at+jwt"}`), "duplicate member"},
	{"header with an escaped second alg", raw(`{"alg":"ES256","\u0061lg":"none","typ":"at+jwt"}`), "duplicate member"},
	{"header with ALG", raw(`{"ALG":"ES256","typ":"at+jwt"}`), "no algorithm"},
	{"header with data behind", raw(`{"alg":"ES256","typ":"at+jwt"}{}`), "after the value"},
	{"claims twice: sub", rawClaims(`{"sub":"alice","sub":"root"%s}`), "duplicate member"},
	{"claims twice: exp, escaped", rawClaims(`{"\u0065xp":99999999999%s}`), "duplicate member"},
	{"claims in capitals", rawClaims(`{"SUB":"root"%s}`), "no sub"},
	{"claims not UTF-8", rawClaims("{\"sub\":\"\xff\"%s}"), "invalid UTF-8"},
	{"claims with an unpaired surrogate", rawClaims(`{"sub":"\ud800"%s}`), "surrogate"},
	{"claims nested without end", rawClaims(`{"sub":"a","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `%s}`), "too deep"},
	{"claims with a comment", rawClaims(`{"sub":"a"/**/%s}`), "not strict JSON"},
	{"a line end in the base64", func(tb testing.TB, i *issuer.Issuer) string { // the header refuses it, too
		tb.Helper()
		t := i.Token(tb, endpoint, nil)
		return t[:10] + "\n" + t[10:]
	}, "allowed characters"},
	{"padded base64", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		return i.Token(tb, endpoint, nil) + "="
	}, "not base64url"},
	{"base64 with loose bits", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		t := []byte(i.Token(tb, endpoint, nil))
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := &t[len(t)-1] // of 64 bytes: four bits of it are nobody's
		*last = letters[strings.IndexByte(letters, *last)|1]
		return string(t)
	}, "not base64url"},
	{"base64 of the other alphabet", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		return i.Key().SignRaw(tb, []byte(`{"alg":"ES256","typ":"at+jwt"}`), []byte(`{}`)) + "/+"
	}, "not base64url"},
	{"longer than eight KiB", with(claimset{"x": strings.Repeat("x", 8<<10)}), "too long"},

	// Whose it is, and for whom.
	{"another issuer", with(claimset{"iss": "https://attacker.example"}), "none of the issuers"},
	{"issuer with a slash more", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		return i.Token(tb, endpoint, claimset{"iss": i.URL + "/"})
	}, "none of the issuers"},
	{"issuer in capitals", func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		return i.Token(tb, endpoint, claimset{"iss": strings.ToUpper(i.URL)})
	}, "none of the issuers"},
	{"no issuer", with(claimset{"iss": nil}), "none of the issuers"},
	{"issuer a list", with(claimset{"iss": []string{"x"}}), "wrong type"},
	{"another audience (confused deputy)", with(claimset{"aud": "https://other.example.com/mcp"}), "for others"},
	{"no audience", with(claimset{"aud": nil}), "for others"},
	{"an empty audience", with(claimset{"aud": ""}), "for others"},
	{"an empty list of audiences", with(claimset{"aud": []string{}}), "for others"},
	{"audience with a slash more", with(claimset{"aud": endpoint + "/"}), "for others"},
	{"audience that only begins like ours", with(claimset{"aud": endpoint + ".attacker.example"}), "for others"},
	{"audience that is our origin", with(claimset{"aud": "https://mcp.example.com"}), "for others"},
	{"audience in capitals", with(claimset{"aud": strings.ToUpper(endpoint)}), "for others"},
	{"audience with a number in the list", with(claimset{"aud": []any{endpoint, 7}}), "wrong type"},
	{"no subject", with(claimset{"sub": nil}), "no sub"},
	{"an empty subject", with(claimset{"sub": ""}), "no sub"},
	{"subject a number", with(claimset{"sub": 0}), "wrong type"},
	{"two clients", with(claimset{"azp": "other"}), "two clients"},
	{"tenant a list", with(claimset{"tid": []string{"a"}}), "tid: not a string"},
	{"scope with a quote, for the challenge", with(claimset{"scope": `a",error="`}), "not allowed"},
	{"scope an object", with(claimset{"scope": claimset{"a": 1}}), "neither text"},
	{"scopes without end", with(claimset{"scope": words(200)}), "more than 128"},
	{"delegation without end", with(claimset{"act": nested(12)}), "act:"},
	{"an actor without a name", with(claimset{"act": claimset{"client_id": "x"}}), "act:"},
	{"bound in an unknown way", with(claimset{"cnf": claimset{"kid": "x"}}), "not known"},
	{"bound to nothing", with(claimset{"cnf": claimset{}}), "bound to nothing"},
	{"bound to an empty key", with(claimset{"cnf": claimset{"jkt": ""}}), "bound to nothing"},

	// Time.
	{"no exp", with(claimset{"exp": nil}), "no exp"},
	{"exp zero", with(claimset{"exp": 0}), "wrong type"},
	{"exp a text", with(claimset{"exp": "99999999999"}), "wrong type"},
	{"exp beyond numbers", with(claimset{"exp": issuer.Raw("1e400")}), "wrong type"},
	{"exp in milliseconds", with(claimset{"exp": time.Now().UnixMilli()}), "wrong type"},
	{"exp negative", with(claimset{"exp": -1}), "wrong type"},
	{"no iat", with(claimset{"iat": nil}), "no iat"},
	{"iat in the future", with(claimset{"iat": time.Minute, "exp": 2 * time.Minute}), "from the future"},
	{"exp before iat", with(claimset{"exp": -time.Minute}), "before iat"},
	{"nbf in the future", with(claimset{"nbf": time.Minute}), "not good yet"},
	{"lives for a day", with(claimset{"exp": 24 * time.Hour}), "lives longer"},
}

func text(s string) func(testing.TB, *issuer.Issuer) string {
	return func(testing.TB, *issuer.Issuer) string { return s }
}

func raw(header string) func(testing.TB, *issuer.Issuer) string {
	return func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		c, err := json.Marshal(i.Claims(endpoint, nil))
		if err != nil {
			tb.Fatal(err)
		}
		return i.Key().SignRaw(tb, []byte(header), c)
	}
}

// rawClaims signs claims as they are written; %s stands for the rest of good ones.
func rawClaims(format string) func(testing.TB, *issuer.Issuer) string {
	return func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		now := time.Now().Unix()
		rest := fmt.Sprintf(`,"iss":%q,"aud":%q,"iat":%d,"exp":%d`, i.URL, endpoint, now, now+60)
		return i.Key().SignRaw(tb, []byte(`{"alg":"ES256","typ":"at+jwt"}`), []byte(strings.Replace(format, "%s", rest, 1)))
	}
}

func withHeader(header claimset) func(testing.TB, *issuer.Issuer) string {
	return func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		h := claimset{"typ": "at+jwt"}
		maps.Copy(h, header)
		return i.Key().Sign(tb, h, i.Claims(endpoint, nil))
	}
}

func with(claims claimset) func(testing.TB, *issuer.Issuer) string {
	return func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		return i.Token(tb, endpoint, claims)
	}
}

func signed(change func([]byte) []byte) func(testing.TB, *issuer.Issuer) string {
	return func(tb testing.TB, i *issuer.Issuer) string {
		tb.Helper()
		t := i.Token(tb, endpoint, nil)
		at := strings.LastIndex(t, ".") + 1
		sig, err := base64.RawURLEncoding.DecodeString(t[at:])
		if err != nil {
			tb.Fatal(err)
		}
		return t[:at] + enc(string(change(sig)))
	}
}

func words(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "s%d ", i)
	}
	return b.String()
}

func nested(n int) claimset {
	act := claimset{"sub": "x"}
	for range n {
		act = claimset{"sub": "x", "act": act}
	}
	return act
}

func TestAttackTokensAreRefused(t *testing.T) {
	t.Parallel()
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			honest := r.issuer.Key()
			_, err := r.try(t, attack.make(t, r.issuer))
			status, code, words := http.StatusUnauthorized, invalidToken, textInvalid
			if strings.Contains(attack.cause, "allowed characters") || strings.Contains(attack.cause, "too long") {
				status, code, words = http.StatusBadRequest, invalidRequest, textRequest
			}
			e := refusal(t, err, status, code, words)
			if !strings.Contains(e.Cause.Error(), attack.cause) {
				t.Errorf("refused because %q, want %q", e.Cause, attack.cause)
			}
			r.good(t, honest.Sign(t, claimset{"typ": "at+jwt"}, r.issuer.Claims(endpoint, nil)))
		})
	}
}

func TestExpiredTokenIsRefusedInItsOwnWords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.issuer.Token(t, endpoint, nil)
	id := r.good(t, token)
	r.clock.add(5*time.Minute + 11*time.Second)
	r.refused(t, token, invalidToken, textExpired)
	if !id.Expires.Before(r.clock.now()) {
		t.Errorf("the identity goes on until %v", id.Expires)
	}
	old := r.issuer.Token(t, endpoint, claimset{"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(-30 * time.Minute).Unix()})
	r.refused(t, old, invalidToken, textExpired)
	// Of a token that is not the issuer's, not even that it has expired is said.
	k := issuer.NewKey(t, "ES256")
	k.ID = r.issuer.Key().ID
	forged := k.Sign(t, claimset{"typ": "at+jwt"}, r.issuer.Claims(endpoint, claimset{"iat": 100, "exp": 200}))
	r.refused(t, forged, invalidToken, textInvalid)
}
