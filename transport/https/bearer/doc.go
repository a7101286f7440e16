// Package bearer judges OAuth 2.1 access tokens for the TLS listener: it is the resource
// server's side of the MCP specification's authorization, for tokens that are signed (JWT,
// RFC 9068), opaque (RFC 7662), bound to the client's certificate (RFC 8705), bound to a key
// (DPoP, RFC 9449), or several of these.
//
//	tokens, err := bearer.New(bearer.Config{
//		Issuers:  []bearer.Issuer{{URL: "https://login.example.com"}},
//		Audience: []string{"https://mcp.example.com/mcp"},
//		Scopes:   map[string][]string{"*": {"mcp"}, "tools/call delete_*": {"files:write"}},
//	})
//	https.ListenAndServe(ctx, ":8443", https.Config{Tokens: tokens, ...})
//
// # What it stops
//
//   - Tokens that are not for this server, not of a configured issuer, no access tokens, too
//     old, too long-lived, signed with an algorithm or key that is not the issuer's, or
//     written so that two readers could understand them differently: duplicate members,
//     other spellings of base64, members that change what is signed.
//   - Tokens that were stolen, where they are bound: without the certificate or the key they
//     are refused, also when the scheme says Bearer.
//   - Tokens in a query string, in two headers, in forms and in cookies.
//   - An unauthenticated flood that is meant for the issuer: whatever tokens come, they cause
//     one refresh of keys a minute at most, and a bounded rate of introspections.
//   - Requests against the network this server is in, by redirects, documents or DNS of the
//     issuer.
//   - Tokens that end early: keys that the issuer withdraws are noticed at the next refresh
//     (Issuer.Refresh), tokens that introspection says are not active within five seconds
//     while [Verifier.Watch] runs and the issuer answers, and [Verifier.Revoke] ends tokens
//     at once. Each ends streams, too.
//
// # What it does not stop
//
//   - A stolen token that is bound to nothing, until it ends: require binding, or keep
//     Issuer.MaxLifetime short.
//   - A revocation at the issuer without introspection; it is not asked.
//   - While an issuer does not answer, its keys are believed for Issuer.Stale, and an active
//     token for Introspection.Grace. A flood of unknown opaque tokens can keep new opaque
//     tokens out, though not those in use.
//   - What the issuer itself does wrong: it decides who is who, and what they may ask for.
//     It is asked directly: proxies of the environment are not used.
//   - Proofs of possession that are replayed to another server process: each remembers its
//     own. Use nonces, which are of one process, where several share a name.
//
// Errors are *https.AuthError: the texts for clients are fixed, and the cause is for the
// operator. No token is in an error, a log or what %v prints.
package bearer
