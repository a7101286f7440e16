package bearer

import (
	"crypto/x509"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestPrincipalIsWhatTheTokenSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.issuer.Token(t, endpoint, claimset{
		"aud": []string{"https://other.example.com", endpoint}, "tid": "acme", "scope": "read write read",
		"act": claimset{"sub": "agent", "act": claimset{"sub": "frontend"}}, "roles": []string{"admin"}, "email": "a@example.com",
	})
	id := r.good(t, token)
	p := id.Principal
	if p.Rung != mcpsec.Token || p.Issuer != r.issuer.URL || p.Subject != "alice" || p.Client != "app" || p.Tenant != "acme" ||
		!reflect.DeepEqual(p.Scopes, []string{"read", "write"}) || !reflect.DeepEqual(p.Actors, []string{"agent", "frontend"}) || p.Certificate != "" {
		t.Errorf("principal %+v", p)
	}
	want := map[string]any{
		"iss": r.issuer.URL, "sub": "alice", "client_id": "app", "tid": "acme",
		"act": map[string]any{"sub": "agent", "act": map[string]any{"sub": "frontend"}},
	}
	if !reflect.DeepEqual(id.Token.Extra, want) || !reflect.DeepEqual(id.Token.Scopes, p.Scopes) {
		t.Errorf("handlers see %+v", id.Token)
	}
	if id.Secret() != token {
		t.Error("Secret is not the token")
	}
	if id.Still() != nil {
		t.Error(id.Still())
	}
	if again := r.good(t, token); again != id {
		t.Error("the same token has another identity")
	}
}

func TestClientByOtherClaims(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, claim := range []string{"azp", "cid"} {
		id := r.good(t, r.issuer.Token(t, endpoint, claimset{"client_id": nil, claim: "other"}))
		if id.Principal.Client != "other" {
			t.Errorf("%s: client %q", claim, id.Principal.Client)
		}
	}
	id := r.good(t, r.issuer.Token(t, endpoint, claimset{"scope": nil, "scp": []string{"a", "b"}}))
	if !reflect.DeepEqual(id.Principal.Scopes, []string{"a", "b"}) {
		t.Errorf("scopes of scp %q", id.Principal.Scopes)
	}
}

// The SDK compares the user id alone, so it must differ wherever the principal does, and
// stay with fresh tokens of the same.
func TestUserIDIsAllThatMakesThePrincipal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	user := func(claims claimset, chain ...*x509.Certificate) string {
		id, err := r.Authenticate(request(t, "Bearer", r.issuer.Token(t, endpoint, claims)), chain)
		if err != nil {
			t.Fatal(explain(err))
		}
		return id.Token.UserID
	}
	first := user(nil)
	if first != user(claimset{"scope": "other", "jti": "x"}) {
		t.Error("a fresh token makes another user")
	}
	a := httpx.NewAuthority(t)
	seen := map[string]string{first: "first"}
	for name, id := range map[string]string{
		"subject": user(claimset{"sub": "bob"}), "client": user(claimset{"client_id": "x"}), "tenant": user(claimset{"tid": "x"}),
		"certificate":         user(nil, leaf(t, a, "spiffe://example.com/a")),
		"another certificate": user(nil, leaf(t, a, "spiffe://example.com/b")),
	} {
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s are one user", name, other)
		}
		seen[id] = name
	}
	if renewed := user(nil, leaf(t, a, "spiffe://example.com/a")); seen[renewed] != "certificate" {
		t.Error("a renewed certificate makes another user")
	}
}

func TestIdentityEndsWithTheFirstOfTokenAndCertificates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.issuer.Token(t, endpoint, nil)
	c := leaf(t, httpx.NewAuthority(t), "spiffe://example.com/a")
	c.NotAfter = time.Now().Add(time.Minute)
	id, err := r.Authenticate(request(t, "Bearer", token), []*x509.Certificate{c})
	if err != nil {
		t.Fatal(explain(err))
	}
	if !id.Expires.Equal(c.NotAfter) || id.Principal.Certificate != "spiffe://example.com/a" {
		t.Errorf("ends %v, certificate %q", id.Expires, id.Principal.Certificate)
	}
	plain := r.good(t, token)
	if plain.Principal.Certificate != "" || len(plain.Certificates) != 0 || !plain.Expires.After(id.Expires) {
		t.Errorf("without the certificate: %+v", plain.Principal)
	}
}

func TestNothingPrintsATokenOrSecret(t *testing.T) {
	t.Parallel()
	r := newRig(t, introspected(nil))
	token := r.issuer.Token(t, endpoint, nil)
	r.issuer.Inform(token, claimset{"active": true})
	id := r.good(t, token)
	signature := token[strings.LastIndex(token, ".")+1:]
	_, refused := r.try(t, token[:len(token)-4])
	_, malformed := r.try(t, token+"."+token)
	_, tooFew := r.try(t, r.issuer.Token(t, endpoint, claimset{"sub": "", "secretclaim": signature}))
	for _, v := range []any{
		r.Verifier, *id, id, id.Token, id.Principal, refused, explain(refused), malformed, explain(malformed), explain(tooFew),
		r.config, r.config.Issuers[0], *r.config.Issuers[0].Introspection,
	} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			text := fmt.Sprintf(format, v)
			if strings.Contains(text, signature[:20]) || strings.Contains(text, "s3cret") {
				t.Errorf("%T as %s prints it: %.300s", v, format, text)
			}
		}
	}
}
