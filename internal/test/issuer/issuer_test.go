package issuer_test

import (
	"crypto"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(tb testing.TB, i *issuer.Issuer) *http.Client {
	tb.Helper()
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.Roots, MinVersion: tls.VersionTLS13}}
	tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

func get(tb testing.TB, c *http.Client, address string, v any) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		tb.Fatalf("%s: %v", address, err)
	}
}

// What the issuer signs is good for a library that shares no code with it.
func TestAnotherLibraryVerifiesWhatItSigns(t *testing.T) {
	t.Parallel()
	i := issuer.New(t)
	c := client(t, i)
	for _, alg := range []string{"RS256", "RS384", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		i.Rotate(t, alg)
		token := i.Token(t, "https://mcp.example", nil)
		var meta struct {
			JWKS string `json:"jwks_uri"`
		}
		get(t, c, i.URL+issuer.Metadata, &meta)
		var keys jose.JSONWebKeySet
		get(t, c, meta.JWKS, &keys)
		signed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		var claims jwt.Claims
		if err := signed.Claims(&keys, &claims); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if claims.Subject != "alice" || claims.Issuer != i.URL {
			t.Errorf("%s: claims %+v", alg, claims)
		}
		public := keys.Key(i.Key().ID)[0]
		sum, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if got := i.Key().Thumbprint(t); got != base64.RawURLEncoding.EncodeToString(sum) {
			t.Errorf("%s: thumbprint %s", alg, got)
		}
	}
	if n := i.Asked(issuer.JWKS); n != 7 {
		t.Errorf("%d fetches counted", n)
	}
}

func TestIntrospectionKnowsItsClientAndTokens(t *testing.T) {
	t.Parallel()
	i := issuer.New(t)
	c := client(t, i)
	i.Inform("opaque", map[string]any{"active": true, "sub": "bob"})
	ask := func(secret, token string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL+issuer.Introspect,
			strings.NewReader(url.Values{"token": {token}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(issuer.Client, url.QueryEscape(secret))
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if code, _ := ask("wrong", "opaque"); code != http.StatusUnauthorized {
		t.Errorf("wrong secret: %d", code)
	}
	if _, body := ask(issuer.Secret, "opaque"); !strings.Contains(body, `"bob"`) {
		t.Errorf("known token: %s", body)
	}
	if _, body := ask(issuer.Secret, "other"); !strings.Contains(body, `"active":false`) {
		t.Errorf("unknown token: %s", body)
	}
}
