// Package ratelimit keeps one caller, one tool or one broken upstream from taking
// a server down: rates, calls in flight, and a circuit breaker for each tool.
//
//	guard, err := mcpsec.New(ratelimit.New())
//
// is in force with limits that suit a server for people and their agents:
//
//   - 120 calls a minute for each principal and tool, 30 of them at once;
//   - 16 calls in flight for each principal, 128 for the whole server;
//   - 4 open subscriptions/listen streams for each principal, 1024 in all;
//   - a tool that fails 5 times in a row rests for 30 seconds, then one call tries
//     whether it works again.
//
// An option replaces the default of its kind:
//
//	ratelimit.New(
//		ratelimit.PerPrincipal(600, time.Hour).Burst(60),
//		ratelimit.PerTool(1000, time.Minute),
//		ratelimit.InFlight(4, 64),
//		ratelimit.Breaker(ratelimit.Trip{Failures: 3, OpenFor: time.Minute}),
//	)
//
// [New] returns one [mcpsec.Set] with three controls, which the guard sorts to
// their stages: the rate before authorisation, so that guessing is slow, and
// calls in flight and breaker after it, so that only what would run takes a slot.
//
// # What counts
//
// Every request and notification counts, refused and malformed ones included, but
// ping and notifications/initialized; a cancellation over the limit is dropped, and
// its call runs on. A tools/call for a tool the server does not
// offer counts against one bucket for all such names, and so do methods MCP does
// not define: made-up names make no new buckets. Each resource in a
// subscriptions/listen counts as one resources/subscribe. A call that comes back
// with the answers it asked for (SEP-2322) is counted once. What the server asks
// the client in the course of a call (sampling, elicitation, roots) counts for the
// same principal, in buckets of its own for each method.
//
// A principal is a [mcpsec.Principal]; all anonymous callers are one.
//
// # What it stops
//
// A flood by one principal that starves the others; a flood of fresh principals
// that makes the table of buckets grow, or that drives a busy one out of it to
// win it a new burst; retries that come a moment too early and cost a refusal
// each, since every rate refusal says how long to wait; handlers and streams that
// pile up; a failing upstream that is called again and again; a trial call that
// hangs and would keep its tool out of service.
//
// # What it does not stop
//
//   - It counts in one process. Behind a load balancer with N replicas, the limits
//     are N times as high, and a restart forgets them.
//   - It counts calls, not their price: there are no money or token budgets yet.
//   - Whoever has many principals, for example many addresses, has many buckets.
//     Only PerTool and the totals of InFlight and Listeners bound all of them
//     together, and those a flood can use up for everybody.
//   - Anonymous callers starve each other: give them an identity.
//   - A caller who can make a tool panic or run into its deadline, again and again
//     with nothing between, opens the breaker for everybody. Bad arguments do not,
//     unless Trip.CountToolErrors is set.
//   - Pings, and bytes and connections before a message is complete, are left to
//     the transport.
//   - Nothing queues. A refused call is gone; the caller comes again.
package ratelimit
