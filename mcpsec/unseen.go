package mcpsec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var errRejected = errors.New("unknown notification")

// checkParams reports what is wrong with the raw parameters of a request.
func checkParams(req *jsonrpc.Request) *Denial {
	if len(req.Params) == 0 {
		return nil
	}
	if err := CheckJSON(req.Params); err != nil {
		return codeMalformed.Deny("params: " + err.Error()).Because(err)
	}
	return nil
}

// unseen takes a message through the chain that no middleware will see or has
// seen, so that it is recorded and counted. A nil fault means the message may go
// on. The error is what to answer; it repeats nothing of the request.
func (g *Guard) unseen(ctx context.Context, fr *frame, fault error) error {
	f := &flight{parent: ctx, guard: g, frame: fr}
	f.call = Call{flight: f, ID: newID(g.now()), Method: fr.method, Principal: fr.principal, Source: fr.source}
	if fault != nil {
		f.fault = AsDenial(fault)
		if f.fault == nil {
			f.fault = codeRejected.Deny(rejection(fault))
			f.fault.cause = fault // without its text, which repeats the parameters
			f.fault.Detail = fmt.Sprintf("JSON-RPC error %d", wireCode(fault))
		}
	}
	f.run = func(context.Context, *Call) (mcp.Result, error) { return nil, nil } //nolint:nilnil // a notification has neither
	_, err := g.through(f)
	d := AsDenial(err)
	switch {
	case d == nil:
		return err
	case d.Code == codeRejected.Name:
		return &jsonrpc.Error{Code: wireCode(fault), Message: d.Reason, Data: negotiable(fault)}
	}
	if _, err = toWire(&f.call, d); err == nil { // a tool result is no answer to what was not called
		err = &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: d.Reason}
	}
	return err
}

// unguarded is the refusal of an answer that somebody gave without the guard.
func (g *Guard) unguarded(f *frame) *Denial {
	if g.state.Load() != stateSealed {
		return codeNotInstalled.Deny("")
	}
	d := codeOutflanked.Deny("")
	d.Detail = "a middleware outside the guard answered " + f.method
	if !g.outflanked.Swap(true) {
		g.alarm(Alarm{Code: d.Code, Detail: d.Detail})
	}
	return d
}

// rejection says what the SDK rejected in words that hold nothing of the request.
func rejection(err error) string {
	switch code := wireCode(err); code {
	case jsonrpc.CodeMethodNotFound:
		return "method not found"
	case jsonrpc.CodeInvalidParams:
		return "invalid params"
	case jsonrpc.CodeInvalidRequest:
		return "invalid request"
	case mcp.CodeUnsupportedProtocolVersion:
		return "unsupported protocol version"
	default:
		return fmt.Sprintf("rejected (%d)", code)
	}
}

func wireCode(err error) int64 {
	if wire, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return wire.Code
	}
	return 0
}

// negotiable returns the versions a client may choose from; of what else the SDK
// put into an error nothing is kept.
func negotiable(err error) json.RawMessage {
	var wire *jsonrpc.Error
	if !errors.As(err, &wire) || wire.Code != mcp.CodeUnsupportedProtocolVersion {
		return nil
	}
	var data mcp.UnsupportedProtocolVersionData
	if json.Unmarshal(wire.Data, &data) != nil {
		return nil
	}
	data.Requested = ""
	raw, err := json.Marshal(data)
	if err != nil {
		return nil
	}
	return raw
}
