package bearer

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https"
)

func scoped(c *Config) {
	c.Scopes = map[string][]string{
		"*":                                 {"mcp"},
		"tools/call":                        {"tools"},
		"tools/call delete_*":               {"files:write", "tools"},
		"tools/call *_admin":                {"admin"},
		"resources/*":                       {"files:read"},
		"resources/read file:///etc/passwd": {"root"},
	}
	c.Implies = map[string][]string{
		"admin":       {"files:write", "tools"},
		"files:write": {"files:read"},
		"files:read":  {"mcp", "files:read"},
		"root":        {"admin"},
		"mcp":         {"circle"}, "circle": {"mcp"},
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	r := newRig(t, scoped)
	tests := []struct {
		granted, method, name string
		need                  string // empty if it suffices
	}{
		{"mcp", "tools/list", "", ""},
		{"", "tools/list", "", "mcp"},
		{"MCP", "tools/list", "", "mcp"},
		{"mcpx", "tools/list", "", "mcp"},
		{"mcp", "tools/call", "read", "mcp tools"},
		{"mcp tools", "tools/call", "read", ""},
		{"mcp tools", "tools/call", "delete_file", "mcp tools files:write"},
		{"mcp tools files:write", "tools/call", "delete_file", ""},
		{"tools files:write", "tools/call", "delete_file", ""}, // files:write includes files:read, that mcp
		{"admin", "tools/call", "delete_file", ""},
		{"root", "tools/call", "delete_admin", ""},
		{"files:write tools mcp", "tools/call", "delete_admin", "mcp tools admin files:write"},
		{"circle", "tools/list", "", ""},
		{"admin", "resources/read", "file:///x", ""},
		{"admin", "resources/read", "file:///etc/passwd", "mcp files:read root"},
		{"mcp", "resources/list", "", "mcp files:read"},
		{"mcp", "resourcesx/list", "", ""},
	}
	for _, test := range tests {
		id := &https.Identity{Principal: mcpsec.Principal{Scopes: strings.Fields(test.granted)}}
		err := r.Permit(id, test.method, test.name)
		if test.need == "" {
			if err != nil {
				t.Errorf("%+v: %v", test, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%+v: permitted", test)
			continue
		}
		e := refusal(t, err, http.StatusForbidden, tooFewScopes, textScope)
		if !sameWords(e.Scope, test.need) {
			t.Errorf("%+v: needs %q", test, e.Scope)
		}
	}
}

func sameWords(a, b string) bool {
	set := func(s string) map[string]bool {
		m := make(map[string]bool)
		for w := range strings.FieldsSeq(s) {
			m[w] = true
		}
		return m
	}
	return reflect.DeepEqual(set(a), set(b))
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"", "", true}, {"*", "", true}, {"*", "a/b\nc", true},
		{"a*", "a", true}, {"a*", "ba", false}, {"*a", "ba", true}, {"*a", "ab", false}, {"a*a", "a", false},
		{"a*a", "aa", true}, {"a*b*c", "axxbxxc", true}, {"a*b*c", "axxcxxb", false}, {"**", "x", true}, {"a*b*b", "ab", false},
	} {
		if got := match(test.pattern, test.text); got != test.want {
			t.Errorf("match(%q, %q) = %v", test.pattern, test.text, got)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	r := newRig(t, scoped, func(c *Config) { c.Name, c.CertificateBound, c.DPoP.Required = "files", true, true })
	var m map[string]any
	if err := json.Unmarshal(r.Metadata("https://mcp.example.com/sse"), &m); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"resource": "https://mcp.example.com/sse", "resource_name": "files", "authorization_servers": []any{r.issuer.URL},
		"scopes_supported":                           []any{"admin", "files:read", "files:write", "mcp", "root", "tools"},
		"bearer_methods_supported":                   []any{"header"},
		"tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens_required": true,
		"dpop_signing_alg_values_supported": []any{"RS256", "PS256", "ES256", "ES384", "EdDSA"},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("metadata %v", m)
	}
}

func TestChallengeNamesTheScopeOfEveryRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, scoped)
	if e := r.refused(t, r.issuer.Token(t, "x", nil), invalidToken, textInvalid); e.Scope != "mcp" {
		t.Errorf("scope %q", e.Scope)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		rev  func(r *rig) Revocation
		hit  bool
	}{
		{"the token", func(*rig) Revocation { return Revocation{ID: "one"} }, true},
		{"the token of the issuer", func(r *rig) Revocation { return Revocation{Issuer: r.issuer.URL, ID: "one"} }, true},
		{"another token", func(*rig) Revocation { return Revocation{ID: "two"} }, false},
		{"the subject", func(*rig) Revocation { return Revocation{Subject: "alice"} }, true},
		{"the client", func(*rig) Revocation { return Revocation{Client: "app"} }, true},
		{"the subject at the client", func(*rig) Revocation { return Revocation{Subject: "alice", Client: "app"} }, true},
		{"the subject at another client", func(*rig) Revocation { return Revocation{Subject: "alice", Client: "x"} }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			changed, _ := r.watch(t)
			<-changed // the first keys
			token := r.issuer.Token(t, endpoint, claimset{"jti": "one"})
			id := r.good(t, token)
			if err := r.Revoke(test.rev(r)); err != nil {
				t.Fatal(err)
			}
			<-changed
			if !test.hit {
				r.good(t, token)
				if err := id.Still(); err != nil {
					t.Error(err)
				}
				return
			}
			if id.Still() == nil {
				t.Error("the stream goes on")
			}
			r.refused(t, token, invalidToken, textRevoked)
			r.clock.add(12 * time.Second)
			at := r.clock.now().Unix()
			r.good(t, r.issuer.Token(t, endpoint, claimset{"jti": "later", "iat": at, "exp": at + 60}))
			r.refused(t, token, invalidToken, textRevoked)
		})
	}
}

func TestRevokeIsBoundedAndForgetsWhatHasEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, bad := range []Revocation{{}, {Issuer: r.issuer.URL}, {ID: "a", Subject: "b"}, {Issuer: "https://other", ID: "a"}} {
		if r.Revoke(bad) == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	for n := range maxRevocations {
		if err := r.Revoke(Revocation{ID: time.Duration(n).String()}); err != nil {
			t.Fatal(err)
		}
	}
	if r.Revoke(Revocation{ID: "more"}) == nil {
		t.Error("one more was taken")
	}
	if err := r.Revoke(Revocation{ID: "1ns"}); err != nil {
		t.Errorf("one that is known: %v", err)
	}
	r.clock.add(2 * time.Hour)
	if err := r.Revoke(Revocation{ID: "more"}); err != nil || len(r.revoked.made) != 1 {
		t.Errorf("%v, %d are remembered", err, len(r.revoked.made))
	}
}
