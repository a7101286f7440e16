package creds

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A scope is the context in which the handler runs: the call's, and the handle.
type scope struct {
	context.Context //nolint:containedctx // it is one
	handle          Handle
}

type handleKey struct{}

// Value finds the handle of this scope, and everything else outside it but the
// caller's token.
func (s *scope) Value(key any) any {
	switch key {
	case handleKey{}:
		return &s.handle
	case subjectKey{}:
		return nil
	}
	return s.Context.Value(key)
}

// Wrap lends a handle to every run of a tool and closes it when the run is over,
// however it ends.
func (in *Injector) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Method != methodCallTool || call.Outgoing {
			return next(ctx, call)
		}
		s := &scope{Context: ctx}
		s.handle.in, s.handle.call, s.handle.parent = in, call, ctx
		if call.Tool != nil {
			s.handle.bound = in.tools[call.Tool.Name]
		}
		defer s.handle.close()
		return next(s, call) //nolint:contextcheck // s is derived from ctx
	}
}

// From returns the handle of the tool call whose handler runs with ctx. Its error
// is a [*mcpsec.Denial] with code creds.no_handle.
func From(ctx context.Context) (*Handle, error) {
	h, _ := ctx.Value(handleKey{}).(*Handle)
	if h == nil {
		return nil, refuse(codeNoHandle, "no credentials here")
	}
	return h, nil
}

// Secret returns the secret of the named credential of the tool whose handler runs
// with ctx. See [Handle.Get] for its errors.
func Secret(ctx context.Context, name string) (Value, error) {
	h, err := From(ctx)
	if err != nil {
		return Value{}, err
	}
	m, err := h.Get(ctx, name)
	return m.Secret, err
}
