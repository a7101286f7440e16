package redis

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// A world is a real server whose scripts read the time from a key, so that a test
// decides what time it is. Nothing else is changed about them, but that keys live
// long enough for a slow machine.
type world struct {
	*server
	time atomic.Int64 // microseconds
	set  func(micros int64)
}

const timeKey = "{mcpsec}time"

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{server: start(tb)}
	c := w.client()
	ctx := context.Background()
	w.set = func(micros int64) {
		w.time.Store(micros)
		pipe := c.TxPipeline()
		pipe.Del(ctx, timeKey)
		pipe.RPush(ctx, timeKey, micros/1_000_000, micros%1_000_000)
		if _, err := pipe.Exec(ctx); err != nil {
			tb.Fatal(err)
		}
	}
	w.set(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return w
}

func (w *world) now() time.Time       { return time.UnixMicro(w.time.Load()) }
func (w *world) move(d time.Duration) { w.set(w.time.Load() + d.Microseconds()) }

// replica makes a store whose own clock is wrong by some time.
func (w *world) replica(c Config, wrong time.Duration) *Store {
	w.tb.Helper()
	s, err := newStore(w.client(), c, func() time.Time { return w.now().Add(wrong) })
	if err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() { _ = s.Close() })
	s.link.budget = patience // a slow machine is no fault here
	s.scripts = scripts{w.timed(ours.take), w.timed(ours.settle), w.timed(ours.giveBack)}
	return s
}

func (w *world) timed(s *script) *script {
	w.tb.Helper()
	source := s.source
	for _, change := range [...][2]string{
		{"redis.call('TIME')", "redis.call('LRANGE', '" + timeKey + "', 0, 1)"},
		{"+ 1000\n", "+ 600000\n"},
	} {
		if !strings.Contains(source, change[0]) {
			w.tb.Fatalf("no %q in the script any more", change[0])
		}
		source = strings.ReplaceAll(source, change[0], change[1])
	}
	return compose(source)
}

// open makes a store of the real time. Without a Timeout it is patient: a busy
// machine is no outage.
func open(tb testing.TB, s *server, c Config) *Store {
	tb.Helper()
	return on(tb, s.client(), c)
}

func on(tb testing.TB, client goredis.UniversalClient, c Config) *Store {
	tb.Helper()
	s, err := New(client, c)
	if err != nil {
		tb.Fatal(err)
	}
	if c.Timeout == 0 {
		s.link.budget = patience
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func bucket(key string, n int, per time.Duration) ratelimit.Bucket {
	return ratelimit.Bucket{Key: key, Interval: per / time.Duration(n), Burst: n}
}

func call(b ...ratelimit.Bucket) *ratelimit.Request { return &ratelimit.Request{Buckets: b} }

func daily(key string, limit, amount int64) ratelimit.Reservation {
	return ratelimit.Reservation{Key: key, Window: ratelimit.Daily(), Limit: limit, Amount: amount}
}

func spend(id string, r ...ratelimit.Reservation) *ratelimit.Request {
	return &ratelimit.Request{ID: id, Reservations: r, Lease: time.Minute}
}

// mustTake is Take where nothing is wrong with Redis.
func mustTake(tb testing.TB, s *Store, req *ratelimit.Request) ratelimit.Verdict {
	tb.Helper()
	v, err := s.Take(context.Background(), req)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func passes(v ratelimit.Verdict) bool { return v.OK }
