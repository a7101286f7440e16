package ratelimit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// long makes keys of a limit that do not fit into a key of a shared store.
func long(prefix string, i int) string {
	d := dimension{scope: perKey, by: By("k", func(*mcpsec.Call) string { return fmt.Sprint(i, strings.Repeat("x", 2000)) })}
	return d.shared(prefix, &subject{call: &mcpsec.Call{}})
}

func TestLongKeysGetNoRoomBeyondMaxKeys(t *testing.T) {
	t.Parallel()
	l := newLedger(1, newDigester(), time.Now)
	s := newInProcess(1, newClock().now)
	spent, passed := 0, 0
	for i := range 500 {
		if v := l.take(&Request{Reservations: []Reservation{{long("budget/k", i), Daily(), 10, 10}}}); v.OK {
			spent++
		}
		v, err := s.Take(t.Context(), &Request{Buckets: []Bucket{{long("rate/k", i), time.Hour, 1}}})
		if err != nil {
			t.Fatal(err)
		}
		if v.OK {
			passed++
		}
	}
	if spent > 2 || len(l.shared) > 1 || passed > 2 {
		t.Errorf("with room for one, %d budgets in %d shared accounts, and %d bursts passed", spent, len(l.shared), passed)
	}
}

func TestRefundGoesBackToWhereItWasBooked(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := newLedger(1, newDigester(), c.now)
	take := func(key string) Verdict {
		return l.take(&Request{Lease: time.Hour, Reservations: []Reservation{{`budget/"` + key, Sliding(time.Hour), 10, 10}}})
	}
	other, one := take("other"), take("p") // its own account, the shared one
	if !other.OK || !one.OK {
		t.Fatal("refused")
	}
	if err := other.Hold.Settle(t.Context(), []int64{0}); err != nil { // its place is free
		t.Fatal(err)
	}
	c.move(time.Second)
	if two := take("p"); !two.OK { // its own account, which runs on
		t.Fatal("refused")
	}
	if err := one.Hold.Settle(t.Context(), []int64{0}); err != nil {
		t.Fatal(err)
	}
	if three := take("p"); three.OK {
		t.Errorf("two reservations of 10 at once on a budget of 10: %v", three.Spent)
	}
	for k, a := range l.shared {
		if a.level() > 0 {
			t.Errorf("the shared account of %q holds %d for ever, and nothing was spent", k, a.level())
		}
	}
}

// The account made for the first reservation must be there when the second is booked.
func TestWhatIsCheckedIsWhatIsBooked(t *testing.T) {
	t.Parallel()
	c := newClock()
	for _, room := range []int{1, 2} {
		l := newLedger(room, newDigester(), c.now)
		passed := 0
		for i := range 20 {
			if l.take(&Request{Lease: time.Hour, Reservations: []Reservation{
				{`A"a`, Daily(), 10, 10}, {fmt.Sprintf(`B"%d`, i), Sliding(time.Second), 1000, 10},
			}}).OK {
				passed++
			}
			c.move(200 * time.Millisecond)
		}
		for k, a := range l.shared {
			if a.level() > 10 && !strings.HasPrefix(k, "B") {
				t.Errorf("room for %d: account %q holds %d of 10", room, k, a.level())
			}
		}
		if passed > 2 {
			t.Errorf("room for %d: %d calls of 10 passed a budget of 10", room, passed)
		}
	}
}

func TestServerRateHoldsInAFlood(t *testing.T) {
	t.Parallel()
	for try := range 20 {
		c := newClock()
		h := New(withClock(c), MaxKeys(2), PerPrincipal(2, time.Second).Burst(2), PerServer(10, time.Hour).Burst(10), WithoutBreaker()).Wrap(done)
		n := 0
		for i := range 400 {
			if _, err := h(t.Context(), toolCall(fmt.Sprint(try, (i/40)%5), "x")); err == nil {
				n++
			}
			c.move(400 * time.Millisecond)
		}
		if n > 11 {
			t.Errorf("%d passed in under 3 minutes with PerServer(10, hour).Burst(10)", n)
		}
	}
}

// A control that makes a call dearer must not have it pay twice.
func TestCallWhoseArgumentsChangeReservesOnce(t *testing.T) {
	t.Parallel()
	h := mcpsec.Handler(done)
	for i, part := range slices.Backward(New(Shared(InProcess(100)), Budget("$1/day"), Price("x", "$0.5").PerArgumentKiB("$0.1")).Controls()) {
		if h = part.Wrap(h); i == 1 {
			inner := h
			h = func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
				longer := *call
				longer.Arguments = json.RawMessage(`"` + strings.Repeat("x", 1100) + `"`)
				return inner(ctx, &longer)
			}
		}
	}
	call := toolCall("a", "x")
	call.Arguments = json.RawMessage(`{}`)
	if _, err := h(t.Context(), call); err != nil {
		t.Errorf("a call that costs $0.7 of $1: %v", err)
	}
}

// What a store does not clearly allow does not pass.
func TestStoreThatDoesNotAnswerThePointIsAnOutage(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]Verdict{
		"zero":               {},
		"nothing reserved":   {OK: true, Spent: []int64{0}},
		"no levels":          {OK: true, Hold: proxyHold{}},
		"yes and no":         {OK: true, Hold: proxyHold{}, Spent: []int64{0}, Bucket: Refusal{Wait: 1}},
		"not OK, all there":  {Hold: proxyHold{}, Spent: []int64{0}},
		"refused for nobody": {Reservation: Refusal{Wait: 1, Index: 1}, Spent: []int64{0}},
	} {
		for kind, opts := range map[string][]Option{
			"with rate": {PerServer(1, time.Second)}, "budget alone": {},
		} {
			h := spending(t, newClock(), done, append(opts, Shared(liar{v}), Budget("$1/day"), Price("x", "$0.5"))...)
			if ok, _ := passKind(t, h, toolCall("a", "x"), "ratelimit.store_unavailable"); ok {
				t.Errorf("%s, %s: passed", name, kind)
			}
		}
	}
}

func TestDayWhereMidnightDoesNotExist(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"America/Santiago", "Africa/Cairo", "Asia/Beirut", "America/Havana", "America/Asuncion"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Skip("reason: no time zones are installed: ", err)
		}
		w := Daily().In(zone)
		for at := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2027; at = at.Add(3 * time.Hour) {
			s := w.Slot(at)
			if at.Before(s.Start) || !at.Before(s.End) || w.Slot(s.End).Index != s.Index+1 {
				t.Fatalf("%s: %v is in slot %d from %v to %v, and the next is %d", name, at.In(zone), s.Index, s.Start, s.End, w.Slot(s.End).Index)
			}
		}
	}
	zone, _ := time.LoadLocation("America/Santiago")
	c := &clock{t: time.Date(2026, 9, 5, 23, 30, 0, 0, zone)}
	h := spending(t, c, done, Budget("$1/day").In(zone), Price("x", "$1"))
	mustPass(t, h, toolCall("a", "x"))
	d := overBudget(t, h, toolCall("a", "x"))
	if d.RetryAfter != 30*time.Minute {
		t.Errorf("retry after %v at 23:30", d.RetryAfter)
	}
	c.move(d.RetryAfter)
	mustPass(t, h, toolCall("a", "x"))
}

func TestOptionsThatDoNotWhatTheySayAreRefused(t *testing.T) {
	t.Parallel()
	kolkata := time.FixedZone("IST", 5*3600+1800)
	for name, opts := range map[string][]Option{
		"hours of a place":      {Budget("$1/hour").In(kolkata), Price("x", "$1")},
		"queue without a limit": {WithoutInFlight(), Queue(1, 1, time.Second)},
	} {
		if New(opts...).Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a, b := newConfig(), newConfig()
	one, other := []Option{InFlightPerTool(4), WithoutInFlight()}, []Option{WithoutInFlight(), InFlightPerTool(4)}
	if err := a.read(one); err != nil || b.read(other) != nil || a.calls != b.calls || a.calls.perTool != 4 {
		t.Errorf("the order of options decides: %+v, %+v, %v", a.calls, b.calls, err)
	}
}
