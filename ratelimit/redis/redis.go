package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// A Store is a [ratelimit.Store] in Redis. Make one with [New]. It is safe for
// concurrent use and starts no goroutine.
type Store struct {
	link    *link
	scripts scripts
	names   names
	clock   *clock
	leases  *leases
	backlog backlog
	closed  atomic.Bool
}

var _ ratelimit.Store = (*Store)(nil)

// ErrClosed is returned by Take after Close. What was reserved can still be settled.
var ErrClosed = errors.New("ratelimit/redis: the store is closed")

// New makes a Store of a client, which stays the caller's: TLS, user and password
// are set there, and who made it closes it, after the Store. The client must be a
// *redis.Client, with or without Sentinel, or a *redis.ClusterClient, with
// ContextTimeoutEnabled; others are refused, since they may wait for seconds where
// Config.Timeout promises milliseconds. New does not talk to Redis; see
// [Store.Ready].
func New(client goredis.UniversalClient, c Config) (*Store, error) {
	return newStore(client, c, time.Now)
}

func newStore(client goredis.UniversalClient, c Config, now func() time.Time) (*Store, error) {
	c, err := c.complete()
	if err != nil {
		return nil, fmt.Errorf("ratelimit/redis: %w", err)
	}
	l, err := dial(client, c)
	if err != nil {
		return nil, fmt.Errorf("ratelimit/redis: %w", err)
	}
	return &Store{link: l, scripts: ours, names: newNames(c), clock: newClock(now), leases: newLeases(c.Lease)}, nil
}

// Ready returns nil if Redis answers and has taken the store's scripts. Unlike Take it
// waits as long as ctx allows, up to ten seconds, so that a server can open its
// connections before it serves.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, script := range [...]*script{s.scripts.take, s.scripts.settle, s.scripts.giveBack} {
		if err := s.link.load(ctx, s.names.hold("ready"), script); err != nil {
			return fmt.Errorf("ratelimit/redis: %w: %w", ErrDown, err)
		}
	}
	return nil
}

// Take decides about one call. Where this replica holds leased permits of all its
// buckets, or knows that one of them is empty, and nothing is reserved, it needs no
// round trip; otherwise one. Its errors are in the chain of [ErrDown], or are those
// of ctx or of a Request that no limit makes.
func (s *Store) Take(ctx context.Context, req *ratelimit.Request) (ratelimit.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return ratelimit.Verdict{}, err
	}
	if s.closed.Load() {
		return ratelimit.Verdict{}, ErrClosed
	}
	if len(req.Buckets) > most || len(req.Reservations) > most {
		return ratelimit.Verdict{}, fmt.Errorf("ratelimit/redis: a call with %d buckets and %d reservations: at most %d each are decided together",
			len(req.Buckets), len(req.Reservations), most)
	}
	var p plan
	if v, decided := s.leases.decide(s.clock.local(), req, &p); decided {
		return v, nil
	}
	v, err := s.ask(ctx, req, &p)
	if err == nil {
		if h := s.backlog.next(); h != nil {
			_ = h.late(ctx) // or later
		}
	}
	return v, err
}

// most bounds the buckets, and the reservations, of one call.
const most = 8

// Close settles what could not be settled before and gives unused permits back, as
// far as Redis takes them within a second, and ends the store. The client stays open. The second Close does nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return errors.Join(s.settleAll(ctx), s.giveBack(ctx))
}

// Stats are counters since New.
type Stats struct {
	Leased  uint64 // calls that passed without a round trip
	Refused uint64 // calls that were refused without one
	Asked   uint64 // calls that Redis was asked about, or would have been
	Failed  uint64 // of those, the ones that Redis did not decide
	Waiting int    // settlements that Redis has not taken yet
	Open    bool   // Redis is not asked at present, since it failed
}

// Stats returns a snapshot.
func (s *Store) Stats() Stats {
	st := s.leases.stats()
	st.Waiting, st.Open = s.backlog.size(), s.link.open()
	return st
}
