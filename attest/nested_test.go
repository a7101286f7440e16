package attest

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A handler that calls another tool's handler does not lend it its artifacts.
func TestNestedCallHasItsOwnArtifacts(t *testing.T) {
	t.Parallel()
	a, calls := sealedFor(t, 2, 700, false)
	rich := a.seal.Load().tools[calls[0].Name]
	rich.files = map[string]*File{"secret": {}}
	var handlers []mcpsec.Handler
	for _, next := range []mcpsec.Handler{
		func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
			if _, err := Artifact(ctx, "secret"); err != nil {
				t.Errorf("its own: %v", err)
			}
			return handlers[1](ctx, calls[1])
		},
		func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
			_, err := Artifact(ctx, "secret")
			return nil, err
		},
	} {
		handlers = append(handlers, a.Wrap(next))
	}
	_, err := handlers[0](t.Context(), calls[0])
	if d := mcpsec.AsDenial(err); d == nil || d.Code != codeArtifactNotBound.Name {
		t.Errorf("the other tool's: %v", err)
	}
}
