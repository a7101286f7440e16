// Package oauth issues access tokens of an OAuth 2 authorization server: by exchange of
// the caller's own token (RFC 8693), so that a tool acts on behalf of the caller, or
// for the server itself (client credentials, RFC 6749 section 4.4).
//
//	creds.Named("calendar", oauth.Exchange(oauth.Config{
//		TokenURL: "https://login.example/token",
//		ClientID: "calendar-mcp",
//		Auth:     oauth.PrivateKey(key, "key-1"),
//		Audience: []string{"https://calendar.example"},
//		Scopes:   []string{"calendar.read"},
//	}))
//
// # What it stops
//
// Token passthrough, which MCP forbids: the caller's token is for this server and is
// never handed on. What the tool gets was issued for the configured audience and no
// more than the configured scopes, and an answer that gives back the caller's token,
// more scopes, another kind of token or an absurd life is refused.
//
// One caller getting what was issued for another: the plan holds a keyed hash of the
// subject token and the principal.
//
// # What it does not stop
//
// A server that issues more than it says: scopes are compared by name, and a server
// that does not name them is taken to have issued what was asked for (RFC 6749 section
// 5.1). The token itself is opaque here; whoever receives it checks it. A caller whose
// token is revoked keeps what was exchanged for it until that expires: set MaxLife.
package oauth
