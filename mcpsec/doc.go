// Package mcpsec puts security controls around the calls of a Model Context
// Protocol server built on the official Go SDK.
//
// # The one idea
//
// A [Control] wraps a [Call]. A [Guard] holds controls, owns their order, and is
// installed on a server; from then on every call is identified, allowed, limited,
// attested, given only its own credentials, inspected and recorded, or refused
// with a [Denial].
//
//	guard, err := mcpsec.New(audit.New(...), ratelimit.New(...), allowlist.New(...))
//	mcpsec.AddTool(guard, server, tool, handler) // was mcp.AddTool
//	err = guard.Install(server)
//	server.Run(ctx, guard.Transport(&mcp.StdioTransport{}, peer))
//
// # Three enforcement points, one decision
//
// The SDK's middleware alone is not a choke point, so the guard acts in three
// places: at the frame ([Guard.Transport], [Guard.Handler]), where messages arrive;
// in receiving and sending middleware ([Guard.Install]), where methods, lists,
// sampling and elicitation pass; and in a closure around the handler ([AddTool],
// [Wrap], [WrapFor]), since the SDK looks a tool up after all middleware. A call
// that passes several points is decided, charged and recorded once.
//
// # What it stops
//
// Controls applied in the wrong order or left out for some methods; a tool that is
// hidden from lists yet callable; a handler registered again behind a reviewed
// name; tools that shadow others or hide behind look-alike names; forged answers
// to questions of a tool (SEP-2322 request states); panics that would end the
// process; lists and cursors that reveal hidden names; credentials of a caller that
// reach a handler; arguments that two JSON readers read differently; middleware
// added later that would answer in the guard's place.
//
// # What it does not stop
//
// Code in the same process that writes to memory, uses unsafe or traces the
// process; root and the kernel; a reviewed handler that misuses what it was given;
// a foreign handler's side effects in the moment before its reply is dropped. The
// guard by itself records, limits and authorises nothing: that is what controls
// are for. It authenticates nobody: a transport does that.
package mcpsec
