// Package https serves MCP over TLS 1.3 to callers that it knows: Streamable HTTP of the
// current revision, which has no sessions, and where they are enabled the sessions of
// earlier revisions and the deprecated transport HTTP+SSE. Around the SDK's handlers and
// the guard's frame it puts what a server that can be reached needs.
//
//	guard, err := mcpsec.New(controls...)
//	...
//	mcpsec.AddTool(guard, server, &mcp.Tool{Name: "look"}, look)
//	if err := guard.Install(server); err != nil { ... }
//	err = https.ListenAndServe(ctx, ":8443", https.Config{
//		Guard: guard, Server: server, Hosts: []string{"mcp.example.com:8443"},
//		Certificates: certificates, Tokens: tokens,
//	})
//
// # What it stops
//
//   - Callers that nobody knows. Each request shows a client certificate, an access token,
//     or both, as the configuration has it, and its principal is settled before a byte of
//     its body is read. Tokens in URLs are refused. Errors are fixed texts; causes go to
//     the record.
//   - Borrowed sessions. A session, its streams, its answers and its end belong to the
//     principal that opened it; to everybody else it does not exist. That holds for
//     HTTP+SSE too, where the SDK runs anybody's message as the first user.
//   - Streams that outlive their credentials. A stream ends when its token or certificate
//     expires (after a warning, and unless fresh credentials of the same principal are
//     shown from the same session, the same address, or with a client certificate), is
//     revoked, or is no longer accepted; when its principal is frozen; when it is too old,
//     its reader too slow, or its session idle. [Server.Freeze] is the kill switch: it cuts
//     off whatever a principal has open, and cancels its calls.
//   - DNS rebinding and pages of other origins, for every method, including those with
//     which a page can open a stream.
//   - Messages that two readers read differently: one message in a POST, in canonical form;
//     no repeated protocol headers; mirrored headers only in the revision that compares
//     them; no encodings, absolute targets or escaped paths.
//   - Credentials and proxies' words in the hands of handlers: Authorization, cookies,
//     Forwarded, X-Forwarded-* and their kin end here.
//   - One caller using up the server: calls, sessions, streams and bodies being read are
//     bounded for each principal and in total, connections for each address, sizes and
//     times for each message, and notifications by what still waits.
//   - An end that never comes: [Server.Shutdown] has a deadline, and keeps it.
//
// # What it does not stop
//
//   - Who holds good credentials does what they allow, until somebody revokes or freezes
//     them. A stolen bearer token is as good as its owner's until then: bind tokens to
//     certificates or keys. Streams that a thief opened from the owner's address live as
//     long as the owner shows fresh tokens.
//   - A call under way is not ended because its token expires meanwhile, only when the
//     token is revoked; it is bounded by its own deadline.
//   - A handler that does not heed its context runs on after the kill switch and after a
//     shutdown. Its answer goes nowhere.
//   - Floods that saturate the network or the handshakes of the machine.
//   - Behind a proxy all callers share the proxy's address. Its headers are not believed.
//
// Sessions end when no message was sent in either direction for Limits.Idle, also while a
// stream is open: set it to what the clients can live with.
package https
