package creds

import (
	"context"
	"sync"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Handle is the right of one run of one tool to its credentials. It is found in
// the handler's context with [From], is safe for concurrent use, and is closed when
// the handler returns. Nothing is issued before it is asked for.
type Handle struct {
	in     *Injector
	call   *mcpsec.Call
	parent context.Context //nolint:containedctx // a handle lives exactly as long as the call
	grants map[string]Grant

	mu     sync.Mutex
	closed bool
	issues []*issue  // under way or over; those that failed are taken out
	first  [1]*issue // memory for issues: most tools have one credential
}

// A scope is the context in which the handler runs: the call's, and the handle.
type scope struct {
	context.Context //nolint:containedctx // it is one
	handle          Handle
}

type handleKey struct{}

// Value finds the handle of this scope, and everything else outside it.
func (s *scope) Value(key any) any {
	if key == (handleKey{}) {
		return &s.handle
	}
	return s.Context.Value(key)
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

// Get returns the named credential. It is issued when it is first asked for and
// then kept until it expires or the call is over. Get waits no longer than ctx,
// the call and [IssueTimeout] allow.
//
// Every error is a [*mcpsec.Denial] that a handler can return as it is: with code
// creds.not_bound if the tool has no credential of that name, whether or not
// another tool has; creds.closed after the handler has returned; creds.unavailable
// if the provider fails; asking again then tries again, but not before the
// provider has returned.
func (h *Handle) Get(ctx context.Context, name string) (Material, error) {
	if h == nil || h.in == nil {
		return Material{}, refuse(codeNoHandle, "no credentials here")
	}
	h.mu.Lock()
	is, d := h.issue(name)
	if d == nil && is.over { // the usual case: issued before
		m := is.material
		h.mu.Unlock()
		return m, nil
	}
	h.mu.Unlock()
	if d != nil {
		return Material{}, d
	}
	return h.wait(ctx, is)
}

// issue returns the issue of the name that is under way or still good, or begins
// one. The handle is locked.
func (h *Handle) issue(name string) (*issue, *mcpsec.Denial) {
	if h.closed || h.in.closed.Load() {
		return nil, refuse(codeClosed, "the call is over")
	}
	g, ok := h.grants[name]
	if !ok {
		d := refuse(codeNotBound, "this tool has no such credential")
		d.Detail = describeName(h.call.Tool, name)
		return nil, d
	}
	for _, is := range h.issues {
		if is.grant.spec.name == name && (!is.over || !is.material.expired(h.in.time())) {
			return is, nil
		}
	}
	return h.begin(g), nil
}

// close ends the handle: what is being issued is cancelled, and what was issued is
// overwritten.
func (h *Handle) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, is := range h.issues {
		is.cancel()
		if is.over {
			is.material.Secret.Close()
		}
	}
	h.issues, h.grants = nil, nil
}
