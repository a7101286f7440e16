package mcpsec

import (
	"context"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

type principalKey struct{}

// WithPrincipal returns the context of a request whose sender a transport has
// authenticated. The frame takes the principal from there, before any other fact of the
// request, and a token that the SDK was given to bind its sessions with is then shown to
// handlers only if the principal is known by one.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p.keyed())
}

// PrincipalFrom returns the principal that a transport put into the context.
func PrincipalFrom(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

type endKey struct{}

// WithEnd returns the context of a request whose call ends, at the latest, with another
// context, in whatever protocol revision: by a transport's kill switch, or its deadline.
// Without it a call ends with its request only in revisions that demand it, and the SDK
// lets the calls of a session run on.
func WithEnd(ctx, end context.Context) context.Context { return context.WithValue(ctx, endKey{}, end) }

// endOf returns the context with which a call ends; nil if a transport has set none.
func endOf(ctx context.Context) context.Context {
	if ctx == nil {
		return nil
	}
	end, _ := ctx.Value(endKey{}).(context.Context)
	return end
}

// A RequestContexter is an mcp.Connection on which each request has a context of its own:
// one whose values, and not its end, the controls and handlers of the request see. The
// guard's frame asks for it; see [Guard.Transport].
type RequestContexter interface {
	// RequestContext is called once for each request that Read has returned, before the
	// next Read. Nil means that the request has none.
	RequestContext(req *jsonrpc.Request) context.Context
}

// Refuse takes a message that a transport refuses by itself through the guard's record
// and limits, like every other refusal, and returns what to answer: a *jsonrpc.Error.
// Method is empty for what cannot be read.
func (g *Guard) Refuse(r *http.Request, method string, d *Denial) error {
	f := frameOf(r)
	f.method = method
	return g.unseen(context.WithoutCancel(r.Context()), f, d)
}
