package ratelimit

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

func TestSlotsOfCalendarFollowEachOther(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("reason: no time zones: %v: apt install tzdata", err)
	}
	for name, w := range map[string]Window{
		"hour": Hourly(), "day": Daily(), "month": Monthly(), "sliding": Sliding(17 * time.Hour),
		"day in Berlin": Daily().In(berlin), "month in Berlin": Monthly().In(berlin), "odd": Sliding(time.Second + 7),
	} {
		at := time.Date(2026, 3, 27, 23, 30, 0, 0, time.UTC) // clocks are turned two days later
		slot := w.Slot(at)
		for range 400 {
			next := w.Slot(slot.End)
			if next.Index != slot.Index+1 || !next.Start.Equal(slot.End) || w.Slot(slot.End.Add(-1)).Index != slot.Index {
				t.Fatalf("%s: %+v is followed by %+v", name, slot, next)
			}
			slot = next
		}
	}
	if d := Daily().In(berlin).Slot(time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)); d.End.Sub(d.Start) != 23*time.Hour {
		t.Errorf("the day clocks are turned has %v", d.End.Sub(d.Start))
	}
	if s := Sliding(time.Second + 7); time.Duration(s.Slots()-1)*s.Slot(time.Unix(9, 0)).End.Sub(s.Slot(time.Unix(9, 0)).Start) < time.Second+7 {
		t.Error("the slots of a sliding window are shorter than it")
	}
}

// book is what a test keeps of every amount: when it was reserved, and what it cost.
type entry struct {
	at             time.Time
	reserved, cost int64
}

// Whatever is reserved and settled, in any window no more is reserved than the limit,
// and what was overrun keeps later calls out until it is worked off.
func TestNoScheduleOverspendsBeyondItsOverruns(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 5))
		c := newClock()
		w := []Window{Hourly(), Daily(), Sliding(time.Hour), Sliding(90 * time.Second)}[r.IntN(4)]
		limit := 1 + r.Int64N(1000)
		s := newInProcess(100, c.now)
		var entries []*entry
		type open struct {
			h Hold
			e *entry
		}
		var holds []open
		overruns := r.IntN(2) == 0
		for range 300 {
			slot := w.Slot(c.now())
			c.move(time.Duration(r.Int64N(int64(slot.End.Sub(slot.Start)) * 2 / int64(1+r.IntN(8)))))
			amount := r.Int64N(limit/2 + 1)
			v, err := s.Take(t.Context(), &Request{ID: "x", Lease: 1_000_000 * time.Hour, Reservations: []Reservation{{"k", w, limit, amount}}})
			if err != nil {
				t.Fatal(err)
			}
			if v.Hold != nil {
				e := &entry{c.now(), amount, amount}
				entries, holds = append(entries, e), append(holds, open{v.Hold, e})
			} else if !v.Reservation.Refused() {
				t.Fatal("neither passed nor refused")
			}
			if len(holds) > 0 && r.IntN(2) == 0 {
				i := r.IntN(len(holds))
				o := holds[i]
				holds = append(holds[:i], holds[i+1:]...)
				o.e.cost = r.Int64N(o.e.reserved + 1)
				if overruns && r.IntN(3) == 0 {
					o.e.cost = o.e.reserved + r.Int64N(3*limit)
				}
				for range 1 + r.IntN(3) { // repeated, it takes effect once
					if err := o.h.Settle(t.Context(), []int64{o.e.cost}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		verify(t, seed, w, limit, entries, overruns)
	}
}

// verify adds up by windows that lie anywhere, or for the calendar by its own.
func verify(t *testing.T, seed uint64, w Window, limit int64, entries []*entry, overruns bool) {
	t.Helper()
	var debt int64
	for _, e := range entries {
		debt += max(0, e.cost-e.reserved)
	}
	if !overruns && debt != 0 {
		t.Fatal("the test overran")
	}
	for i, first := range entries {
		var spent int64
		for _, e := range entries[i:] {
			if w.Slots() == 1 && w.Slot(e.at).Index != w.Slot(first.at).Index || w.Slots() > 1 && e.at.Sub(first.at) >= w.length {
				break
			}
			spent += min(e.cost, e.reserved) // what was given back may be reserved again
		}
		if spent > limit {
			t.Fatalf("seed %d: %d spent in a window of %v, the limit is %d", seed, spent, w, limit)
		}
	}
	// Over all time: every window's limit once, and what was overrun at the end.
	if len(entries) == 0 {
		return
	}
	last := entries[len(entries)-1].at
	slots := w.Slot(last).Index - w.Slot(entries[0].at).Index + 1
	windows := slots
	if w.Slots() > 1 {
		windows = slots/slidingSlots + 1
	}
	var total, worst int64
	for _, e := range entries {
		total += e.cost
		worst = max(worst, e.cost)
	}
	// Reservations open at the same time overrun independently: each adds its own.
	if total > windows*limit+debt {
		t.Fatalf("seed %d: %d spent in %d windows of %d with %d overrun", seed, total, windows, limit, debt)
	}
}

func TestDebtIsWorkedOffWindowByWindow(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]Window{"day": Daily(), "sliding": Sliding(24 * time.Hour)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s := newInProcess(100, c.now)
			ask := func(amount int64) Verdict {
				t.Helper()
				v, err := s.Take(t.Context(), &Request{Lease: time.Hour, Reservations: []Reservation{{"k", w, 100, amount}}})
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			if err := ask(10).Hold.Settle(t.Context(), []int64{350}); err != nil { // 250 beyond the limit
				t.Fatal(err)
			}
			if v := ask(1); !v.Reservation.Refused() || v.Spent[0] != 350 {
				t.Fatalf("got %+v", v)
			}
			var waited time.Duration
			refusals := 0
			for {
				v := ask(1)
				if !v.Reservation.Refused() {
					break
				}
				if refusals++; refusals > 100 {
					t.Fatal("never worked off")
				}
				c.move(v.Reservation.Wait - 1)
				if name == "day" && !ask(1).Reservation.Refused() {
					t.Fatal("passed before its time")
				}
				c.move(1)
				waited += v.Reservation.Wait
			}
			// 350 take three windows and a half of 100 each.
			if least := 60 * time.Hour; waited < least || waited > 5*24*time.Hour {
				t.Errorf("worked off after %v", waited)
			}
			if name == "day" && refusals != 1 {
				t.Errorf("the wait was wrong %d times", refusals)
			}
		})
	}
}

func TestDebtOutlivesIdleWindowsButNotAsManyAsItTakes(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newInProcess(100, c.now)
	take := func(amount int64) Verdict {
		v, err := s.Take(t.Context(), &Request{Lease: time.Hour, Reservations: []Reservation{{"k", Daily(), 100, amount}}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if err := take(0).Hold.Settle(t.Context(), []int64{100 + 1000}); err != nil {
		t.Fatal(err)
	}
	c.move(9 * 24 * time.Hour) // nobody looks: eight windows pass unused, this one takes up another
	if v := take(0); v.Spent[0] != 200 {
		t.Fatalf("after nine days %+v", v)
	}
	c.move(2 * 24 * time.Hour)
	if v := take(100); v.Reservation.Refused() {
		t.Errorf("after eleven days %+v", v)
	}
}

func TestRefundGoesBackToItsOwnWindowOnly(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newInProcess(100, c.now)
	take := func(amount int64) Verdict {
		v, err := s.Take(t.Context(), &Request{Lease: 48 * time.Hour, Reservations: []Reservation{{"k", Daily(), 100, amount}}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	yesterday := take(80).Hold
	c.move(24 * time.Hour)
	if v := take(100); v.Reservation.Refused() {
		t.Fatalf("a new day refuses: %+v", v)
	}
	if err := yesterday.Settle(t.Context(), []int64{0}); err != nil {
		t.Fatal(err)
	}
	if v := take(1); !v.Reservation.Refused() {
		t.Error("yesterday's money was spent today")
	}
}

func TestUnsettledReservationCountsAsSpent(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newInProcess(100, c.now)
	req := &Request{Lease: time.Minute, Reservations: []Reservation{{"k", Daily(), 100, 70}}}
	v, err := s.Take(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	c.move(time.Minute)
	late := v.Hold
	c.move(1)
	if err := late.Settle(t.Context(), []int64{0}); !errors.Is(err, ErrExpired) {
		t.Errorf("settled after its lease: %v", err)
	}
	if v, _ := s.Take(t.Context(), req); !v.Reservation.Refused() || v.Spent[0] != 70 {
		t.Errorf("it was given back: %+v", v)
	}
}

func TestRefusalByOneBudgetTakesNothingFromAnother(t *testing.T) {
	t.Parallel()
	s := newInProcess(100, newClock().now)
	both := func(amount int64) Verdict {
		v, err := s.Take(t.Context(), &Request{Lease: time.Minute, Reservations: []Reservation{
			{"wide", Daily(), 1000, amount}, {"narrow", Hourly(), 100, amount},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := both(90); v.Reservation.Refused() || v.Spent[0] != 90 || v.Spent[1] != 90 {
		t.Fatalf("got %+v", v)
	}
	if v := both(20); v.Reservation.Index != 1 || v.Hold != nil || v.Spent[0] != 90 {
		t.Errorf("got %+v", v)
	}
}

func TestAccountsAreBoundedAndBusyOnesStay(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newInProcess(10, c.now)
	take := func(key string, amount int64) Verdict {
		v, err := s.Take(context.Background(), &Request{Lease: time.Minute, Reservations: []Reservation{{`budget/` + key, Daily(), 100, amount}}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	take(`"busy"`, 100)
	for i := range 10_000 {
		c.move(time.Microsecond)
		take(`"`+string(rune('a'+i%26))+string(rune('a'+i/26%26))+`"`, 1)
	}
	if n := s.ledger.count(); n > 10 || len(s.ledger.shared) != 1 {
		t.Errorf("%d accounts and %d shared ones", n, len(s.ledger.shared))
	}
	if !take(`"busy"`, 1).Reservation.Refused() {
		t.Error("a flood of keys won a busy one a new budget")
	}
	c.move(24 * time.Hour) // all are empty again
	if take(`"new"`, 100).Reservation.Refused() {
		t.Error("an account that was empty kept its place")
	}
}
