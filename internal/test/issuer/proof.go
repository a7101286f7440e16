package issuer

import (
	"crypto/sha256"
	"encoding/json"
	"testing"
	"time"
)

// Thumbprint returns that of the key (RFC 7638), the "jkt" of a token bound to it.
func (k *Key) Thumbprint(tb testing.TB) string {
	tb.Helper()
	// Required members only, and json.Marshal sorts them: the canonical form.
	sum := sha256.Sum256(marshal(tb, k.Bare()))
	return b64(sum[:])
}

// Proof returns a good proof of possession of the key (RFC 9449) for one request with a
// token. The members of claims replace or add some, as those of [Issuer.Claims] do.
func (k *Key) Proof(tb testing.TB, method, url, token string, claims map[string]any) string {
	tb.Helper()
	sum := sha256.Sum256([]byte(token))
	now := time.Now()
	all := map[string]any{
		"jti": unique(), "htm": method, "htu": url, "iat": now.Unix(), "ath": b64(sum[:]),
	}
	change(all, claims, now)
	return k.Sign(tb, map[string]any{"typ": "dpop+jwt", "kid": nil, "jwk": k.Bare()}, all)
}

// Raw keeps JSON as it is written, duplicate members and all; see [Key.SignRaw] for what is
// no JSON.
func Raw(text string) json.RawMessage { return json.RawMessage(text) }
