// Package redis keeps rate limits and budgets in Redis or Valkey, so that all
// replicas of a server hold one limit together.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true})
//	store, err := limits.New(client, limits.Config{Secret: secret})
//	if err != nil { ... }
//	defer store.Close()
//	guard, err := mcpsec.New(ratelimit.New(
//		ratelimit.Shared(store),
//		ratelimit.PerPrincipal(600, time.Minute),
//		ratelimit.Budget("$5/day"),
//	))
//
// (with this package imported as limits.) The server stands by itself, behind Sentinel,
// or is a Cluster. It is tested with Redis 7.0 and uses nothing newer than 6.2.
//
// # How it decides
//
// One script decides about all limits of a call, in one atomic step and one round
// trip, by the server's clock. The clocks of the replicas do not matter: what is
// computed with them (the calendar's windows) is checked by the script and computed
// anew with the server's time if it was wrong. A bucket is one theoretical arrival
// time (GCRA); there are no fixed windows of calls that could drift.
//
// A replica that uses a bucket again and again takes permits in advance: twice as
// many each time, up to Config.Lease, but no more than a fiftieth of what is left.
// Near the limit that is one at a time. It uses them within a second, or loses them;
// Close gives them back. What Redis has refused is refused again without asking,
// until the wait is over or for a second at most. So most calls of a hot key make
// no round trip. Calls with reservations always do, and one more to settle.
//
// # What it promises
//
//   - In any stretch of time t, no more than burst + t·rate + N·H calls pass, where
//     N is the number of replicas and H what one of them may hold: the smaller of
//     Config.Lease - 1 and a fiftieth of the burst. With Lease: 1 it is
//     burst + t·rate exactly.
//   - Budgets are not leased. What is reserved and booked never exceeds the limit,
//     whatever becomes of the replicas; what a call spends beyond its reservation is
//     booked as debt. A reservation that nobody settles has been spent. To settle
//     twice has no effect. What cannot be settled because Redis is away waits in the
//     process, 4096 calls of it, and is settled when Redis is back.
//   - A decision takes Config.Timeout (20 ms) at most, plus what the machine needs to
//     notice; after three in a row that failed, a circuit breaker answers in less
//     than a microsecond, and lets one call in every Config.OpenFor try. Then Take
//     returns an error, and each limit's policy says what that means: refuse the
//     call, which is the default, or hold this replica's share of the limit.
//   - No command is sent twice. A server that hung drops what it finds out of date
//     when it goes on.
//   - Keys have digests in the place of names, expire when they are as good as none,
//     and begin with {Config.Prefix}.
//
// # What it does not promise
//
//   - A failover forgets what the old master had not yet sent to the new one, and a
//     restart without a file all. Buckets then allow what was forgotten again, up to
//     a burst, and so do budgets, but for the calls under way: those are booked anew
//     when they settle. For budgets turn on appendonly with appendfsync always or
//     everysec, and min-replicas-to-write.
//   - Under an eviction policy Redis deletes limits when it is full, and whoever can
//     fill it resets them. Use noeviction: then it refuses, and so does the store.
//   - A replica that is killed has spent what it reserved: what its calls overran, and
//     nobody settled, is not known to anybody.
//   - A call whose answer comes too late or is lost may have been counted, once, and
//     what it reserved stays spent.
//   - A clock that jumps forward on the server refills buckets and begins new
//     windows; one that jumps back delays them.
//   - Who has access to the keys can change limits. The least an ACL must allow is
//     ~{mcpsec}* +eval +evalsha +script|load +time +get +set +del +pexpire +hget
//     +hgetall +hset +hdel, and +cluster|slots in a Cluster; the user should
//     have no other keys.
//   - All keys of a store are in one hash slot, since a script runs on one node: a
//     Cluster gives availability, and one store the throughput of one node. Stores
//     of servers that share no limits should have different prefixes, which spreads
//     them. While the slot itself is migrated, calls are refused as in an outage.
//   - It limits calls, not connections to Redis: the size of the client's pool does.
package redis
