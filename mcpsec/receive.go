package mcpsec

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// receiving is the guard's receiving middleware: the second enforcement point.
func (g *Guard) receiving(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (res mcp.Result, err error) {
		now := g.now()
		if method != methodCallTool || now.Nanosecond()%checkEvery == 0 {
			g.checkCaller(0)
		}
		f := &flight{parent: ctx, guard: g, next: next, req: req, began: now}
		defer f.contain(&res, &err)
		f.arrive(method)
		return f.decide()
	}
}

// decide takes a flight through the chain to its answer.
func (f *flight) decide() (mcp.Result, error) {
	defer f.land()
	res, err := f.guard.through(f)
	if err == nil {
		if res == nil && !isNotification(f.call.Method) {
			return toWire(&f.call, codeControlFailed.Deny(""))
		}
		if err := encodable(res); err != nil { // a control may have spoilt it
			return toWire(&f.call, codeHandlerPanic.Deny("").Because(err))
		}
		return res, nil
	}
	if d := AsDenial(err); d != nil {
		own := *d // a control may share one among calls
		own.CallID = f.call.ID
		if f.call.Outgoing {
			return nil, &own // the handler that asked is on our side of the wire
		}
		return toWire(&f.call, &own)
	}
	return nil, err
}

// through runs the outer chain, or the probe's in place of it.
func (g *Guard) through(f *flight) (mcp.Result, error) {
	if p := g.probing.Load(); p != nil && f.frame != nil && f.frame.probe == p {
		return p.chain(f, &f.call)
	}
	return g.outer(f, &f.call)
}

// contain is the last line: a fault in the guard itself refuses the call too.
func (f *flight) contain(res *mcp.Result, err *error) {
	if p := recover(); p != nil {
		d := codeControlFailed.Deny("").Because(panicError(p))
		f.guard.alarm(Alarm{Code: d.Code, Tool: f.call.Name, Detail: d.Detail, CallID: f.call.ID})
		*res, *err = toWire(&f.call, d)
	}
}

// checkEvery thins out the check of who calls the middleware, on the path of tool
// calls only: it costs a seventh of the guard. A session begins with other methods.
const checkEvery = 8

// checkCaller makes sure that the SDK itself calls our middleware, and not some
// middleware that was added later and so wraps around it. Side 0 receives, 1 sends.
func (g *Guard) checkCaller(side int) {
	var pc [1]uintptr
	if runtime.Callers(3, pc[:]) == 0 || g.callers[side].Load() == pc[0] {
		return
	}
	g.newCaller(side, pc[0])
}

func (g *Guard) newCaller(side int, pc uintptr) {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	if strings.HasPrefix(frame.Function, sdkPackage) {
		g.callers[side].Store(pc)
		return
	}
	if !g.outflanked.Swap(true) {
		g.alarm(Alarm{Code: codeOutflanked.Name, Detail: "added after Install: " + frame.Function})
	}
}

var sdkPackage = reflect.TypeFor[mcp.Server]().PkgPath() + "."

// arrive reads the request into the flight's call. What it finds wrong it leaves
// in fault, to be refused after the record and the rate limit.
func (f *flight) arrive(method string) {
	g, c := f.guard, &f.call
	c.flight, c.Method, c.ID = f, method, newID(f.began)
	f.identify()
	if method != methodListen && g.settings.CallTimeout > 0 {
		f.timeout = g.settings.CallTimeout
	}
	f.readParams()
	f.checkArguments()
}

func (f *flight) checkArguments() {
	c, most := &f.call, f.guard.settings.MaxBytes
	if len(c.Arguments) > most {
		f.reject(codeMalformed.Deny(fmt.Sprintf("arguments are larger than %d bytes", most)))
	} else if c.Arguments != nil {
		if err := CheckJSON(c.Arguments); err != nil {
			f.reject(codeMalformed.Deny("arguments: " + err.Error()).Because(err))
		}
	}
	if f.fault != nil {
		c.Arguments = nil // nobody judges what two readers read differently
	}
}

// checkURI refuses a URI that the SDK would break its own answer with: it quotes
// the URI of an unknown resource as Go does, which for control characters is not
// JSON, and the session ends.
func (f *flight) checkURI(uri string) {
	if !json.Valid([]byte(strconv.Quote(uri))) {
		f.reject(codeMalformed.Deny("the URI contains control characters"))
	}
}

func (f *flight) reject(d *Denial) {
	if f.fault == nil {
		f.fault = d
	}
}

// readParams takes name and arguments from the parameters of the known methods.
func (f *flight) readParams() {
	c := &f.call
	switch p := f.req.GetParams().(type) {
	case *mcp.CallToolParamsRaw:
		if p == nil {
			return
		}
		c.Name, c.Arguments = p.Name, p.Arguments
		f.findTool()
		f.readRound(p.InputResponses, &p.RequestState)
	case *mcp.GetPromptParams:
		if p == nil {
			return
		}
		c.Name = p.Name
		if p.Arguments != nil {
			c.Arguments = f.marshal(p.Arguments)
		}
		f.readRound(p.InputResponses, &p.RequestState)
	case *mcp.ReadResourceParams:
		if p == nil {
			return
		}
		c.Name = p.URI
		f.checkURI(p.URI)
		f.readRound(p.InputResponses, &p.RequestState)
	case *mcp.SubscribeParams:
		c.Name = p.URI
		f.checkSubscription(p.URI, f.resources())
	case *mcp.UnsubscribeParams:
		c.Name = p.URI
	case *mcp.CompleteParams:
		if p.Ref != nil {
			c.Name = cmp.Or(p.Ref.Name, p.Ref.URI)
		}
		c.Arguments = f.marshal(p)
	case *mcp.SubscriptionsListenParams:
		f.checkListen(p)
		c.Arguments = f.marshal(p)
	default:
		if cursor := cursorOf(p); cursor != nil {
			f.openCursor(cursor)
			return
		}
		c.Arguments = f.marshal(p)
	}
}

// cursorOf returns where the parameters of a list keep their cursor; nil if they
// are none or absent.
func cursorOf(params mcp.Params) *string {
	switch p := params.(type) {
	case *mcp.ListToolsParams:
		if p != nil {
			return &p.Cursor
		}
	case *mcp.ListPromptsParams:
		if p != nil {
			return &p.Cursor
		}
	case *mcp.ListResourcesParams:
		if p != nil {
			return &p.Cursor
		}
	case *mcp.ListResourceTemplatesParams:
		if p != nil {
			return &p.Cursor
		}
	}
	return nil
}

// marshal turns decoded parameters back into JSON for controls to read.
func (f *flight) marshal(v any) json.RawMessage {
	if isNil(v) {
		return nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		f.reject(codeMalformed.Deny("parameters cannot be read").Because(err))
		return nil
	}
	return raw
}

// admit is the guard's own link: what no control can waive. It stands after the
// record and the rate limit, so that refusals here are recorded and counted.
func admit(next Handler) Handler {
	return func(ctx context.Context, call *Call) (mcp.Result, error) {
		if d := call.flight.inadmissible(); d != nil {
			d.Control = "guard"
			return nil, d
		}
		return next(ctx, call)
	}
}

// inadmissible looks at the call as it arrived, not as a control passed it on.
func (f *flight) inadmissible() *Denial {
	g, call := f.guard, &f.call
	switch {
	case f.fault != nil:
		return f.fault
	case f.byHand && g.state.Load() == stateOpen:
		return nil // a handler wrapped by hand needs no server
	case g.state.Load() != stateSealed:
		return codeNotInstalled.Deny("")
	case g.outflanked.Load():
		return codeOutflanked.Deny("")
	case call.Method != methodCallTool || call.Outgoing:
		return nil
	case call.Tool == nil:
		return codeUnknownTool.Deny("unknown tool")
	case f.entry != nil && f.entry.tripped.Load():
		return codeForeignHandler.Deny("")
	}
	return nil
}

// dispatch ends the outer chain.
func dispatch(ctx context.Context, call *Call) (mcp.Result, error) {
	f := call.flight
	if flightFrom(ctx) != f {
		return nil, codeControlFailed.Deny("").Because(fmt.Errorf("a control %w", errNoDerive))
	}
	f.current = call
	if f.entry == nil || f.byHand {
		res, err := f.guard.inner(ctx, call)
		return f.settle(ctx, res, err)
	}
	res, err := f.forward(ctx, call)
	if f.runs == 0 {
		res, err = nil, f.unreached(ctx, res, err)
	}
	return f.settle(ctx, res, err)
}

// runHandler ends the inner chain: beside the handler it runs the handler, and in
// the middleware, for what has no guarded handler, it hands over to the SDK.
func runHandler(ctx context.Context, call *Call) (mcp.Result, error) {
	f := call.flight
	f.ran.Store(true)
	if f.run != nil {
		return f.runContained(ctx, call)
	}
	return f.forward(ctx, call)
}

// forward hands the call to what lies inside the guard: other middleware and the
// SDK's dispatch.
func (f *flight) forward(ctx context.Context, call *Call) (res mcp.Result, err error) {
	defer f.containHandler(&res, &err)
	req, err := f.request(ctx, call)
	if err != nil {
		return nil, err
	}
	switch f.call.Method {
	case methodListen:
		f.meetSession(ctx) // it lasts as long as the client listens
	case methodReadResource:
		if ok, err := f.canRead(ctx, f.call.Name); err != nil {
			return nil, err
		} else if !ok {
			return nil, mcp.ResourceNotFoundError(f.call.Name)
		}
	}
	res, err = f.next(ctx, f.call.Method, req)
	if err != nil {
		return nil, err
	}
	f.meetSession(ctx)
	if f.refused != nil {
		return nil, f.refused
	}
	return f.ownCopy(ctx, res)
}

// request returns the request with the arguments as the controls passed them on.
func (f *flight) request(ctx context.Context, call *Call) (mcp.Request, error) {
	if r, ok := f.req.(*mcp.SubscriptionsListenRequest); ok {
		return f.hear(ctx, call, r), nil
	}
	if sameBytes(call.Arguments, f.call.Arguments) {
		return f.req, nil
	}
	switch r := f.req.(type) {
	case *mcp.CallToolRequest:
		params := *r.Params
		params.Arguments = call.Arguments
		return &mcp.CallToolRequest{Session: r.Session, Params: &params, Extra: r.Extra}, nil
	case *mcp.GetPromptRequest:
		params := *r.Params
		params.Arguments = nil
		if err := json.Unmarshal(call.Arguments, &params.Arguments); err != nil {
			return nil, codeControlFailed.Deny("").Because(err)
		}
		return &mcp.GetPromptRequest{Session: r.Session, Params: &params, Extra: r.Extra}, nil
	}
	return nil, codeControlFailed.Deny("").Because(fmt.Errorf("the arguments of %s cannot be changed by a control", call.Method))
}

// sameBytes reports whether two slices are the same memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// unreached judges an answer to a guarded tool that its handler did not give.
func (f *flight) unreached(ctx context.Context, res mcp.Result, err error) error {
	d := codeForeignHandler.Deny("")
	d.Control = "guard"
	switch {
	case f.refused != nil: // a panic before the handler, in another middleware or in decoding
		return f.refused
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		// Another middleware refused, or the tool was removed. The text may be
		// anybody's, so it goes to the operator only.
		d.Detail = "the call ended before the sealed handler: " + err.Error()
		return d
	}
	if r, ok := res.(*mcp.CallToolResult); ok && r.IsError && f.entry.typed != nil {
		// The SDK refuses arguments that do not match the schema before it runs a
		// typed handler. Whether it did so here is checked, not believed.
		reason, err := f.entry.typed.refusal(ctx, f.current.Arguments)
		if err != nil { // it cannot be known
			d.Detail = err.Error()
			return d
		}
		if reason != "" {
			bad := codeBadArguments.Deny(reason)
			bad.Control = "guard"
			return bad
		}
	}
	d.Detail = "a reply came from a handler that is not the sealed one; it was dropped"
	f.entry.tripped.Store(true)
	f.guard.alarm(Alarm{Code: d.Code, Tool: f.entry.name, Detail: d.Detail, CallID: f.call.ID})
	return d
}
