package https_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/clients/site"
	"github.com/mcpsec/mcpsec-go/internal/test/httpx"
	"github.com/mcpsec/mcpsec-go/internal/test/issuer"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer"
)

// with returns alice with a token of other claims.
func (o *office) with(t *testing.T, claims map[string]any) *httpx.Peer {
	t.Helper()
	return o.PeerWith(t, o.TLS(t, "alice"), o.Token(t, "alice", claims)).As("alice")
}

// challenge is how a request without a token is answered.
func challenge(t *testing.T, o *office) string {
	t.Helper()
	a := o.PeerWith(t, o.TLS(t, "alice"), "").As("a").Send(t, "tools/list", nil)
	if a.Status != http.StatusUnauthorized {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return a.Header.Get("WWW-Authenticate")
}

// protected reads the metadata of an endpoint.
func protected(t *testing.T, o *office, path string) (m struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported"`
	Methods  []string `json:"bearer_methods_supported"`
}) {
	t.Helper()
	s := request(t, o.PeerWith(t, o.TLS(t, "alice"), ""), http.MethodGet, o.URL+"/.well-known/oauth-protected-resource"+path)
	if s.Status != http.StatusOK {
		t.Fatalf("metadata of %s: %d", path, s.Status)
	}
	if err := json.Unmarshal([]byte(s.Line()), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func unauthorized(t *testing.T, a *httpx.Answer) {
	t.Helper()
	if a.Status != http.StatusUnauthorized || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("answered with %d %q: %s", a.Status, a.Header.Get("WWW-Authenticate"), a.Body)
	}
}

var authorizationDuties = []duty{
	{number: 28, name: "metadata of each endpoint", hold: func(v visit) {
		t, o := v.T, v.office
		for _, path := range []string{"/mcp", "/sse"} {
			if m := protected(t, o, path); m.Resource != o.URL+path || len(m.Servers) != 1 || m.Servers[0] != o.Issuer.URL {
				t.Errorf("%s: %+v", path, m)
			}
		}
	}},
	{number: 29, name: "the challenge names the metadata", hold: func(v visit) {
		t, o := v.T, v.office
		if c := challenge(t, o); !strings.Contains(c, `resource_metadata="`+o.URL+`/.well-known/oauth-protected-resource/mcp"`) {
			t.Error(c)
		}
	}},
	{number: 30, name: "the challenge names the scope", hold: func(v visit) {
		t, o := v.T, v.office
		a := o.PeerWith(t, o.TLS(t, "alice"), o.Token(t, "alice", nil)).As("a").CallTool(t, "secret", nil)
		if !strings.Contains(a.Header.Get("WWW-Authenticate"), `scope="secrets"`) {
			t.Errorf("%d %q", a.Status, a.Header.Get("WWW-Authenticate"))
		}
	}},
	{number: 31, name: "offline_access is never asked for", hold: func(v visit) {
		t, o := v.T, v.office
		if c, m := challenge(t, o), protected(t, o, "/mcp"); strings.Contains(c, "offline_access") || strings.Contains(strings.Join(m.Scopes, " "), "offline_access") {
			t.Errorf("%s %v", c, m.Scopes)
		}
		if _, err := bearer.New(bearer.Config{
			Issuers: []bearer.Issuer{{URL: "https://issuer.example"}}, Audience: []string{"https://mcp.example/mcp"},
			Scopes: map[string][]string{"*": {"offline_access"}},
		}); err == nil {
			t.Error("offline_access can be configured as a scope to ask for")
		}
	}},
	{number: 32, name: "a token in the query is refused", hold: func(v visit) {
		t, o := v.T, v.office
		p := o.PeerWith(t, o.TLS(t, "alice"), "").As("a")
		p.URL += "?access_token=" + o.Token(t, "alice", nil)
		if a := p.Send(t, "tools/list", nil); a.Status != http.StatusBadRequest {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}},
	{number: 33, name: "every request carries the token", hold: func(v visit) {
		t, o := v.T, v.office
		sse, err := site.OpenSSE(t, o.Peer(t, "alice"), o.URL)
		if err != nil {
			t.Fatal(err)
		}
		sse.Messages.Header.Del("Authorization")
		if a := sse.Messages.Post(t, echoed); a.Status != http.StatusUnauthorized {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}},
	{number: 34, name: "the token is verified before anything is done", hold: func(v visit) {
		t, o := v.T, v.office
		token := o.Token(t, "forger", nil)
		unauthorized(t, o.PeerWith(t, o.TLS(t, "alice"), token[:len(token)-4]+"AAAA").As("a").CallTool(t, "echo", nil))
		for _, c := range o.Record.Calls("tools/call") {
			if c.Principal.Subject == "forger" {
				t.Errorf("a forged token made a call: %+v", c)
			}
		}
	}},
	{number: 35, name: "the audience is this server", hold: func(v visit) {
		t, o := v.T, v.office
		for _, audience := range []string{"https://other.example/mcp", o.URL, o.URL + "/mcp/", strings.ToUpper(o.URL) + "/mcp"} {
			unauthorized(t, o.with(t, map[string]any{"aud": audience}).Send(t, "tools/list", nil))
		}
	}},
	{number: 36, name: "an expired token is 401", hold: func(v visit) {
		t, o := v.T, v.office
		now := time.Now().Unix()
		unauthorized(t, o.with(t, map[string]any{"iat": now - 600, "exp": now - 300}).Send(t, "tools/list", nil))
		unauthorized(t, o.with(t, map[string]any{"nbf": now + 200}).Send(t, "tools/list", nil))
	}},
	{number: 37, name: "the token is passed on to nobody", hold: func(v visit) {
		t, o := v.T, v.office
		for name, p := range map[string]*httpx.Peer{"2026": o.alice, "a session": o.Peer(t, "alice").Open(t)} {
			a := p.With("Cookie", "a=b", "Proxy-Authorization", "Basic x", "X-Forwarded-For", "10.0.0.1").CallTool(t, "seen", nil)
			ok(t, a)
			for _, header := range []string{"Authorization", "Cookie", "Forwarded"} {
				if strings.Contains(string(a.Body), header) {
					t.Errorf("%s: a handler sees %s: %s", name, header, a.Body)
				}
			}
		}
	}},
	{number: 38, name: "calls upstream have tokens of their own", why: "control creds exchanges them, from what Config.Subject puts into its context alone"},
	{number: 39, name: "401, 403 and 400 mean what they say", hold: func(v visit) {
		t, o := v.T, v.office
		if a := o.PeerWith(t, o.TLS(t, "alice"), "x").As("a").Send(t, "tools/list", nil); a.Status != http.StatusUnauthorized {
			t.Errorf("no good token: %d", a.Status)
		}
		if a := o.alice.CallTool(t, "secret", nil); a.Status != http.StatusForbidden {
			t.Errorf("too little scope: %d", a.Status)
		}
		if a := o.with(t, nil).With("Authorization", "Bearer a b").Send(t, "tools/list", nil); a.Status != http.StatusBadRequest && a.Status != http.StatusUnauthorized {
			t.Errorf("a malformed header: %d", a.Status)
		}
	}},
	{number: 40, name: "too little scope says what is needed", hold: func(v visit) {
		t, o := v.T, v.office
		a := o.alice.CallTool(t, "secret", nil)
		c := a.Header.Get("WWW-Authenticate")
		for _, part := range []string{`error="insufficient_scope"`, `scope="secrets"`, "resource_metadata="} {
			if a.Status != http.StatusForbidden || !strings.Contains(c, part) {
				t.Errorf("%d %q has no %s", a.Status, c, part)
			}
		}
	}},
	{number: 41, name: "scopes include others", hold: func(v visit) {
		t, o := v.T, v.office
		ok(t, o.with(t, map[string]any{"scope": "admin"}).CallTool(t, "secret", nil))
		ok(t, o.with(t, map[string]any{"scope": "secrets"}).CallTool(t, "secret", nil))
	}},
	{number: 42, name: "little is asked for, and refusals are recorded", hold: func(v visit) {
		t, o := v.T, v.office
		if c := challenge(t, o); strings.Contains(c, "secrets") || strings.Contains(c, "admin") {
			t.Errorf("the first challenge asks for %s", c)
		}
		a := o.Peer(t, "climber").As("climber").CallTool(t, "secret", nil)
		if a.Status != http.StatusForbidden {
			t.Fatalf("%d", a.Status)
		}
		for _, c := range o.Record.Await(t, "tools/call", 1) {
			if c.Principal.Subject == "climber" && c.Code != "" {
				return
			}
		}
		t.Error("the refusal is not recorded")
	}},
	{number: 43, name: "tokens live shortly and are in no log", hold: func(v visit) {
		t, o := v.T, v.office
		unauthorized(t, o.with(t, map[string]any{"exp": time.Now().Unix() + 7200}).Send(t, "tools/list", nil))
		token := o.Token(t, "alice", map[string]any{"aud": "https://other.example"})
		unauthorized(t, o.PeerWith(t, o.TLS(t, "alice"), token).As("a").Send(t, "tools/list", nil))
		if logged := o.Log.String(); strings.Contains(logged, token) || strings.Contains(logged, token[strings.LastIndexByte(token, '.'):]) {
			t.Error("the log holds a token")
		}
	}},
	{number: 44, name: "authorization servers speak https", hold: func(v visit) {
		t := v.T
		if _, err := bearer.New(bearer.Config{Issuers: []bearer.Issuer{{URL: "http://issuer.example"}}, Audience: []string{"x"}}); err == nil {
			t.Error("an issuer without TLS was taken")
		}
	}},
	{number: 45, name: "PKCE, iss, state", why: "they are the OAuth client's"},
	{number: 46, name: "metadata is the issuer's own", hold: func(v visit) {
		t := v.T
		s := site.New(t, site.Plan{})
		s.Issuer.Announce("issuer", "https://evil.example")
		if code := statusOf(t.Context(), s.Peer(t, "alice")); code == http.StatusOK {
			t.Error("the keys of metadata of another issuer were taken")
		}
	}},
	{number: 47, name: "keys are not fetched from private addresses", hold: func(v visit) {
		t := v.T
		s := site.New(t, site.Plan{Bearer: func(c *bearer.Config) { c.Issuers[0].Private = false }})
		if code := statusOf(t.Context(), s.Peer(t, "alice")); code == http.StatusOK || s.Issuer.Asked(issuer.Metadata)+s.Issuer.Asked(issuer.OpenID)+s.Issuer.Asked(issuer.JWKS) > 0 {
			t.Errorf("answered with %d, asked %d times", code, s.Issuer.Asked(issuer.Metadata))
		}
	}},
	{number: 48, name: "consent of each client", why: "the listener is no OAuth proxy"},
	{number: 49, name: "the page of consent", why: "the listener is no OAuth proxy"},
}
