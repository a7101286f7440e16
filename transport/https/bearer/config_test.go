package bearer

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
)

func TestFaultyConfigurations(t *testing.T) {
	t.Parallel()
	secret := func(context.Context) (string, error) { return "", nil }
	valid := func() Config {
		return Config{Issuers: []Issuer{{URL: "https://login.example.com"}}, Audience: []string{endpoint}}
	}
	if _, err := New(valid()); err != nil {
		t.Fatal(err)
	}
	first := func(change func(*Issuer)) func(*Config) { return func(c *Config) { change(&c.Issuers[0]) } }
	tests := []struct {
		fault  string
		change func(*Config)
	}{
		{"Issuers is empty", func(c *Config) { c.Issuers = nil }},
		{"Audience is empty", func(c *Config) { c.Audience = nil }},
		{"Audience is empty", func(c *Config) { c.Audience = []string{""} }},
		{"not an https URL", first(func(i *Issuer) { i.URL = "http://login.example.com" })},
		{"not an https URL", first(func(i *Issuer) { i.URL = "" })},
		{"a user, a query or a fragment", first(func(i *Issuer) { i.URL += "?a=b" })},
		{"a user, a query or a fragment", first(func(i *Issuer) { i.URL = "https://a:b@login.example.com" })},
		{"not an https URL", first(func(i *Issuer) { i.JWKS = "file:///jwks" })},
		{"not both Keys and JWKS", first(func(i *Issuer) { i.JWKS, i.Keys = "https://a.example", []byte(`{}`) })},
		{"no key for signatures", first(func(i *Issuer) { i.Keys = []byte(`{"keys":[]}`) })},
		{"twice", func(c *Config) { c.Issuers = append(c.Issuers, c.Issuers[0]) }},
		{"HS256", first(func(i *Issuer) { i.Algorithms = []string{"HS256"} })},
		{"none", first(func(i *Issuer) { i.Algorithms = []string{"none"} })},
		{"HS256", func(c *Config) { c.DPoP.Algorithms = []string{"HS256"} }},
		{"Types is empty", first(func(i *Issuer) { i.Types = []string{} })},
		{"needs Clients", first(func(i *Issuer) { i.ClientsAreAudience = true })},
		{"exclude each other", first(func(i *Issuer) { i.ClientsAreAudience, i.Clients, i.Audience = true, []string{"a"}, []string{"b"} })},
		{"at most 1m", func(c *Config) { c.Skew = time.Hour }},
		{"at most 5m", func(c *Config) { c.DPoP.Window = time.Hour }},
		{"at least 1s", first(func(i *Issuer) { i.Refresh = time.Millisecond })},
		{"MaxLifetime", first(func(i *Issuer) { i.MaxLifetime = -1 })},
		{"ClientID and Secret", first(func(i *Issuer) { i.Introspection = &Introspection{} })},
		{"at most 5s", first(func(i *Issuer) { i.Introspection = &Introspection{ClientID: "a", Secret: secret, Fresh: time.Minute} })},
		{"at least 100ms", first(func(i *Issuer) { i.Introspection = &Introspection{ClientID: "a", Secret: secret, Fresh: 4} })},
		{"an empty name", first(func(i *Issuer) { *i = Cognito("eu-west-1", "eu-west-1_AbCdEf123", "") })},
		{"one issuer can have them", func(c *Config) {
			c.Issuers[0].Introspection = &Introspection{ClientID: "a", Secret: secret, Opaque: true}
			second := c.Issuers[0]
			second.URL = "https://second.example.com"
			c.Issuers = append(c.Issuers, second)
		}},
		{"is no scope", func(c *Config) { c.Scopes = map[string][]string{"*": {`a"b`}} }},
		{"is no scope", func(c *Config) { c.Implies = map[string][]string{"a b": {"c"}} }},
		{"offline_access", func(c *Config) { c.Scopes = map[string][]string{"*": {"offline_access"}} }},
		{"neither a method", func(c *Config) { c.Scopes = map[string][]string{"": {"a"}} }},
		{"neither a method", func(c *Config) { c.Scopes = map[string][]string{"tools/call ": {"a"}} }},
	}
	for _, test := range tests {
		c := valid()
		test.change(&c)
		_, err := New(c)
		if err == nil || !strings.Contains(err.Error(), test.fault) {
			t.Errorf("want %q, got %v", test.fault, err)
		}
	}
	_, err := New(Config{Skew: time.Hour, Scopes: map[string][]string{"": nil}})
	for _, fault := range []string{"Issuers is empty", "Skew", "neither a method"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%q is not told of: %v", fault, err)
		}
	}
}

// Cognito's access tokens have neither typ nor aud.
func TestCognito(t *testing.T) {
	t.Parallel()
	c := Cognito("eu-west-1", "eu-west-1_AbCdEf123", "app", "robot")
	if c.URL != "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123" || c.JWKS != c.URL+"/.well-known/jwks.json" {
		t.Errorf("addresses %s %s", c.URL, c.JWKS)
	}
	k := issuer.NewKey(t, "RS256")
	c.JWKS, c.Keys = "", set1(t, k.JWK())
	v, err := New(Config{Issuers: []Issuer{c}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Verifier: v}
	now := time.Now().Unix()
	token := func(change claimset) string {
		claims := claimset{
			"sub": "11111111-2222-3333-4444-555555555555", "token_use": "access", "scope": "files/read", "auth_time": now,
			"iss": c.URL, "exp": now + 3600, "iat": now, "version": 2, "jti": "x", "client_id": "app", "username": "alice",
			"cognito:groups": []string{"admins"},
		}
		maps.Copy(claims, change)
		return k.Sign(t, nil, claims)
	}
	id := r.good(t, token(nil))
	if id.Principal.Client != "app" || id.Principal.Scopes[0] != "files/read" {
		t.Errorf("principal %+v", id.Principal)
	}
	for name, change := range map[string]claimset{
		"ID token": {"token_use": "id", "aud": "app"}, "another pool": {"iss": c.URL + "x"},
		"another client": {"client_id": "other"}, "no use": {"token_use": ""},
		"ID token that says access": {"at_hash": "x"},
	} {
		if _, err := r.try(t, token(change)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOtherIssuersByConfiguration(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		i := &c.Issuers[0]
		i.Types, i.TenantClaim, i.ScopeClaim = []string{"JWT"}, "org", "roles"
		i.Clients, i.Claims = []string{"app"}, map[string]string{"org": "acme"}
	})
	good := claimset{"org": "acme", "roles": []string{"reader"}}
	token := func(claims claimset) string {
		return r.issuer.Key().Sign(t, claimset{"typ": "JWT"}, r.issuer.Claims(endpoint, claims))
	}
	id := r.good(t, token(good))
	if id.Principal.Tenant != "acme" || id.Principal.Scopes[0] != "reader" {
		t.Errorf("principal %+v", id.Principal)
	}
	r.refused(t, token(claimset{"org": "other"}), invalidToken, textInvalid)
	r.refused(t, token(claimset{"org": "acme", "client_id": "x"}), invalidToken, textInvalid)
	r.refused(t, r.issuer.Token(t, endpoint, good), invalidToken, textInvalid)
}
