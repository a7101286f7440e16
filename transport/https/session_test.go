package https

import (
	"context"
	"testing"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/transport/https/internal/stream"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The context of the handler of a notification lives as long as the session.
func TestNotificationHandlerHasLivingContext(t *testing.T) {
	t.Parallel()
	got, answered := make(chan error, 1), make(chan struct{})
	guard, err := mcpsec.New()
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(implementation, &mcp.ServerOptions{RootsListChangedHandler: func(ctx context.Context, _ *mcp.RootsListChangedRequest) {
		<-answered
		got <- ctx.Err()
	}})
	if err := guard.Install(server); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Guard, c.Server = guard, server })
	id := r.initialized("alice")
	a := r.do("POST", "/mcp", `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`, "Authorization", "Bearer alice", "Mcp-Session-Id", id, "Mcp-Protocol-Version", "2025-11-25")
	if a.Status != 202 {
		t.Fatal(a.Status, string(a.Body))
	}
	until(t, "the end of the request", func() bool { return r.server.streams.Count(stream.Reading) == 0 })
	close(answered)
	if err := <-got; err != nil {
		t.Errorf("the handler's context ended with the request: %v", err)
	}
}

// A session whose initialize was refused holds no place.
func TestRefusedInitializeOpensNoSession(t *testing.T) {
	t.Parallel()
	guard, err := mcpsec.New(mcpsec.At(mcpsec.StageLimit, "no", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
			if c.Method == "initialize" {
				return nil, &mcpsec.Denial{Kind: mcpsec.Forbidden, Code: "x.no", Reason: "no"}
			}
			return next(ctx, c)
		}
	})))
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(implementation, nil)
	if err := guard.Install(server); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Guard, c.Server = guard, server })
	a := r.do("POST", "/mcp", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, "Authorization", "Bearer alice")
	if code(a) == 0 {
		t.Fatal(a.Status, string(a.Body))
	}
	until(t, "no session", func() bool { return r.server.streams.Count(stream.Session) == 0 })
}
