package redis

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// What a limit cannot be must not reach Redis, where it would be counted wrong.
func TestUnusableRequestsAreRefused(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{})
	good := bucket("b", 1, time.Hour)
	edit := func(f func(r *ratelimit.Reservation)) *ratelimit.Request {
		r := daily("a", 100, 1)
		f(&r)
		return spend("1", r)
	}
	for name, req := range map[string]*ratelimit.Request{
		"no interval":      call(ratelimit.Bucket{Key: "b", Burst: 1}),
		"no burst":         call(ratelimit.Bucket{Key: "b", Interval: 1}),
		"refills for ever": call(ratelimit.Bucket{Key: "b", Burst: math.MaxInt, Interval: time.Hour}),
		"bucket twice":     call(good, good),
		"account twice":    spend("1", daily("a", 100, 1), daily("a", 100, 1)),
		"many buckets":     call(make([]ratelimit.Bucket, most+1)...),
		"many accounts":    spend("1", make([]ratelimit.Reservation, most+1)...),
		"no limit":         edit(func(r *ratelimit.Reservation) { r.Limit = 0 }),
		"limit too large":  edit(func(r *ratelimit.Reservation) { r.Limit = maxAmount + 1 }),
		"negative amount":  edit(func(r *ratelimit.Reservation) { r.Amount = -1 }),
		"amount too large": edit(func(r *ratelimit.Reservation) { r.Amount = math.MaxInt64 }),
		"no ID":            spend("", daily("a", 100, 1)),
		"no lease":         {ID: "1", Reservations: []ratelimit.Reservation{daily("a", 100, 1)}},
	} {
		if v, err := s.Take(t.Context(), req); err == nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if n := srv.must("DBSIZE"); n != int64(0) {
		t.Errorf("%d keys", n)
	}
	v := mustTake(t, s, spend("1", daily("a", 100, 1)))
	for _, actual := range [][]int64{nil, {1, 2}, {-1}, {math.MaxInt64}} {
		if err := v.Hold.Settle(t.Context(), actual); err == nil {
			t.Errorf("settled with %v", actual)
		}
	}
	if v, err := s.Take(t.Context(), &ratelimit.Request{}); err != nil || !passes(v) {
		t.Errorf("a call without limits: %+v, %v", v, err)
	}
}

func TestKeysTellNobodyAndExpire(t *testing.T) {
	t.Parallel()
	srv := start(t)
	today := func() time.Duration { return time.Until(time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)) }
	left := today()
	for name, c := range map[string]Config{
		"plain": {Prefix: "plain"}, "keyed": {Prefix: "keyed", Secret: []byte("0123456789abcdef")},
	} {
		s := open(t, srv, c)
		v := mustTake(t, s, &ratelimit.Request{
			ID: "call-alice", Lease: time.Hour,
			Buckets:      []ratelimit.Bucket{bucket("rate/alice@example.com", 10, time.Hour)},
			Reservations: []ratelimit.Reservation{daily("budget/alice@example.com", 100, 1)},
		})
		if !passes(v) {
			t.Fatal(name, v)
		}
	}
	keys := srv.must("KEYS", "*").([]any)
	if len(keys) != 6 {
		t.Fatalf("%d keys, want 6: %v", len(keys), keys)
	}
	// What was spent counts until midnight, and is kept for a day and a quarter more.
	longest := max(left, today()) + 30*time.Hour + 2*time.Second
	seen := make(map[string]bool)
	for _, k := range keys {
		key := k.(string)
		if strings.Contains(key, "alice") || strings.Contains(key, "rate/") {
			t.Errorf("key %q tells", key)
		}
		if !strings.HasPrefix(key, "{plain}") && !strings.HasPrefix(key, "{keyed}") {
			t.Errorf("key %q has not the prefix", key)
		}
		if ttl := srv.must("PTTL", key).(int64); ttl <= 0 || ttl > longest.Milliseconds() {
			t.Errorf("key %q lives %d ms", key, ttl)
		}
		_, digest, _ := strings.Cut(key, "}")
		if seen[digest] {
			t.Errorf("%q is the same with another secret", digest)
		}
		seen[digest] = true
	}
	// Replicas with one secret agree; those with another share nothing.
	b := bucket("shared", 1, time.Hour)
	one, two := open(t, srv, Config{Secret: []byte("xxxxxxxxxxxxxxxx")}), open(t, srv, Config{Secret: []byte("xxxxxxxxxxxxxxxx")})
	mustTake(t, one, call(b))
	if passes(mustTake(t, two, call(b))) {
		t.Error("two replicas do not share a bucket")
	}
	if !passes(mustTake(t, open(t, srv, Config{Secret: []byte("yyyyyyyyyyyyyyyy")}), call(b))) {
		t.Error("another secret, the same bucket")
	}
}

func TestReadySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	srv := start(t, "--requirepass", "x")
	s := open(t, srv, Config{})
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("got %v, want NOAUTH", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Ready(ctx); err == nil {
		t.Error("ready though the context is done")
	}
}
