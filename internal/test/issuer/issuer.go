// Package issuer is an authorization server for tests, in the process and on the
// loopback: discovery, keys that rotate, tokens with any header and claims, introspection,
// proofs of possession, and faults to order. It counts what it is asked. It signs with the
// standard library alone, so that what it makes was not made by what is under test.
package issuer

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Paths that the issuer serves, for [Issuer.Asked] and [Issuer.Fail].
const (
	Metadata   = "/.well-known/oauth-authorization-server"
	OpenID     = "/.well-known/openid-configuration"
	JWKS       = "/jwks"
	Introspect = "/introspect"
)

// Client and Secret are what the introspection endpoint demands by HTTP Basic.
const (
	Client = "resource"
	Secret = "s3cret & more"
)

// An Issuer is one authorization server. It lives as long as its test. All methods are safe
// for concurrent use.
type Issuer struct {
	// URL is the issuer's identifier, https on the loopback.
	URL string
	// Roots are the authorities of its certificate.
	Roots *x509.CertPool
	// TLS is its certificate.
	TLS tls.Certificate
	// Now is what its tokens are dated by; nil is the time.
	Now func() time.Time

	mu      sync.Mutex
	keys    []*Key // published, newest last
	asked   map[string]int
	faults  map[string]Fault
	inform  map[string]map[string]any // introspection answers by token
	changed map[string]any            // of the metadata
}

// New starts an issuer with one key for ES256.
func New(tb testing.TB) *Issuer {
	tb.Helper()
	i := &Issuer{
		asked: make(map[string]int), faults: make(map[string]Fault),
		inform: make(map[string]map[string]any), changed: make(map[string]any),
	}
	ts := httptest.NewUnstartedServer(i)
	ts.Config.ErrorLog = quiet
	ts.StartTLS()
	i.URL, i.TLS = ts.URL, ts.TLS.Certificates[0]
	i.Roots = x509.NewCertPool()
	i.Roots.AddCert(ts.Certificate())
	i.Rotate(tb, "ES256")
	tb.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	return i
}

// Rotate publishes a new key and returns it; [Issuer.Token] signs with the newest. Older
// keys stay published until [Issuer.Retire].
func (i *Issuer) Rotate(tb testing.TB, alg string) *Key {
	tb.Helper()
	k := NewKey(tb, alg)
	i.Publish(k)
	return k
}

// Publish publishes a key that was made elsewhere.
func (i *Issuer) Publish(k *Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, k)
}

// Retire takes a key out of the published ones.
func (i *Issuer) Retire(k *Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = slices.DeleteFunc(i.keys, func(have *Key) bool { return have == k })
}

// Key returns the newest published key.
func (i *Issuer) Key() *Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

// Claims returns those of a good access token for an audience: RFC 9068, good for five
// minutes. The pairs of others replace or add claims; nil removes one, and a time.Duration is
// that long from now, which a table that is made before its tests run cannot know.
func (i *Issuer) Claims(audience string, others map[string]any) map[string]any {
	now := time.Now()
	if i.Now != nil {
		now = i.Now()
	}
	claims := map[string]any{
		"iss": i.URL, "aud": audience, "sub": "alice", "client_id": "app", "scope": "read",
		"iat": now.Unix(), "exp": now.Unix() + 300, "jti": unique(),
	}
	change(claims, others, now)
	return claims
}

// change replaces, adds and removes members.
func change(claims, by map[string]any, now time.Time) {
	maps.Copy(claims, by)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	for name, v := range claims {
		if d, ok := v.(time.Duration); ok {
			claims[name] = now.Add(d).Unix()
		}
	}
}

// Token returns a good access token, signed with the newest key; see [Issuer.Claims].
func (i *Issuer) Token(tb testing.TB, audience string, others map[string]any) string {
	tb.Helper()
	return i.Key().Sign(tb, map[string]any{"typ": "at+jwt"}, i.Claims(audience, others))
}

// Inform says what introspection answers for a token; unknown ones are not active. The
// answer must not be changed afterwards.
func (i *Issuer) Inform(token string, answer map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.inform[token] = answer
}

// Announce changes a member of the metadata.
func (i *Issuer) Announce(member string, value any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.changed[member] = value
}

// Asked returns how often a path was asked for.
func (i *Issuer) Asked(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

// Fail makes a path misbehave until it is told otherwise; nil makes it good again.
func (i *Issuer) Fail(path string, f Fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.faults[path] = f
}

func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked[r.URL.Path]++
	fault := i.faults[r.URL.Path]
	i.mu.Unlock()
	if fault != nil {
		fault(w, r)
		return
	}
	switch r.URL.Path {
	case Metadata, OpenID:
		write(w, i.metadata())
	case JWKS:
		write(w, i.jwks())
	case Introspect:
		i.introspect(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (i *Issuer) metadata() map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	m := map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + JWKS, "introspection_endpoint": i.URL + Introspect,
		"response_types_supported": []string{"code"},
	}
	maps.Copy(m, i.changed)
	return m
}

func (i *Issuer) jwks() map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	keys := make([]map[string]any, 0, len(i.keys))
	for _, k := range i.keys {
		keys = append(keys, k.JWK())
	}
	return map[string]any{"keys": keys}
}

func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	client, secret, _ := r.BasicAuth()
	if r.Method != http.MethodPost || client != Client || secret != formEncode(Secret) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	i.mu.Lock()
	answer := i.inform[r.PostFormValue("token")]
	i.mu.Unlock()
	if answer == nil {
		answer = map[string]any{"active": false}
	}
	write(w, answer)
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // what tests put in is JSON, or they see the answer cut off
}
