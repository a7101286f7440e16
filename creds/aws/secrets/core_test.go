package secrets

import (
	"context"
	"errors"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// inCall runs f as the handler of a tool to which the credential "db" is bound.
func inCall(t *testing.T, in *creds.Injector, f func(ctx context.Context, h *creds.Handle)) {
	t.Helper()
	_, err := in.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		h, err := creds.From(ctx)
		must(t, err)
		f(ctx, h)
		return nil, nil
	})(t.Context(), &mcpsec.Call{ID: "call", Method: "tools/call", Name: "tool", Tool: &mcpsec.Tool{Name: "tool"}})
	must(t, err)
}

func bind(t *testing.T, p creds.Provider) *creds.Injector {
	t.Helper()
	in := creds.New(creds.ForTool("tool", creds.Named("db", p)))
	must(t, in.Check())
	t.Cleanup(func() { must(t, in.Close()) })
	return in
}

func get(ctx context.Context, t *testing.T, h *creds.Handle) string {
	t.Helper()
	m, err := h.Get(ctx, "db")
	must(t, err)
	return string(m.Secret.Reveal())
}

var errAuthentication = errors.New("password authentication failed")

// Case 20: a rotation between two Gets of one call changes nothing under the handler,
// until the service refuses what it has; then it gets the new version.
func TestRotationUnderACall(t *testing.T) {
	t.Parallel()
	server, _, _, all := fakes(t)
	for store, b := range all {
		must(t, b.admin.create(t.Context(), "db", canary+" old"))
		in := bind(t, b.provider(t, "db"))
		before := 0
		inCall(t, in, func(ctx context.Context, h *creds.Handle) {
			if got := get(ctx, t, h); got != canary+" old" {
				t.Errorf("%s: %q", store, got)
			}
			must(t, b.admin.rotate(ctx, "db", canary+" new"))
			before = server.Requests(operation(store)) - 1 // not what the owner read
			if got := get(ctx, t, h); got != canary+" old" {
				t.Errorf("%s: changed to %q", store, got)
			}
			m, err := h.Get(ctx, "db")
			must(t, err)
			must(t, h.Report(m.Secret, errAuthentication))
			if got := get(ctx, t, h); got != canary+" new" {
				t.Errorf("%s: after it was refused %q", store, got)
			}
		})
		inCall(t, in, func(ctx context.Context, h *creds.Handle) { // kept for the next call
			if got := get(ctx, t, h); got != canary+" new" {
				t.Errorf("%s: the next call got %q", store, got)
			}
		})
		if n := server.Requests(operation(store)) - before; n != 2 {
			t.Errorf("%s: read %d times", store, n)
		}
	}
}

// Case 1, for a secret: what there is serves while the service is down, and a cold
// start is refused without the secret or the service's text.
func TestServiceDown(t *testing.T) {
	t.Parallel()
	server, _, _, all := fakes(t)
	for store, b := range all {
		must(t, b.admin.create(t.Context(), "db", canary))
		in := bind(t, b.provider(t, "db"))
		down := func() { server.Inject(operation(store), fakeaws.Unavailable(), fakeaws.Internal()) }
		down()
		inCall(t, in, func(ctx context.Context, h *creds.Handle) {
			_, err := h.Get(ctx, "db")
			d, ok := errors.AsType[*mcpsec.Denial](err)
			if !ok || d.Code != "creds.unavailable" {
				t.Fatal(err)
			}
			secretFree(t, d.Reason+d.Detail+err.Error())
		})
		in = bind(t, b.provider(t, "db"))
		inCall(t, in, func(ctx context.Context, h *creds.Handle) { get(ctx, t, h) })
		down()
		inCall(t, in, func(ctx context.Context, h *creds.Handle) {
			if got := get(ctx, t, h); got != canary {
				t.Errorf("%s: %q", store, got)
			}
		})
	}
}
