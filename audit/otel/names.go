package otel

// The names of the OpenTelemetry conventions, all in this file. Those for MCP and
// generative AI (open-telemetry/semantic-conventions-genai) have the status
// Development: expect changes here, and nowhere else.
const (
	// General and RPC.
	attrServiceName   = "service.name"
	attrErrorType     = "error.type"
	attrStatusCode    = "rpc.response.status_code"
	attrClientAddress = "client.address"
	attrClientPort    = "client.port"
	attrTransport     = "network.transport"

	// MCP and generative AI.
	attrMethod    = "mcp.method.name"
	attrURI       = "mcp.resource.uri"
	attrTool      = "gen_ai.tool.name"
	attrPrompt    = "gen_ai.prompt.name"
	attrOperation = "gen_ai.operation.name"

	// Ours.
	attrRecord   = "mcpsec.record.id" // audit.Record.ID, by which a receiver drops repetitions
	attrCall     = "mcpsec.call.id"
	attrParent   = "mcpsec.call.parent"
	attrEvent    = "mcpsec.event"
	attrDecision = "mcpsec.decision"
	attrCode     = "mcpsec.code"
	attrControl  = "mcpsec.control"
	attrDigest   = "mcpsec.tool.digest"
	attrRung     = "mcpsec.principal.rung"
	attrIssuer   = "mcpsec.principal.issuer"
	attrSubject  = "mcpsec.principal.subject"
	attrClient   = "mcpsec.principal.client"
	attrTenant   = "mcpsec.principal.tenant"

	// Values.
	executeTool  = "execute_tool"
	toolError    = "tool_error" // a result with isError
	timeout      = "timeout"
	canceled     = "canceled"
	other        = "_OTHER"
	transportIPC = "pipe" // stdio
	transportTCP = "tcp"  // HTTP

	// Instruments. The operations are those of the server, and those it starts itself.
	serverDuration  = "mcp.server.operation.duration"
	clientDuration  = "mcp.client.operation.duration"
	recordsCount    = "mcpsec.audit.records"
	lostCount       = "mcpsec.audit.lost"
	suppressedCount = "mcpsec.audit.suppressed"

	scopeName   = "github.com/mcpsec/mcpsec-go/audit/otel"
	eventPrefix = "mcpsec.audit." // of the event name of a log record
)

// bounds are the bucket boundaries of the durations, in seconds.
var bounds = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}

// named says for each method whose target has a name of its own under which one.
var named = map[string]string{
	"tools/call":                      attrTool,
	"prompts/get":                     attrPrompt,
	"resources/read":                  attrURI,
	"resources/subscribe":             attrURI,
	"resources/unsubscribe":           attrURI,
	"notifications/resources/updated": attrURI,
}

// methods are those that MCP knows, up to revision 2026-07-28. A caller can send any
// other, so those share one label.
var methods = set(
	"completion/complete", "elicitation/create", "initialize", "logging/setLevel", "ping", "prompts/get", "prompts/list",
	"resources/list", "resources/read", "resources/subscribe", "resources/templates/list", "resources/unsubscribe",
	"roots/list", "sampling/createMessage", "server/discover", "subscriptions/listen", "tools/call", "tools/list",
	"notifications/cancelled", "notifications/initialized", "notifications/message", "notifications/progress",
	"notifications/prompts/list_changed", "notifications/resources/list_changed", "notifications/resources/updated",
	"notifications/roots/list_changed", "notifications/tools/list_changed",
)

// codes are the JSON-RPC error codes that may be a label. The value says whether an
// answer of a server with the code is an error of the server: the others say that
// the caller asked for what there is not.
var codes = map[string]bool{
	"-32700": false, "-32600": false, "-32601": false, "-32602": false, "-32002": false,
	"-32603": true, "-32000": true, "-32001": true, "-32029": true, "-32042": true,
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
