package vault

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/oauth"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A client secret that is kept in Vault: the login that read it ends with the guard, too.
func TestSourceOfAnotherProviderIsClosed(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := newServer(t, f.appRole(), f)
	s.now = New(Config{Addresses: []string{"https://vault.internal"}}).now
	f.set(func() { f.clock = s.now() })
	as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"access_token": "t", "token_type": "Bearer", "expires_in": 600})
	}))
	t.Cleanup(as.Close)
	in := creds.New(creds.ForTool("report", creds.Named("api", oauth.ClientCredentials(oauth.Config{
		TokenURL: as.URL + "/token", ClientID: "c", Scopes: []string{"a"}, InsecureLoopback: true,
		Auth: oauth.ClientSecret(s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})),
	}))))
	if err := in.Check(); err != nil {
		t.Fatal(err)
	}
	_, err := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		_, err := creds.Secret(ctx, "api")
		return &mcp.CallToolResult{}, err
	})(t.Context(), &mcpsec.Call{Method: "tools/call", Tool: &mcpsec.Tool{Name: "report"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if tokens, _ := f.live(); tokens != 0 {
		t.Errorf("%d tokens of the login that read the client secret live on", tokens)
	}
}

// A secret with a lease as the proof of another provider would be made for every request
// and never be revoked.
func TestLeaseIsNoSource(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := newServer(t, f.appRole(), f)
	p := oauth.ClientCredentials(oauth.Config{
		TokenURL: "https://as.example/token", ClientID: "c", Scopes: []string{"a"},
		Auth: oauth.ClientSecret(s.Lease(Lease{Path: "database/creds/app", Field: "password"})),
	})
	if err := p.(creds.Checker).Check(creds.Spec{}); err == nil {
		t.Error("accepted")
	}
	if m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{}); err == nil {
		m.Secret.Close()
	}
	if _, leases := f.live(); leases != 0 {
		t.Errorf("%d leases that nobody revokes", leases)
	}
}
