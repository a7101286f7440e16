package redis

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

func TestHotKeyNeedsFewRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica(Config{}, 0)
	b := bucket("hot", 6400, time.Minute)
	for range 3000 {
		if !passes(mustTake(t, s, call(b))) {
			t.Fatal("refused")
		}
	}
	if st := s.Stats(); st.Asked > 100 || st.Leased+st.Asked != 3000 {
		t.Errorf("%+v: want at most 100 questions", st)
	}
}

func TestLeaseShrinksToOneNearLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica(Config{}, 0)
	b := bucket("b", 5000, time.Hour)
	largest := 0
	for n := range 5000 {
		mustTake(t, s, call(b))
		spare := s.leases.table["b"].spare
		largest = max(largest, spare)
		if left := 5000 - n - 1; spare > 0 && spare > (left+spare)/50 && n < 4900 {
			// A block is a fiftieth of what was left when it was taken.
			if spare > left/45 {
				t.Fatalf("%d spare permits with %d left", spare, left)
			}
		} else if left < 50 && spare != 0 {
			t.Fatalf("%d spare permits with %d left", spare, left)
		}
	}
	if largest != DefaultLease-1 {
		t.Errorf("at most %d spare permits, want %d", largest, DefaultLease-1)
	}
	if v := mustTake(t, s, call(b)); v.Bucket.Wait != b.Interval {
		t.Errorf("got %+v, want a wait of %v after exactly 5000 calls", v, b.Interval)
	}
}

func TestUnusedPermitsAreGivenBackByClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, other := w.replica(Config{}, 0), w.replica(Config{Lease: 1}, 0)
	leased := []ratelimit.Bucket{bucket("b", 1000, 1000*time.Hour), bucket("c", 400, 600_000*time.Hour)}
	for range 4 {
		mustTake(t, a, call(leased...))
	}
	if spare := a.leases.table["b"].spare; spare == 0 {
		t.Fatal("nothing was leased")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for _, b := range leased {
		for i := 4; i < b.Burst; i++ {
			if !passes(mustTake(t, other, call(b))) {
				t.Fatalf("%s: call %d of %d was refused", b.Key, i+1, b.Burst)
			}
		}
		if passes(mustTake(t, other, call(b))) {
			t.Errorf("%s: more than %d calls passed", b.Key, b.Burst)
		}
	}
	if _, err := a.Take(t.Context(), call(leased[0])); !errors.Is(err, ErrClosed) {
		t.Errorf("Take after Close: %v", err)
	}
}

// An expired lease must not be used: a replica that was stopped for a while would
// add what it holds to the next burst.
func TestPermitsOfStoppedReplicaAreLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica(Config{}, 0)
	b := bucket("b", 1000, time.Hour)
	for range 3 {
		mustTake(t, s, call(b))
	}
	asked := s.Stats().Asked
	w.move(leaseLife)
	mustTake(t, s, call(b))
	if s.Stats().Asked != asked+1 {
		t.Error("a permit was used after the lease's life")
	}
}

func TestChangedLimitTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica(Config{}, 0)
	for range 10 {
		mustTake(t, s, call(bucket("b", 1000, time.Hour)))
	}
	if passes(mustTake(t, s, call(bucket("b", 1, time.Hour)))) {
		t.Error("a permit of the old limit was used")
	}
	if !passes(mustTake(t, s, call(bucket("b", 1000, time.Hour)))) {
		t.Error("a refusal by the other limit was repeated")
	}
}

// A refusal is repeated without asking, with the time that is left; but not so long
// that nobody can help.
func TestRefusalIsRememberedForItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica(Config{Lease: 1}, 0)
	b := bucket("b", 1, 300*time.Millisecond)
	for i, want := range []int64{0, 300, 300, 200, 100, 0} {
		if i > 2 {
			w.move(100 * time.Millisecond)
		}
		if got := mustTake(t, s, call(b)).Bucket.Wait; got.Milliseconds() != want {
			t.Errorf("call %d: wait %v, want %d ms", i, got, want)
		}
	}
	if st := s.Stats(); st.Refused != 3 || st.Asked != 3 {
		t.Errorf("%+v: want 3 questions", st)
	}
	long := bucket("c", 1, time.Hour)
	mustTake(t, s, call(long))
	mustTake(t, s, call(long))
	w.move(time.Millisecond)
	if wait := mustTake(t, s, call(long)).Bucket.Wait; wait != time.Hour-time.Millisecond {
		t.Errorf("told to wait %v, want an hour but a millisecond", wait)
	}
	w.must("DEL", s.names.bucket("c")) // by an operator
	w.move(refusalLife)
	if !passes(mustTake(t, s, call(long))) {
		t.Error("refused after the bucket was cleared")
	}
}

// All or nothing holds for permits at hand, too.
func TestNoPermitIsLostWhenAnotherBucketRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica(Config{}, 0)
	wide, narrow := bucket("wide", 1000, time.Hour), bucket("narrow", 1, time.Hour)
	for range 5 {
		mustTake(t, s, call(wide))
	}
	before := s.leases.table["wide"].spare
	if before == 0 {
		t.Fatal("nothing was leased")
	}
	mustTake(t, s, call(narrow))
	for range 20 {
		if v := mustTake(t, s, call(wide, narrow)); v.Bucket.Index != 1 || v.Bucket.Wait != time.Hour {
			t.Fatalf("got %+v", v)
		}
		delete(s.leases.table, "narrow") // so that Redis refuses, not the table
	}
	if after := s.leases.table["wide"].spare; after != before {
		t.Errorf("%d spare permits, were %d", after, before)
	}
}

func TestFloodOfFreshKeysNeitherEvictsLeasesNorGrowsTable(t *testing.T) {
	t.Parallel()
	l := newLeases(64)
	hot := call(bucket("hot", 100_000, time.Hour))
	var p plan
	l.decide(1, hot, &p)
	l.granted(1, hot, &p, &[most]int{})
	p = plan{}
	l.decide(1, hot, &p)
	l.granted(1, hot, &p, &[most]int{1})
	for i := range 3 * maxLeases {
		req := call(bucket(fmt.Sprint(i), 1, time.Hour))
		var p plan
		if _, decided := l.decide(2, req, &p); decided {
			t.Fatal("decided about a key nobody knows")
		}
		l.granted(2, req, &p, &[most]int{})
	}
	if n := len(l.table); n > maxLeases {
		t.Errorf("%d leases", n)
	}
	if v, decided := l.decide(3, hot, &p); !decided || !passes(v) {
		t.Error("the hot key has lost its lease")
	}
	if l.of(2*leaseLife, &ratelimit.Bucket{Key: "new", Interval: 1, Burst: 1}) == nil || len(l.table) > 2 {
		t.Errorf("%d leases after all have run out", len(l.table))
	}
}

// Calls at the same time take one block, not one each.
func TestOneQuestionAtATimeAsksForBlock(t *testing.T) {
	t.Parallel()
	l := newLeases(64)
	req := call(bucket("b", 100_000, time.Hour))
	plans := make([]plan, 5)
	l.decide(1, req, &plans[0])
	l.granted(1, req, &plans[0], &[most]int{})
	for i := range 4 {
		l.decide(2, req, &plans[1+i])
	}
	for i, want := range []int{0, 1, 0, 0, 0} {
		if plans[i].want[0] != want || !plans[i].need[0] {
			t.Errorf("call %d asks for %d spare permits, want %d", i, plans[i].want[0], want)
		}
	}
	l.failed(req, &plans[1])
	l.decide(2, req, &plans[0])
	if plans[0].want[0] == 0 {
		t.Error("nobody asks again after a failure")
	}
}

// What is put back after failed questions adds up to no more than one block.
func TestPermitsPutBackStayWithinBlock(t *testing.T) {
	t.Parallel()
	l := newLeases(4)
	req := &ratelimit.Request{ID: "x", Buckets: []ratelimit.Bucket{bucket("b", 100_000, time.Hour)}, Reservations: make([]ratelimit.Reservation, 1)}
	e := &lease{interval: req.Buckets[0].Interval, burst: req.Buckets[0].Burst, spare: 3, block: 4, until: leaseLife}
	l.table["b"] = e
	plans := make([]plan, 3)
	for i := range plans {
		l.decide(1, req, &plans[i])
	}
	e.spare = 2 // another block has come
	for i := range plans {
		l.failed(req, &plans[i])
	}
	if e.spare != 3 {
		t.Errorf("%d spare permits, want 3, as many as a block", e.spare)
	}
}

func TestLeasedDecisionsDoNotAllocate(t *testing.T) {
	w := newWorld(t)
	s := w.replica(Config{}, 0)
	req := call(bucket("a", 1_000_000, time.Hour), bucket("b", 1_000_000, time.Hour), bucket("c", 1_000_000, time.Hour))
	for range 200 {
		mustTake(t, s, req)
	}
	ctx := context.Background()
	allocs := testing.AllocsPerRun(20, func() {
		if _, err := s.Take(ctx, req); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%.1f allocations", allocs)
	}
}
