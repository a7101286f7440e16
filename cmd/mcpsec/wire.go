package main

import (
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// kinds are all kinds of refusal, in the order the documentation lists them.
var kinds = []mcpsec.Kind{
	mcpsec.Unavailable, mcpsec.Throttled, mcpsec.NotFound, mcpsec.BadArguments,
	mcpsec.BadRequest, mcpsec.Unauthenticated, mcpsec.Forbidden, mcpsec.Crashed,
}

// kindOnWire says what a client sees of a refusal. The guard maps refusals to the
// wire; a test runs one of each kind through a guard and compares.
func kindOnWire(k mcpsec.Kind) string {
	switch k {
	case mcpsec.Unavailable:
		return fmt.Sprintf("JSON-RPC error %d \"refused\" with code and callId, and nothing of the reason.", mcpsec.CodeUnavailable)
	case mcpsec.Throttled:
		return fmt.Sprintf("JSON-RPC error %d with the reason, code, callId and, when it is known, retryAfterMs.", mcpsec.CodeThrottled)
	case mcpsec.NotFound:
		return fmt.Sprintf("The answer for what does not exist, without code or callId: for a tool call, JSON-RPC error %d \"unknown tool\".", jsonrpc.CodeInvalidParams)
	case mcpsec.BadArguments:
		return fmt.Sprintf("A tool result with isError and the reason as text; for other methods JSON-RPC error %d.", jsonrpc.CodeInvalidParams)
	case mcpsec.BadRequest:
		return fmt.Sprintf("JSON-RPC error %d with the reason, code and callId.", jsonrpc.CodeInvalidParams)
	case mcpsec.Unauthenticated:
		return fmt.Sprintf("JSON-RPC error %d \"not authenticated\" with code and callId.", mcpsec.CodeUnauthenticated)
	case mcpsec.Forbidden:
		return fmt.Sprintf("JSON-RPC error %d \"insufficient scope\" with code and callId.", mcpsec.CodeForbidden)
	case mcpsec.Crashed:
		return fmt.Sprintf("JSON-RPC error %d \"internal error\" with code and callId, and nothing of the panic.", jsonrpc.CodeInternalError)
	}
	return ""
}

// codeOnWire says what a client sees of a code: mostly what its kind says.
func codeOnWire(c mcpsec.Code) string {
	switch c.Name {
	case "guard.missing_capability":
		return fmt.Sprintf("JSON-RPC error %d with the reason and the missing capability.", mcp.CodeMissingRequiredClientCapabilities)
	case "guard.rejected":
		return "The JSON-RPC error code the SDK chose, with a reason that repeats nothing of the request."
	case "guard.probe":
		return "Nothing: probes run before the server serves."
	}
	if strings.HasPrefix(c.Name, "lock.") {
		return "Nothing comes from a server: the host's own client gets an error with the reason."
	}
	return kindOnWire(c.Kind)
}
