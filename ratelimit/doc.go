// Package ratelimit keeps one caller, one tool or one broken upstream from taking
// a server down, or running up its bill: rates, calls in flight, a circuit breaker
// for each tool, budgets in money or any other unit, and a kill switch.
//
//	guard, err := mcpsec.New(ratelimit.New())
//
// is in force with limits that suit a server for people and their agents:
//
//   - 120 calls a minute for each principal and tool, 30 of them at once;
//   - 16 calls in flight for each principal, 64 of each tool, 128 for the whole server;
//   - 4 open subscriptions/listen streams for each principal, 1024 in all;
//   - a tool that fails 5 times in a row rests for 30 seconds, then one call tries
//     whether it works again;
//   - [Limiter.Switch] stops a principal, a tool or everything.
//
// An option replaces the default of its kind, or adds what is off by default:
//
//	ratelimit.New(
//		ratelimit.PerPrincipal(600, time.Hour).Burst(60),
//		ratelimit.PerTool(1000, time.Minute),
//		ratelimit.InFlight(4, 64),
//		ratelimit.Queue(8, 64, 5*time.Second),
//		ratelimit.Breaker(ratelimit.Trip{Failures: 3, Slow: 10 * time.Second}),
//		ratelimit.Upstream("github", "list_issues", "create_issue"),
//		ratelimit.Budget("$5/day").PerPrincipal(), ratelimit.Budget("$100/month"),
//		ratelimit.Price("search", "$0.01").Reported("$0.05"),
//		ratelimit.Loops(ratelimit.Loop{}),
//		ratelimit.StateDir("/var/lib/mcp"),
//	)
//
// [New] returns one [mcpsec.Set] of controls, which the guard sorts to their stages:
// the rate before authorisation, so that guessing is slow; the switch beside it; loops,
// calls in flight, breaker and budget after it, so that only what would run takes a
// slot or money.
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
// # Budgets
//
// What a call may cost at most is reserved on every budget that applies, in one step
// or not at all, and settled when it has ended. A handler reports what only it knows
// with [Charge]. What a call cost beyond what was reserved is debt: later calls wait
// until it is worked off, one limit's worth in each window. Every message that runs
// the handler pays, each round of a multi-round-trip call too, and a second run of the
// handler within one message. Sampling and elicitation have prices of their own and
// are paid for from the same accounts as the call that asks. A call that a control
// refuses before its handler begins costs nothing. Amounts are whole numbers of
// millionths; nothing is rounded in the caller's favour. A reservation that is not
// settled by half a minute after the call's deadline, or a day at most, for example
// because the process died, has been spent.
//
// # Several processes
//
// Rates and budgets are counted in the process, unless [Shared] names a [Store].
// Calls in flight, breakers and loops always are. [Outage] says for each limit what
// it means while the store does not answer; the default refuses.
//
// # The kill switch
//
// [StateDir] names a directory in which freeze.json says what is frozen. It survives
// restarts, and the command line (mcpsec freeze, thaw, status) reaches a running
// server through it within a second of its next call. A file that cannot be read or
// understood, that has gone, or that belongs or is open to others, freezes everything.
// A call that waits in the queue when its principal is frozen does not begin.
//
// # What it stops
//
// A flood by one principal that starves the others; a flood of fresh principals
// that makes the table of buckets grow, or that drives a busy one out of it to
// win it a new burst; retries that come a moment too early and cost a refusal
// each, since every rate refusal says how long to wait; handlers and streams that
// pile up; a principal that fills the queue; a failing, slow or hanging tool that is
// called again and again, also while its calls still hang; a trial call that hangs and
// would keep its tool out of service; calls at the same time that each see the same
// money left; reports that come too late or are repeated; an agent that goes round in
// circles, or suddenly spends far more than it used to, where that is asked for; a
// caller that cancels while a shared store is asked, to make it look like an outage;
// limits, prices and upstreams of tools whose names are misspelt, which the guard
// refuses when it is installed.
//
// # What it does not stop
//
//   - Without a Store it counts in one process: behind a load balancer with N
//     replicas the limits are N times as high, and a restart forgets rates, budgets
//     and debts. Only the switch survives one.
//   - A budget is as good as its prices. What no price foresees and no handler
//     reports costs nothing here, resources and prompts among it; what a call spends
//     beyond its reservation has been spent when it is booked. The overrun of one call
//     is not bounded: the calls that run at that moment can each overrun.
//   - Budgets follow the clock of the system, or of the store. Their time never goes
//     back, so that one call while the clock is years ahead counts for the window it
//     then was: its account refuses until that time comes, or the process starts anew.
//   - Whoever has many principals, for example many addresses, has many buckets.
//     Only PerTool, PerServer, budgets of the server and the totals of InFlight, Queue
//     and Listeners bound all of them together, and those a flood can use up for
//     everybody. While MaxKeys accounts are in use by a flood, every tenth of a second
//     one decision looks through all of them, tens of milliseconds with 100 000; and a
//     call of a tool with free slots looks past all that wait for another, tens of
//     microseconds with 4096.
//   - Of an InProcess store, limits share the one bucket of those who find no room with
//     other limits by chance: with seven limits in about one process of twelve.
//   - Anonymous callers starve each other: give them an identity.
//   - A caller who can make a tool panic or run into its deadline, again and again
//     with nothing between, opens the breaker for everybody. Bad arguments do not,
//     unless Trip.CountToolErrors is set.
//   - Freezing does not stop a handler that runs already; it may only ask the client
//     nothing more, and what has left the queue runs. Whoever may write the state
//     directory, and its owner, may thaw.
//   - Loops are recognised by the calls of one principal in one process. One who
//     varies the arguments, or calls a third tool in between, is not: that is for
//     rates and budgets. Of those who find no trail among 10 000 only repeats are seen,
//     and of those who find no place among 10 000 calls that wait for answers, the
//     questions of each round. Two Limiters with Loops in one guard count each question
//     twice. SpendSurge does not know principals who spend much from the beginning on,
//     and watches 10 000 at a time: that many fresh ones who spend a little keep it from
//     any newcomer for a day.
//   - A refusal says how long a budget that many share is used up, and thereby that it
//     is; the amount stands in the record only.
//   - While the shared store is down, LocalShare starts from nothing spent, and
//     lets each process pass one call at least.
//   - Pings, and bytes and connections before a message is complete, are left to
//     the transport.
package ratelimit
