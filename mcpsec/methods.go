package mcpsec

import "strings"

// The MCP methods the guard treats by name (revisions up to 2026-07-28). Every
// other method is covered too: it passes the chain under its own name.
const (
	methodInitialize    = "initialize"
	methodCallTool      = "tools/call"
	methodListTools     = "tools/list"
	methodGetPrompt     = "prompts/get"
	methodListPrompts   = "prompts/list"
	methodReadResource  = "resources/read"
	methodListResources = "resources/list"
	methodListTemplates = "resources/templates/list"
	methodSubscribe     = "resources/subscribe"
	methodUnsubscribe   = "resources/unsubscribe"
	methodListen        = "subscriptions/listen"
	methodComplete      = "completion/complete"
	methodDiscover      = "server/discover"
	methodSample        = "sampling/createMessage"
	methodElicit        = "elicitation/create"
	methodListRoots     = "roots/list"

	notifyCancelled        = "notifications/cancelled"
	notifyInitialized      = "notifications/initialized"
	notifyRootsChanged     = "notifications/roots/list_changed"
	notifyProgress         = "notifications/progress"
	notifyToolsChanged     = "notifications/tools/list_changed"
	notifyPromptsChanged   = "notifications/prompts/list_changed"
	notifyResourcesChanged = "notifications/resources/list_changed"
	notifyResourceUpdated  = "notifications/resources/updated"
)

func isNotification(method string) bool { return strings.HasPrefix(method, "notifications/") }
