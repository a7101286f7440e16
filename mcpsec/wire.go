package mcpsec

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// JSON-RPC error codes of refusals. CodeThrottled is the one other MCP products
// use; the rest lie in the range the specification leaves to implementations.
const (
	CodeThrottled       = -32029
	CodeUnavailable     = -32010
	CodeUnauthenticated = -32011
	CodeForbidden       = -32012
)

// metaDenial is the _meta key under which a refused tool result carries code and
// call id.
const metaDenial = "io.github.mcpsec/denial"

// wireDenial is the data of a JSON-RPC error, and the value of metaDenial.
type wireDenial struct {
	Code         string `json:"code"`
	CallID       string `json:"callId"`
	RetryAfterMs int64  `json:"retryAfterMs,omitempty"`
}

// toWire is the one place where a control's refusal becomes an answer. Detail never
// leaves.
func toWire(call *Call, d *Denial) (mcp.Result, error) {
	data := wireDenial{Code: d.Code, CallID: call.ID}
	rpc := func(code int64, message string) error {
		raw, err := json.Marshal(data)
		if err != nil { // strings and an integer always encode
			raw = nil
		}
		return &jsonrpc.Error{Code: code, Message: message, Data: raw}
	}
	switch d.Kind {
	case NotFound:
		return nil, notFound(call)
	case Throttled:
		if d.RetryAfter > 0 {
			data.RetryAfterMs = (d.RetryAfter + time.Millisecond - 1).Milliseconds() // never early
		}
		return nil, rpc(CodeThrottled, d.Reason)
	case BadArguments:
		if call.Method == methodCallTool {
			return errorResult(call, d.Reason, data), nil
		}
		return nil, rpc(jsonrpc.CodeInvalidParams, d.Reason)
	case BadRequest:
		if d.Code == codeMissingCapability.Name {
			return nil, &jsonrpc.Error{Code: mcp.CodeMissingRequiredClientCapabilities, Message: d.Reason, Data: call.flight.missingCapability()}
		}
		return nil, rpc(jsonrpc.CodeInvalidParams, d.Reason)
	case Unauthenticated:
		return nil, rpc(CodeUnauthenticated, "not authenticated")
	case Forbidden:
		return nil, rpc(CodeForbidden, "insufficient scope")
	case Crashed:
		return nil, rpc(jsonrpc.CodeInternalError, "internal error")
	case Unavailable:
	}
	return nil, rpc(CodeUnavailable, "refused")
}

// errorResult is a tool result that says what is wrong with the arguments.
func errorResult(call *Call, reason string, data wireDenial) *mcp.CallToolResult {
	res := &mcp.CallToolResult{}
	if r, ok := call.flight.req.(*mcp.CallToolRequest); ok && r.ProtocolVersion() >= statelessVersion {
		// The revision asks for a result type, which the SDK lets nobody set but its decoder.
		_ = json.Unmarshal([]byte(`{"content":[],"resultType":"complete"}`), res)
	}
	res.Meta = mcp.Meta{metaDenial: data}
	res.Content = []mcp.Content{&mcp.TextContent{Text: reason}}
	res.IsError = true
	return res
}

// notFound answers as the SDK does for what does not exist.
func notFound(call *Call) error {
	unknown := func(what string) error {
		return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("unknown %s %q", what, call.Name)}
	}
	switch call.Method {
	case methodCallTool:
		return unknown("tool")
	case methodGetPrompt:
		return unknown("prompt")
	case methodReadResource, methodSubscribe, methodUnsubscribe:
		return mcp.ResourceNotFoundError(call.Name)
	case methodComplete:
		return unknown("reference")
	}
	return &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: fmt.Sprintf("method not found: %q", call.Method)}
}
