package mcpsec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// An entry is a handler the guard put its closure around: the third enforcement
// point.
type entry struct {
	guard   *Guard
	name    string
	tool    *Tool
	typed   *validator // nil for a raw handler, which is always reached
	marker  []byte     // the input schema AddTool registered: its memory is the proof
	tripped atomic.Bool
}

// Wrap puts the guard around a raw handler that is then added to a server with
// mcp.Server.AddTool under the same tool name:
//
//	h, err := mcpsec.Wrap(guard, "notes_read", readNotes)
//	server.AddTool(tool, h)
//
// On a server on which the guard is installed the handler joins the call that
// the middleware began. Anywhere else, for example with a guard that is never
// installed, it runs the whole chain by itself. It returns an error for a nil
// guard or handler, an unacceptable or taken name, and a sealed guard.
func Wrap(g *Guard, tool string, h mcp.ToolHandler) (mcp.ToolHandler, error) {
	if h == nil {
		return nil, fmt.Errorf("mcpsec: tool %q: nil handler", tool)
	}
	e, err := g.enter(tool, nil)
	if err != nil {
		return nil, err
	}
	run := func(ctx context.Context, call *Call) (mcp.Result, error) {
		req, err := call.flight.request(ctx, call)
		if err != nil {
			return nil, err
		}
		res, err := h(ctx, req.(*mcp.CallToolRequest)) //nolint:forcetypeassert // request keeps the type it got
		if res == nil || err != nil {
			return nil, err
		}
		return settled(res)
	}
	return func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		res, err := e.serve(ctx, req, run)
		if res == nil {
			return nil, err
		}
		return res.(*mcp.CallToolResult), err //nolint:forcetypeassert // serve checks it
	}, nil
}

// WrapFor puts the guard around a typed handler that is then added with
// mcp.AddTool under the same tool name. Everything said of [Wrap] holds. Beside
// the handler, controls cannot change arguments or result: they are decoded
// already.
func WrapFor[In, Out any](g *Guard, tool string, h mcp.ToolHandlerFor[In, Out]) (mcp.ToolHandlerFor[In, Out], error) {
	if h == nil {
		return nil, fmt.Errorf("mcpsec: tool %q: nil handler", tool)
	}
	e, err := g.enter(tool, newValidator[In, Out]())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, req *mcp.CallToolRequest, in In) (*mcp.CallToolResult, Out, error) {
		if f := e.joined(ctx); f != nil && g.bare {
			return runTyped(ctx, f, req, in, h)
		}
		t := &typedRun[In, Out]{handler: h, req: req, in: in}
		res, err := e.serve(ctx, req, t.run)
		var none Out
		switch {
		case err != nil:
			return nil, none, err
		case res != mcp.Result(t.view):
			return nil, none, textOf(res)
		case t.own == nil:
			return nil, t.out, nil
		}
		return t.view, t.out, nil
	}, nil
}

// A typedRun is one run of a typed handler among controls.
type typedRun[In, Out any] struct {
	handler mcp.ToolHandlerFor[In, Out]
	req     *mcp.CallToolRequest
	in      In
	out     Out
	own     *mcp.CallToolResult // what the handler returned
	view    *mcp.CallToolResult // what the controls see of it
	empty   mcp.CallToolResult  // memory for view
}

func (t *typedRun[In, Out]) run(ctx context.Context, call *Call) (mcp.Result, error) {
	f := call.flight
	if !sameBytes(call.Arguments, f.atHandler()) {
		return nil, errors.New("a control changed the arguments of a typed handler, which has decoded them already")
	}
	var err error
	if t.own, t.out, err = t.handler(ctx, t.req, t.in); err != nil {
		return nil, err
	}
	if t.view = copyResult(t.own); t.view == nil {
		t.view = &t.empty
		if f.byHand { // otherwise the SDK shows it to the outer controls
			t.view.StructuredContent = t.out
		}
	}
	return t.view, nil
}

// runTyped runs a typed handler when no control stands beside it.
func runTyped[In, Out any](ctx context.Context, f *flight, req *mcp.CallToolRequest, in In, h mcp.ToolHandlerFor[In, Out]) (res *mcp.CallToolResult, out Out, err error) {
	f.startRun(req)
	f.ran.Store(true)
	defer func() {
		if p := recover(); p != nil {
			err = f.crashed(p)
		}
		f.endRun(res, err)
	}()
	res, out, err = h(ctx, req, in)
	return copyResult(res), out, err
}

// joined returns the flight the middleware began for exactly this handler.
func (e *entry) joined(ctx context.Context) *flight {
	f := flightFrom(ctx)
	if f == nil || f.entry != e || f.byHand || f.current == nil || f.runs > 0 && !f.asked {
		return nil
	}
	return f
}

// serve runs a handler: as part of the call that reached it through the
// middleware, or as a call of its own.
func (e *entry) serve(ctx context.Context, req *mcp.CallToolRequest, run Handler) (res mcp.Result, err error) {
	if f := e.joined(ctx); f != nil {
		f.startRun(req)
		f.run = run
		res, err = f.guard.inner(ctx, f.current)
		if d := AsDenial(err); d != nil {
			f.refused = d
		}
		r, _ := res.(*mcp.CallToolResult)
		f.endRun(r, err)
	} else {
		f = &flight{parent: ctx, guard: e.guard, req: req, run: run, byHand: true, entry: e, began: e.guard.now()}
		defer f.contain(&res, &err)
		f.arrive(methodCallTool)
		res, err = f.decide()
	}
	if _, ok := res.(*mcp.CallToolResult); !ok && res != nil {
		return nil, fmt.Errorf("mcpsec: a control replaced the result of tool %q by a %T", e.name, res)
	}
	return res, err
}

// startRun counts a run of the handler; a second one is the SDK answering for a
// client that knows no multi-round-trip calls.
func (f *flight) startRun(req *mcp.CallToolRequest) {
	if f.runs++; f.runs > 1 {
		again := *f.current
		again.Round++
		f.current = &again
	}
	f.req, f.asked = req, false
}

func (f *flight) endRun(res *mcp.CallToolResult, err error) {
	f.asked = err == nil && res != nil && res.InputRequests != nil
	if d := AsDenial(err); d != nil {
		f.refused = d
	}
}

// atHandler returns the arguments a typed handler has decoded.
func (f *flight) atHandler() json.RawMessage {
	if f.current != nil && !f.byHand {
		return f.current.Arguments
	}
	return f.call.Arguments
}

// runContained runs the handler and contains its panic.
func (f *flight) runContained(ctx context.Context, call *Call) (res mcp.Result, err error) {
	defer f.containHandler(&res, &err)
	return f.run(ctx, call)
}

// containHandler turns a panic below the guard into a refusal that is recorded.
func (f *flight) containHandler(res *mcp.Result, err *error) {
	if p := recover(); p != nil {
		*res, *err = nil, f.crashed(p)
	}
}

func (f *flight) crashed(p any) *Denial {
	d := codeHandlerPanic.Deny("").Because(panicError(p))
	d.Control = "guard"
	f.refused = d
	return d
}

// copyResult returns a copy that the SDK may write to: it sets fields of what a
// handler returns, which may be shared.
func copyResult(r *mcp.CallToolResult) *mcp.CallToolResult {
	if r == nil {
		return nil
	}
	c := *r
	c.Meta = maps.Clone(r.Meta)
	return &c
}

// settled is a copy whose free-form parts are encoded already, so that a panic or
// an error in their encoding happens here and not when the SDK writes the answer.
func settled(r *mcp.CallToolResult) (*mcp.CallToolResult, error) {
	c := copyResult(r)
	if _, raw := c.StructuredContent.(json.RawMessage); !raw && c.StructuredContent != nil {
		b, err := json.Marshal(c.StructuredContent)
		if err != nil {
			return nil, fmt.Errorf("encoding structuredContent: %w", err)
		}
		c.StructuredContent = json.RawMessage(b)
	}
	if len(c.Meta) > 0 {
		if _, err := json.Marshal(c.Meta); err != nil {
			return nil, fmt.Errorf("encoding _meta: %w", err)
		}
	}
	return c, nil
}

// textOf makes an error of a result that a control put in the place of a typed
// handler's; the SDK turns it into a result with isError again.
func textOf(res mcp.Result) error {
	if r, ok := res.(*mcp.CallToolResult); ok && r != nil && r.IsError && len(r.Content) == 1 {
		if t, ok := r.Content[0].(*mcp.TextContent); ok {
			return errors.New(t.Text)
		}
	}
	return errors.New("a control changed the result of a typed handler; install the guard on the server to allow it")
}
