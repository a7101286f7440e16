package ratelimit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A proxy is a store that counts its round trips and can be down.
type proxy struct {
	Store

	mu       sync.Mutex
	trips    []Request
	settled  [][]int64
	down     error
	settling []error // what the next settlements answer
	lie      bool    // answers for no budget
}

func (p *proxy) Take(ctx context.Context, req *Request) (Verdict, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trips = append(p.trips, *req)
	if p.down != nil {
		return Verdict{}, p.down
	}
	v, err := p.Store.Take(ctx, req)
	if v.Hold != nil {
		v.Hold = proxyHold{p, v.Hold}
	}
	if p.lie {
		v.Spent = nil
	}
	return v, err
}

type proxyHold struct {
	p *proxy
	Hold
}

func (h proxyHold) Settle(ctx context.Context, actual []int64) error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.p.settled = append(h.p.settled, actual)
	if len(h.p.settling) > 0 {
		err := h.p.settling[0]
		h.p.settling = h.p.settling[1:]
		if err != nil {
			return err
		}
	}
	return h.Hold.Settle(ctx, actual)
}

var errDown = errors.New("connection refused")

func TestRatesAndBudgetsTakeOneRoundTrip(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := &proxy{Store: newInProcess(100, c.now)}
	h := spending(t, c, done, Shared(p), PerPrincipalAndTool(100, time.Hour), PerServer(100, time.Hour), PerTool(100, time.Hour),
		Budget("$1/day"), Budget("$10/month").PerPrincipal(), Price("x", "$0.5"))
	mustPass(t, h, toolCall("a", "x"))
	if len(p.trips) != 1 || len(p.trips[0].Buckets) != 3 || len(p.trips[0].Reservations) != 2 || len(p.settled) != 1 {
		t.Errorf("%d trips, %d settlements: %+v", len(p.trips), len(p.settled), p.trips)
	}
	if r := p.trips[0]; r.ID == "" || r.Lease < time.Minute || r.Overdraw {
		t.Errorf("got %+v", r)
	}
	mustPass(t, h, toolCall("a", "x"))
	overBudget(t, h, toolCall("b", "x"))
	if len(p.trips) != 3 || len(p.settled) != 2 {
		t.Errorf("%d trips, %d settlements", len(p.trips), len(p.settled))
	}
}

// Whether there is a price, and a budget, is nothing for those who may not call.
func TestBudgetRefusesOnlyThoseWhoMayCall(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := &proxy{Store: newInProcess(100, c.now)}
	no := mcpsec.At(mcpsec.StageAllow, "no", mcpsec.ControlFunc(func(mcpsec.Handler) mcpsec.Handler {
		return func(context.Context, *mcpsec.Call) (mcp.Result, error) {
			return nil, &mcpsec.Denial{Code: "no", Kind: mcpsec.NotFound}
		}
	}))
	g, err := mcpsec.New(no, New(Shared(p), withClock(c), Budget("$1/day"), Price("x", "$1")))
	if err != nil {
		t.Fatal(err)
	}
	h, err := mcpsec.Wrap(g, "x", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		t.Error("ran")
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // each finds the budget untouched: the ones before gave it back
		if _, err := h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "x"}}); err == nil || strings.Contains(dataOf(err), "ratelimit") {
			t.Errorf("got %v %s", err, dataOf(err))
		}
	}
	if len(p.settled) != 3 || p.settled[0][0] != 0 {
		t.Errorf("settled %v", p.settled)
	}
}

func TestOutageMeansWhatEachLimitSays(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts   []Option
		passes int // of 100 calls
		code   string
	}{
		"rate, by default":      {[]Option{PerServer(10, time.Hour)}, 0, "ratelimit.store_unavailable"},
		"rate, share":           {[]Option{PerServer(10, time.Hour).OnOutage(LocalShare(3))}, 3, "ratelimit.exceeded"},
		"rate, share below one": {[]Option{PerServer(2, time.Hour).OnOutage(LocalShare(3))}, 1, "ratelimit.exceeded"},
		"rate, unlimited":       {[]Option{PerServer(10, time.Hour).OnOutage(UnlimitedDuringOutage())}, 100, ""},
		"one closed of two":     {[]Option{PerServer(10, time.Hour).OnOutage(UnlimitedDuringOutage()), PerPrincipal(5, time.Hour)}, 0, "ratelimit.store_unavailable"},
		"budget, by default":    {[]Option{Budget("$1/day"), Price("x", "$0.1")}, 0, "ratelimit.store_unavailable"},
		"budget, share":         {[]Option{Budget("$1/day").OnOutage(LocalShare(3)), Price("x", "$0.1")}, 3, "ratelimit.over_budget"},
		"budget, share below":   {[]Option{Budget("$1/day").OnOutage(LocalShare(30)), Price("x", "$0.1")}, 0, "ratelimit.over_budget"},
		"budget, unlimited":     {[]Option{Budget("$1/day").OnOutage(UnlimitedDuringOutage()), Price("x", "$0.1")}, 100, ""},
		"budgets, one closed":   {[]Option{Budget("$1/day").OnOutage(UnlimitedDuringOutage()), Budget("$9/month"), Price("x", "$0.1")}, 0, "ratelimit.store_unavailable"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			h := spending(t, c, done, append(test.opts, Shared(&proxy{Store: newInProcess(100, c.now), down: errDown}))...)
			passed := 0
			for range 100 {
				_, err := h(t.Context(), toolCall("a", "x"))
				switch d := mcpsec.AsDenial(err); {
				case err == nil:
					passed++
				case d == nil || d.Code != test.code:
					t.Fatalf("got %v, want %s", err, test.code)
				case d.Code == "ratelimit.store_unavailable" && (!d.Failure || d.Reason != "" || !strings.Contains(d.Detail, "connection refused")):
					t.Fatalf("got %+v", d)
				}
			}
			if passed != test.passes {
				t.Errorf("%d calls passed, want %d", passed, test.passes)
			}
		})
	}
}

func TestStoreThatAnswersNonsenseIsAnOutage(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := spending(t, c, done, Shared(&proxy{Store: newInProcess(100, c.now), lie: true}), Budget("$1/day"), Price("x", "$0.1"))
	if ok, _ := passKind(t, h, toolCall("a", "x"), "ratelimit.store_unavailable"); ok {
		t.Error("passed")
	}
}

// A liar refuses for a limit that nobody asked about.
type liar struct{ v Verdict }

func (l liar) Take(context.Context, *Request) (Verdict, error) { return l.v, nil }

func TestStoreThatRefusesForNobodyRefusesAll(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]Verdict{
		"bucket":      {Bucket: Refusal{Wait: 1, Index: 7}},
		"negative":    {Bucket: Refusal{Wait: 1, Index: -1}},
		"reservation": {Reservation: Refusal{Wait: 1, Index: 7}, Spent: []int64{0}},
	} {
		h := spending(t, newClock(), done, Shared(liar{v}), PerServer(1, time.Second), Budget("$1/day"), Price("x", "$0.1"))
		if ok, _ := passKind(t, h, toolCall("a", "x"), "ratelimit.store_unavailable"); ok {
			t.Errorf("%s: passed", name)
		}
	}
}

func passKind(t *testing.T, h mcpsec.Handler, call *mcpsec.Call, code string) (bool, *mcpsec.Denial) {
	t.Helper()
	_, err := h(t.Context(), call)
	d := mcpsec.AsDenial(err)
	if err != nil && (d == nil || d.Code != code) {
		t.Fatalf("got %v, want %s", err, code)
	}
	return err == nil, d
}

func TestSettlementIsRepeatedOnceAndTakesEffectOnce(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := &proxy{Store: newInProcess(100, c.now), settling: []error{errDown, nil, errDown, errDown}}
	h := spending(t, c, func(context.Context, *mcpsec.Call) (mcp.Result, error) { return success, nil },
		Shared(p), Budget("$1/day"), Price("x", "$0.1").Reported("$0.4"))
	mustPass(t, h, toolCall("a", "x")) // settled at the second attempt: $0.1
	mustPass(t, h, toolCall("a", "x")) // never: $0.5 are spent
	if len(p.settled) != 4 {
		t.Errorf("%d attempts to settle", len(p.settled))
	}
	v, err := p.Store.Take(t.Context(), &Request{Reservations: p.trips[0].Reservations, Lease: 1})
	if err != nil || !v.Reservation.Refused() || v.Spent[0] != 600_000 {
		t.Errorf("spent %v, %v", v.Spent, err)
	}
}

// What changes the arguments between the stages changes the price.
func TestPriceIsThatOfTheArgumentsThatRun(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := &proxy{Store: newInProcess(100, c.now)}
	grow := mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			longer := *call
			longer.Arguments = []byte(`"` + strings.Repeat("x", 4000) + `"`)
			return next(ctx, &longer)
		}
	})
	l := New(Shared(p), withClock(c), WithoutPrincipalRate(), Budget("$1/day"), Price("x", "$0").PerArgumentKiB("$0.1"))
	parts := l.Controls()
	h := mcpsec.Handler(done)
	for i, part := range slices.Backward(parts) {
		if h = part.Wrap(h); i == 1 {
			h = grow.Wrap(h)
		}
	}
	call := toolCall("a", "x")
	call.Arguments = []byte(`""`)
	mustPass(t, h, call)
	if len(p.settled) != 2 || p.settled[0][0] != 0 || p.settled[1][0] != 400_000 {
		t.Errorf("settled %v, want nothing for what was foreseen and $0.4 for what ran", p.settled)
	}
}

// In a process and through the interface, the same limits decide the same.
func TestSharedStoreDecidesLikeTheProcessItself(t *testing.T) {
	t.Parallel()
	c := newClock()
	opts := []Option{
		PerPrincipal(3, time.Minute), PerTool(10, time.Hour), PerPrincipalAndTool(2, time.Second),
		Budget("$1/hour"), Budget("$0.5/day").PerPrincipal(), Price("x", "$0.1"), Price("y", "$0.03").Reported("$0.02"),
	}
	handler := func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Name == "y" {
			return success, Charge(ctx, Amount{USD, 10_000})
		}
		return success, nil
	}
	own := New(append(opts, withClock(c), WithoutBreaker())...).Wrap(handler)
	shared := New(append(opts, withClock(c), WithoutBreaker(), Shared(newInProcess(1000, c.now)))...).Wrap(handler)
	for i := range 3000 {
		c.move(time.Duration(i%7) * 300 * time.Millisecond)
		call := toolCall(string(rune('a'+i%3)), string(rune('x'+i%5/2%2)))
		_, one := own(t.Context(), call)
		_, other := shared(t.Context(), call)
		a, b := mcpsec.AsDenial(one), mcpsec.AsDenial(other)
		if (one == nil) != (other == nil) || a != nil && (a.Code != b.Code || a.RetryAfter != b.RetryAfter || a.Detail != b.Detail) {
			t.Fatalf("call %d: alone %+v, shared %+v", i, a, b)
		}
	}
}

func TestStoreRefusesWhatNoCallHas(t *testing.T) {
	t.Parallel()
	s := InProcess(10)
	if _, err := s.Take(t.Context(), &Request{Buckets: make([]Bucket, 9)}); err == nil {
		t.Error("nine buckets are accepted")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Take(cancelled, &Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	v, err := s.Take(t.Context(), &Request{Lease: time.Hour, Reservations: []Reservation{{"k", Daily(), 10, 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Hold.Settle(t.Context(), nil); err == nil {
		t.Error("settled without amounts")
	}
}

// dataOf is the data of the JSON-RPC error that a client sees.
func dataOf(err error) string {
	if e, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return string(e.Data)
	}
	return ""
}
