package mcpsec

import (
	"encoding/json"
	"fmt"

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

// toWire is the one place where a refusal becomes an answer. Detail never leaves.
func toWire(call *Call, d *Denial) (mcp.Result, error) {
	data := wireDenial{Code: d.Code, CallID: call.ID}
	rpc := func(code int64, message string) error {
		raw, _ := json.Marshal(data) // strings and an integer cannot fail
		return &jsonrpc.Error{Code: code, Message: message, Data: raw}
	}
	switch d.Kind {
	case NotFound:
		return nil, notFound(call)
	case Throttled:
		if d.RetryAfter > 0 {
			data.RetryAfterMs = max(1, d.RetryAfter.Milliseconds())
		}
		return nil, rpc(CodeThrottled, d.Reason)
	case BadArguments:
		if call.Method == methodCallTool {
			return &mcp.CallToolResult{
				Meta:    mcp.Meta{metaDenial: data},
				Content: []mcp.Content{&mcp.TextContent{Text: d.Reason}},
				IsError: true,
			}, nil
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
