package vault

import (
	"context"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// TestInAGuard is the way of a lease through the control: issued once for many calls,
// shown to the handlers of its tool alone, and revoked with the token when the guard
// closes (failure case 26).
func TestInAGuard(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := newServer(t, f.appRole(), f)
	s.now = New(Config{Addresses: []string{"https://vault.internal"}}).now // that of the control
	f.set(func() { f.clock = s.now() })
	in := creds.New(creds.ForTool("report",
		creds.Named("db", s.Lease(Lease{Path: "database/creds/app", Field: "password"})),
		creds.Named("key", s.KV(KV{Mount: "secret", Path: "apps/db", Field: "key"})),
	))
	if err := in.Check(); err != nil {
		t.Fatal(err)
	}
	var seen []string
	handler := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		for _, name := range []string{"db", "key"} {
			v, err := creds.Secret(ctx, name)
			if err != nil {
				return nil, err
			}
			seen = append(seen, string(v.Reveal()))
		}
		return &mcp.CallToolResult{}, nil
	})
	for range 3 {
		if _, err := handler(t.Context(), &mcpsec.Call{Method: "tools/call", Tool: &mcpsec.Tool{Name: "report"}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := handler(t.Context(), &mcpsec.Call{Method: "tools/call", Tool: &mcpsec.Tool{Name: "other"}}); err == nil {
		t.Error("a tool without a binding was given a lease")
	}
	if len(seen) != 6 || seen[0] != seen[4] || !strings.HasPrefix(seen[0], canary+"-pw-") || seen[1] != canary+"-v2" {
		t.Errorf("the handlers saw %q", seen)
	}
	if n, logins := f.count("GET database/creds/app"), f.count("POST auth/approle/login"); n != 1 || logins != 1 {
		t.Errorf("%d leases and %d logins for three calls", n, logins)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if tokens, leases := f.live(); tokens != 0 || leases != 0 {
		t.Errorf("%d tokens and %d leases are left", tokens, leases)
	}
	if f.count("POST sys/leases/revoke") != 1 || f.count("POST auth/token/revoke-self") != 1 {
		t.Errorf("requests: %v", f.seen)
	}
}
