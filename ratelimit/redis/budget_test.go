package redis

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// An account must outlive its window for as long as its debt does, and no longer.
func TestDebtKeepsAccountAlive(t *testing.T) {
	t.Parallel()
	srv := start(t)
	s := open(t, srv, Config{})
	for i, amount := range []int64{0, 100, 101, 1000, maxAmount} {
		r := ratelimit.Reservation{Key: fmt.Sprint(i), Window: ratelimit.Sliding(time.Hour), Limit: 100, Amount: amount}
		if amount == maxAmount {
			r.Limit = 1
		}
		req := spend("debt", r)
		req.Overdraw = true
		v := mustTake(t, s, req)
		if v.Hold != nil || v.Spent[0] != amount {
			t.Errorf("overdrawn by %d: %+v", amount, v)
		}
		debt := max(0, amount-r.Limit)
		windows := math.Ceil(float64(debt)/float64(r.Limit)) + 1
		ttl := float64(srv.must("PTTL", s.names.account(r.Key)).(int64))
		if least := math.Min(windows*3600_000, 3.1e12); ttl < least || ttl > math.Max(least*1.4+600_000, 3.3e12*float64(min(1, debt/maxAmount))) {
			t.Errorf("an account with a debt of %d limits lives %.0f h", debt/r.Limit, ttl/3600_000)
		}
	}
}

// A debt beyond what Lua counts exactly stays at that, and refuses.
func TestDebtDoesNotOverflow(t *testing.T) {
	t.Parallel()
	s := open(t, start(t), Config{})
	req := spend("debt", daily("a", 1, maxAmount))
	req.Overdraw = true
	for range 4 {
		mustTake(t, s, req)
	}
	v := mustTake(t, s, spend("1", daily("a", 1, 1)))
	if v.Spent[0] != exact || v.Reservation.Wait < 1000*24*time.Hour {
		t.Errorf("got %+v", v)
	}
}

// Slots may begin between two microseconds: each of those is in exactly one slot,
// by the reckoning of both sides.
func TestSlotsMeetWhereverTheyBegin(t *testing.T) {
	t.Parallel()
	w := ratelimit.Sliding(1_000_000_007 * time.Nanosecond)
	at := w.Slot(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	for range 1000 {
		for _, us := range []int64{at.Start.UnixMicro() - 1, at.Start.UnixMicro(), at.Start.UnixMicro() + 1} {
			slot := w.Slot(time.UnixMicro(us))
			if us < micros(slot.Start) || us >= micros(slot.End) {
				t.Fatalf("%d is in slot %+v, which the script denies", us, slot)
			}
		}
		at = w.Slot(at.End)
	}
}

// A calendar window ends by the calendar of a place, and a debt is worked off one
// window at a time.
func TestRefusalByBudgetTellsWhenToComeBack(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("reason: no time zones are installed: apt install tzdata")
	}
	w := newWorld(t)
	w.set(time.Date(2026, 3, 28, 12, 0, 0, 0, berlin).UnixMicro()) // clocks are turned that night
	s := w.replica(Config{}, -30*time.Hour)
	for name, c := range map[string]struct {
		window  ratelimit.Window
		debt    int64
		amount  int64
		want    time.Time
		atLeast bool
	}{
		"day":              {ratelimit.Daily().In(berlin), 0, 1, time.Date(2026, 3, 29, 0, 0, 0, 0, berlin), false},
		"day with debt":    {ratelimit.Daily().In(berlin), 150, 1, time.Date(2026, 3, 30, 0, 0, 0, 0, berlin), false},
		"whole day":        {ratelimit.Daily().In(berlin), 1, 100, time.Date(2026, 3, 30, 0, 0, 0, 0, berlin), false},
		"month":            {ratelimit.Monthly().In(berlin), 0, 1, time.Date(2026, 4, 1, 0, 0, 0, 0, berlin), false},
		"hour with debt":   {ratelimit.Hourly(), 900, 1, time.Date(2026, 3, 28, 22, 0, 0, 0, berlin), false},
		"never":            {ratelimit.Hourly(), 0, 101, time.Date(2026, 3, 28, 13, 0, 0, 0, berlin), false},
		"sliding":          {ratelimit.Sliding(16 * time.Minute), 0, 1, time.Date(2026, 3, 28, 12, 17, 0, 0, berlin), false},
		"sliding and debt": {ratelimit.Sliding(16 * time.Minute), 50, 1, time.Date(2026, 3, 28, 12, 17, 0, 0, berlin), true},
	} {
		r := ratelimit.Reservation{Key: name, Window: c.window, Limit: 100, Amount: 100 + c.debt}
		req := spend("debt", r)
		req.Overdraw = true
		mustTake(t, s, req)
		r.Amount = c.amount
		v := mustTake(t, s, spend("1", daily("other", 100, 0), r))
		got := w.now().Add(v.Reservation.Wait)
		if ok := got.Equal(c.want) || c.atLeast && got.After(c.want); !ok || v.Reservation.Index != 1 {
			t.Errorf("%s: come back %v, want %v; %+v", name, got.In(berlin), c.want, v)
		}
	}
}

// A budget without debt: what nobody settles stays spent, and ErrExpired says so.
func TestUnsettledReservationIsSpent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica(Config{}, time.Hour)
	v := mustTake(t, s, spend("1", daily("a", 100, 60)))
	w.move(time.Minute)
	for range 2 {
		if err := v.Hold.Settle(t.Context(), []int64{0}); !errors.Is(err, ratelimit.ErrExpired) {
			t.Errorf("got %v, want ErrExpired", err)
		}
	}
	if v := mustTake(t, s, spend("2", daily("a", 100, 41))); passes(v) || v.Spent[0] != 60 {
		t.Errorf("got %+v", v)
	}
	if n := w.must("EXISTS", s.names.hold("1")); n != int64(0) {
		t.Error("the record is still there")
	}
}
