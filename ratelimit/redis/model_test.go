package redis

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// A model decides as the contract of ratelimit.Store says, in one process and with
// a clock that never lies.
type model struct {
	tats     map[string]int64 // nanoseconds
	accounts map[string]*modelAccount
	now      time.Time
}

type modelAccount struct {
	last, debt int64
	slots      map[int64]int64
}

func (m *model) take(req *ratelimit.Request) (wait time.Duration, overspent bool, spent []int64) {
	now := m.now.UnixNano()
	for _, b := range req.Buckets {
		wait = max(wait, time.Duration(m.tats[b.Key]-int64(b.Burst-1)*int64(b.Interval)-now))
	}
	if wait > 0 {
		return wait, false, nil
	}
	for _, b := range req.Buckets {
		m.tats[b.Key] = max(now, m.tats[b.Key]) + int64(b.Interval)
	}
	for _, r := range req.Reservations {
		overspent = overspent || m.level(&r)+r.Amount > r.Limit
	}
	overspent = overspent && !req.Overdraw
	for _, r := range req.Reservations {
		if !overspent {
			m.book(&r, r.Amount)
		}
		spent = append(spent, m.level(&r))
	}
	return 0, overspent, spent
}

// level moves an account on to the present slot and returns what it holds.
func (m *model) level(r *ratelimit.Reservation) int64 {
	c, s := r.Window.Slot(m.now).Index, int64(r.Window.Slots())
	a := m.accounts[r.Key]
	if a == nil {
		a = &modelAccount{last: c, slots: make(map[int64]int64)}
		m.accounts[r.Key] = a
	}
	c = max(c, a.last)
	if idle := (c-a.last)/s - 1; idle > 0 {
		a.debt = max(0, a.debt-r.Limit*idle)
	}
	maps.DeleteFunc(a.slots, func(slot, _ int64) bool { return slot <= c-s })
	move := min(a.debt, max(0, r.Limit-a.sum()))
	a.slots[c] += move
	a.debt -= move
	a.last = c
	return a.sum() + a.debt
}

func (a *modelAccount) sum() (sum int64) {
	for _, n := range a.slots {
		sum += n
	}
	return sum
}

func (m *model) book(r *ratelimit.Reservation, amount int64) {
	m.level(r)
	a := m.accounts[r.Key]
	fits := min(amount, max(0, r.Limit-a.sum()))
	a.slots[a.last] += fits
	a.debt += amount - fits
}

// A modelHold is a reservation that may be settled.
type modelHold struct {
	real    ratelimit.Hold
	of      []ratelimit.Reservation
	booked  []int64 // slots
	expires time.Time
}

func (m *model) settle(h *modelHold, actual []int64) error {
	if !m.now.Before(h.expires) {
		return ratelimit.ErrExpired
	}
	for i := range h.of {
		r := &h.of[i]
		over := actual[i] - r.Amount
		a := m.accounts[r.Key]
		if over > 0 {
			m.book(r, over)
		} else if _, there := a.slots[h.booked[i]]; there {
			a.slots[h.booked[i]] += over
		}
	}
	return nil
}

// gauntlet makes random requests of several replicas, whose clocks are wrong and
// whose server's clock at times goes back, and compares with the model.
func gauntlet(t *testing.T, seed uint64, w *world, m *model, stores []*Store) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	name := func(s string, i int) string { return fmt.Sprintf("%d/%s/%d", seed, s, i) }
	buckets, accounts := make([]ratelimit.Bucket, 4), make([]ratelimit.Reservation, 4)
	windows := []ratelimit.Window{
		ratelimit.Hourly(), ratelimit.Daily(), ratelimit.Sliding(time.Minute),
		ratelimit.Sliding(100*time.Millisecond + time.Second), ratelimit.Monthly(),
	}
	for i := range buckets {
		buckets[i] = ratelimit.Bucket{
			Key: name("b", i), Burst: 1 + r.IntN(8),
			Interval: time.Duration(1+r.IntN(200)) * time.Duration(1+r.IntN(1_000_000)),
		}
		accounts[i] = ratelimit.Reservation{Key: name("a", i), Window: windows[r.IntN(len(windows))], Limit: 1 + r.Int64N(100)}
	}
	var holds []*modelHold
	for step := range 300 {
		m.now = w.now()
		what := fmt.Sprintf("seed %d, step %d", seed, step)
		if len(holds) > 0 && r.IntN(3) == 0 {
			h := holds[r.IntN(len(holds))]
			var actual []int64
			for _, a := range h.of {
				actual = append(actual, r.Int64N(a.Amount*2+2))
			}
			want := m.settle(h, actual)
			for range 1 + r.IntN(2) { // the second time without effect
				if err := h.real.Settle(t.Context(), actual); !errors.Is(err, want) {
					t.Fatalf("%s: settled with %v, want %v", what, err, want)
				}
			}
			holds = holds[:0]
			continue
		}
		req := &ratelimit.Request{ID: name("id", step), Lease: time.Duration(1+r.IntN(100)) * time.Second, Overdraw: r.IntN(8) == 0}
		for i := range buckets {
			if r.IntN(2) == 0 {
				req.Buckets = append(req.Buckets, buckets[i])
			}
			if r.IntN(2) == 0 {
				a := accounts[i]
				a.Amount = r.Int64N(a.Limit/2 + 2)
				req.Reservations = append(req.Reservations, a)
			}
		}
		wait, overspent, spent := m.take(req)
		s := stores[r.IntN(len(stores))]
		s.leases.drain(0)
		v := mustTake(t, s, req)
		if v.Bucket.Wait != wait || v.Reservation.Refused() != overspent || fmt.Sprint(v.Spent) != fmt.Sprint(spent) {
			t.Fatalf("%s: %+v\ngot %+v\nwant wait %v, overspent %v, spent %v", what, req, v, wait, overspent, spent)
		}
		if v.Hold != nil {
			h := &modelHold{real: v.Hold, of: req.Reservations, expires: m.now.Add(req.Lease)}
			for _, a := range req.Reservations {
				h.booked = append(h.booked, m.accounts[a.Key].last)
			}
			holds = append(holds, h)
		} else if wait == 0 && !overspent && !req.Overdraw && len(req.Reservations) > 0 {
			t.Fatalf("%s: no hold", what)
		}
		steps := []time.Duration{0, time.Microsecond, time.Duration(r.IntN(100)) * time.Millisecond, time.Duration(r.IntN(40)) * time.Second}
		if r.IntN(20) == 0 {
			steps = []time.Duration{time.Duration(r.IntN(72)) * time.Hour, -time.Duration(r.IntN(7200)) * time.Second}
		}
		w.move(steps[r.IntN(len(steps))])
	}
}

func TestDecisionsEqualThoseOfModelWhateverReplicasClocksSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := &model{tats: make(map[string]int64), accounts: make(map[string]*modelAccount)}
	var stores []*Store
	for _, wrong := range []time.Duration{0, -7 * time.Hour, 400 * 24 * time.Hour} {
		stores = append(stores, w.replica(Config{Lease: 1}, wrong))
	}
	for seed := range uint64(12) {
		gauntlet(t, seed, w, m, stores)
	}
}
