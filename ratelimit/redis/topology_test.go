package redis

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

func both(id string) *ratelimit.Request {
	return &ratelimit.Request{
		ID: id, Lease: time.Hour,
		Buckets:      []ratelimit.Bucket{bucket("b", 10, 10*time.Hour), bucket("c", 10, 20*time.Hour)},
		Reservations: []ratelimit.Reservation{daily("a", 100, 5), daily("d", 1000, 5)},
	}
}

// use takes five calls and settles them at 4 each.
func use(tb testing.TB, s *Store) {
	tb.Helper()
	for i := range 5 {
		v := soon(tb, s, both(fmt.Sprint(i)))
		if !passes(v) {
			tb.Fatalf("call %d: %+v", i, v)
		}
		if err := v.Hold.Settle(tb.Context(), []int64{4, 4}); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestClusterDecidesInOneSlotAndFollowsItWhenItMoves(t *testing.T) {
	t.Parallel()
	nodes, client := cluster(t)
	s := on(t, client, Config{OpenFor: 10 * time.Millisecond})
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	use(t, s)
	slot := nodes[0].must("CLUSTER", "KEYSLOT", s.names.hold("x")).(int64)
	var from, to *server
	for _, n := range nodes {
		if n.must("DBSIZE") != int64(0) {
			if from != nil {
				t.Error("keys in two nodes")
			}
			from = n
		} else {
			to = n
		}
	}
	id := func(n *server) any { return n.must("CLUSTER", "MYID") }
	to.must("CLUSTER", "SETSLOT", slot, "IMPORTING", id(from))
	from.must("CLUSTER", "SETSLOT", slot, "MIGRATING", id(to))
	keys := from.must("CLUSTER", "GETKEYSINSLOT", slot, 100).([]any)
	from.must(append([]any{"MIGRATE", "127.0.0.1", portOf(to.addr), "", 0, 5000, "KEYS"}, keys...)...)
	if _, err := s.Take(t.Context(), both("meanwhile")); !errors.Is(err, ErrDown) {
		t.Errorf("while the slot moves: %v, want ErrDown", err)
	}
	for _, n := range []*server{to, from} {
		n.must("CLUSTER", "SETSLOT", slot, "NODE", id(to))
	}
	if v := soon(t, s, both("after")); !passes(v) || !slices.Equal(v.Spent, []int64{25, 25}) {
		t.Errorf("after the slot has moved: %+v", v)
	}
}

func TestFailoverBySentinelRefusesMeanwhileAndForgetsNothing(t *testing.T) {
	t.Parallel()
	master, replica, client := watched(t)
	s := on(t, client, Config{OpenFor: 10 * time.Millisecond})
	use(t, s)
	held := soon(t, s, both("held"))
	if n := master.must("WAIT", 1, 5000); n != int64(1) {
		t.Fatal("the replica does not follow")
	}
	master.kill()
	undecided(t, s, both("meanwhile"))
	v := soon(t, s, both("after"))
	if replica.must("ROLE").([]any)[0] != "master" {
		t.Fatal("somebody else has decided")
	}
	if !passes(v) || !slices.Equal(v.Spent, []int64{30, 30}) {
		t.Errorf("after the failover: %+v", v)
	}
	eventually(t, "the hold is settled", func() bool { return held.Hold.Settle(t.Context(), []int64{1, 1}) == nil })
	if v := soon(t, s, both("last")); v.Spent[0] != 31 {
		t.Errorf("level %d, want 31", v.Spent[0])
	}
	passed := 8
	for passes(soon(t, s, call(bucket("b", 10, 10*time.Hour)))) {
		passed++
	}
	if passed != 10 {
		t.Errorf("%d calls passed, want 10", passed)
	}
}

// The new master's clock may be wrong. What is ahead is lost for the limit, what is
// behind refuses longer: nothing is given twice.
func TestNewMastersClockMayBeWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, other := w.replica(Config{Lease: 1}, 0), w.replica(Config{Lease: 1}, 0)
	b := bucket("b", 2, 20*time.Second)
	r := daily("a", 100, 60)
	mustTake(t, s, call(b))
	mustTake(t, s, call(b))
	mustTake(t, s, spend("1", r))
	w.move(-5 * time.Second)
	if v := mustTake(t, other, call(b)); v.Bucket.Wait != 15*time.Second {
		t.Errorf("behind: %+v, want a wait of 15s", v)
	}
	w.move(-24 * time.Hour) // not a new day's budget
	if v := mustTake(t, s, spend("2", r)); !v.Reservation.Refused() {
		t.Errorf("behind by a day: %+v", v)
	}
	w.move(24*time.Hour + 10*time.Second)
	if v := mustTake(t, other, call(b)); v.Bucket.Wait != 5*time.Second {
		t.Errorf("ahead: %+v, want a wait of 5s", v)
	}
}
