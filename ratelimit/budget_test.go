package ratelimit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// spending is a Limiter with budgets around a handler.
func spending(t *testing.T, c *clock, handler mcpsec.Handler, opts ...Option) mcpsec.Handler {
	t.Helper()
	opts = append(opts, withClock(c), WithoutBreaker())
	if !slices.ContainsFunc(opts, func(o Option) bool {
		r, ok := o.(Rate)
		return ok && r.boundsPrincipals()
	}) {
		opts = append(opts, WithoutPrincipalRate())
	}
	l := New(opts...)
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	return l.Wrap(handler)
}

func overBudget(t *testing.T, h mcpsec.Handler, call *mcpsec.Call) *mcpsec.Denial {
	t.Helper()
	ok, d := pass(t, h, call, "ratelimit.over_budget")
	if ok {
		t.Fatal("a call over budget passed")
	}
	return d
}

// runs reports how many calls of a price pass until the budget refuses.
func runs(t *testing.T, h mcpsec.Handler, call *mcpsec.Call) (n int) {
	t.Helper()
	for ; n < 1000; n++ {
		if ok, _ := pass(t, h, call, "ratelimit.over_budget"); !ok {
			return n
		}
	}
	t.Fatal("the budget never refuses")
	return 0
}

func TestBudgetRefusesExactlyWhenUsedUp(t *testing.T) {
	t.Parallel()
	c := newClock() // noon
	h := spending(t, c, done, Budget("$1/day"), Price("x", "$0.1"))
	if n := runs(t, h, toolCall("a", "x")); n != 10 {
		t.Errorf("%d calls at $0.1 passed for $1", n)
	}
	d := overBudget(t, h, toolCall("b", "x"))
	if d.RetryAfter != 12*time.Hour || d.Reason != "the budget is used up; retry in 12h0m0s" || d.Detail != `Budget("$1/day")` {
		t.Errorf("got %+v", d)
	}
	mustPass(t, h, toolCall("a", "free")) // what has no price costs nothing
	c.move(d.RetryAfter - 1)
	overBudget(t, h, toolCall("a", "x"))
	c.move(1)
	mustPass(t, h, toolCall("a", "x"))
}

func TestCeilingsAreNestedAndTheFirstToRefuseTakesNothing(t *testing.T) {
	t.Parallel()
	tenant := func(who, tenant string) *mcpsec.Call {
		c := toolCall(who, "x")
		c.Principal.Tenant = tenant
		return c
	}
	h := spending(t, newClock(), done, Price(AnyTool, "$1"),
		Budget("$2/day").PerPrincipal(), Budget("$3/day").PerTenant(), Budget("$5/month"), Budget("$1/call"))
	if n := runs(t, h, tenant("a", "t")); n != 2 {
		t.Errorf("a principal spent %d", n)
	}
	if n := runs(t, h, tenant("b", "t")); n != 1 {
		t.Errorf("the rest of the tenant spent %d, want 1", n)
	}
	if n := runs(t, h, tenant("c", "u")); n != 2 {
		t.Errorf("another tenant spent %d, want the 2 that are left to its principal and the server", n)
	}
	if d := overBudget(t, h, tenant("d", "v")); strings.Contains(d.Reason, "$") || d.Detail != `Budget("$5/month")` {
		t.Errorf("got %v", d)
	}
}

func TestCallThatCanNeverFitIsToldSo(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]Ceiling{"budget": Budget("$1/day"), "per call": Budget("$1/call")} {
		h := spending(t, newClock(), done, b, Price("x", "$1.000001"))
		if d := overBudget(t, h, toolCall("a", "x")); d.RetryAfter != 0 || !strings.Contains(d.Reason, "the call may cost $1.000001, more than its budget") {
			t.Errorf("%s: got %+v", name, d)
		}
	}
}

// The fault of check-then-add: calls at the same time that all see money left.
func TestCallsAtOnceCannotOverspend(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int64
	h := spending(t, newClock(), func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		return success, Charge(ctx, Amount{USD, 60_000})
	}, Budget("$1/day"), Price("x", "$0.04").Reported("$0.06"), WithoutInFlight())
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := h(t.Context(), toolCall("a", "x")); err == nil {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != 10 {
		t.Errorf("%d calls at $0.1 passed for $1", passed.Load())
	}
}

func TestWhatIsSettledIsWhatItCost(t *testing.T) {
	t.Parallel()
	big := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.Repeat("x", 3000)}}}
	for name, test := range map[string]struct {
		tariff  Tariff
		args    string
		handler func(ctx context.Context) (mcp.Result, error)
		note    string
	}{
		"fixed":          {Price("x", "$0.5"), "", result(success), "$0.5 of $0.5 reserved"},
		"arguments":      {Price("x", "$0.5").PerArgumentKiB("$0.1"), strings.Repeat("x", 1025), result(success), "$0.7 of $0.7 reserved"},
		"small result":   {Price("x", "$0").PerResultKiB("$0.1", 5), "", result(success), "$0.1 of $0.5 reserved"},
		"large result":   {Price("x", "$0").PerResultKiB("$0.1", 2), "", result(big), "$0.3 of $0.2 reserved"},
		"reported":       {Price("x", "$0.5").Reported("$2"), "", charging(nil, 700_000), "$1.2 of $2.5 reserved"},
		"nothing":        {Price("x", "$0.5").Reported("$2"), "", result(success), "$0.5 of $2.5 reserved"},
		"overrun":        {Price("x", "$0.5").Reported("$1"), "", charging(nil, 3_000_000), "$3.5 of $1.5 reserved"},
		"error":          {Price("x", "$0.5").Reported("$2"), "", charging(errors.New("down"), 1), "$2.5 of $2.5 reserved"},
		"error at half":  {Price("x", "$0.5").Reported("$2").OnFailure(50), "", charging(errors.New("down"), 1), "$1.25 of $2.5 reserved"},
		"error for free": {Price("x", "$0.5").OnFailure(0), "", result(nil), "$0 of $0.5 reserved"},
		"error reported": {Price("x", "$0.5").Reported("$2").OnFailure(0), "", charging(errors.New("down"), 900_000), "$0.9 of $2.5 reserved"},
		"tool error":     {Price("x", "$0.5").Reported("$2"), "", result(&mcp.CallToolResult{IsError: true}), "$0.5 of $2.5 reserved"},
		"tool error, 0%": {Price("x", "$0.5").OnToolError(0), "", result(&mcp.CallToolResult{IsError: true}), "$0 of $0.5 reserved"},
		"invalid params": {Price("x", "$0.5"), "", func(context.Context) (mcp.Result, error) { return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams} }, "$0.5 of $0.5 reserved"},
		"own denial":     {Price("x", "$0.5").Reported("$1"), "", charging(&mcpsec.Denial{Code: "x"}, 2_000_000), "$2 of $1.5 reserved"},
		"panic":          {Price("x", "$0.5"), "", func(context.Context) (mcp.Result, error) { panic("x") }, "$0.5 of $0.5 reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var note string
			g, err := mcpsec.New(New(Budget("$100/day"), test.tariff), noting(&note))
			if err != nil {
				t.Fatal(err)
			}
			h, err := mcpsec.Wrap(g, "x", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				res, err := test.handler(ctx)
				if res == nil || err != nil {
					return nil, err
				}
				return res.(*mcp.CallToolResult), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			args := json.RawMessage("{}")
			if test.args != "" {
				args, _ = json.Marshal(map[string]string{"a": test.args})
			}
			_, _ = h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "x", Arguments: args}})
			if note != test.note {
				t.Errorf("noted %q, want %q", note, test.note)
			}
		})
	}
}

func result(res *mcp.CallToolResult) func(context.Context) (mcp.Result, error) {
	return func(context.Context) (mcp.Result, error) {
		if res == nil {
			return nil, errors.New("down")
		}
		c := *res
		return &c, nil
	}
}

func charging(err error, micros int64) func(context.Context) (mcp.Result, error) {
	return func(ctx context.Context) (mcp.Result, error) {
		charged := Charge(ctx, Amount{USD, micros})
		if err != nil {
			return nil, err
		}
		if d := mcpsec.AsDenial(charged); charged != nil && d == nil {
			return nil, charged
		}
		return &mcp.CallToolResult{}, nil
	}
}

// noting keeps what the record would have of a call's cost.
func noting(note *string) mcpsec.Control {
	return mcpsec.At(mcpsec.StageAudit, "notes", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			res, err := next(ctx, call)
			for _, n := range call.Notes() {
				if n.Key == noteCost {
					*note = n.Value
				}
			}
			return res, err
		}
	}))
}

func TestCallRefusedBeforeItsHandlerCostsNothing(t *testing.T) {
	t.Parallel()
	for name, stage := range map[string]mcpsec.Stage{"attest": mcpsec.StageAttest, "creds": mcpsec.StageCreds} {
		var note string
		refuse := mcpsec.At(stage, "no", mcpsec.ControlFunc(func(mcpsec.Handler) mcpsec.Handler {
			return func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, &mcpsec.Denial{Code: "no"} }
		}))
		// Beside the handler the meter stands last only if the Limiter does.
		g, err := mcpsec.New(refuse, New(Budget("$1/day"), Price("x", "$1")), noting(&note))
		if err != nil {
			t.Fatal(err)
		}
		h, err := mcpsec.Wrap(g, "x", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, _ = h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "x"}})
		}
		if note != "$0 of $1 reserved" {
			t.Errorf("%s: noted %q", name, note)
		}
	}
}

func TestCancellingCallerPaysAllTheSame(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := spending(t, c, func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, Budget("$1/day"), Price("x", "$1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h(ctx, toolCall("a", "x")); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	overBudget(t, h, toolCall("a", "x"))
}

func TestOverrunKeepsLaterCallsOutUntilWorkedOff(t *testing.T) {
	t.Parallel()
	c := newClock()
	h := spending(t, c, func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Session == "greedy" {
			if d := mcpsec.AsDenial(Charge(ctx, Amount{USD, 4_000_000})); d == nil || d.Code != "ratelimit.over_budget" {
				t.Errorf("Charge says %v", d)
			}
		}
		return &mcp.CallToolResult{}, nil
	}, Budget("$1/day"), Price("x", "$0.5").Reported("$0.5"))
	greedy := toolCall("a", "x")
	greedy.Session = "greedy"
	mustPass(t, h, greedy) // $4.5 of $1: three and a half days to come
	d := overBudget(t, h, toolCall("a", "x"))
	if want := 12*time.Hour + 4*24*time.Hour; d.RetryAfter != want {
		t.Errorf("RetryAfter is %v, want %v", d.RetryAfter, want)
	}
	c.move(d.RetryAfter - 1)
	overBudget(t, h, toolCall("a", "x"))
	c.move(1)
	mustPass(t, h, toolCall("a", "x"))
}

// A handler that ignores its context and ends after its lease has cost what it cost.
func TestOverrunAfterTheLeaseIsBookedToo(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		c := newClock()
		opts := []Option{Budget("$10/day"), Price("x", "$1").Reported("$1")}
		if shared {
			opts = append(opts, Shared(newInProcess(100, c.now)))
		}
		late := true
		h := spending(t, c, func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
			if late {
				_ = Charge(ctx, Amount{USD, 8_000_000})
				c.move(2 * time.Hour)
			}
			return &mcp.CallToolResult{}, nil
		}, opts...)
		mustPass(t, h, toolCall("a", "x")) // $2 spent by expiry, and $7 more
		late = false
		if n := runs(t, h, toolCall("a", "x")); n != 0 {
			t.Errorf("shared %v: %d more calls passed, want none at $2 of the $1 left", shared, n)
		}
	}
}

func TestChargeOutsideOfItsCallBooksNothing(t *testing.T) {
	t.Parallel()
	var kept context.Context
	h := spending(t, newClock(), func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		kept = ctx
		for _, bad := range []Amount{{USD, -1}, {"USD", 1}, {}, {USD, maxMicros + 1}, Units(1<<60, USD)} {
			if err := Charge(ctx, bad); err == nil || mcpsec.AsDenial(err) != nil {
				t.Errorf("%v: %v", bad, err)
			}
		}
		if err := Charge(ctx, Units(1, "tokens")); !errors.Is(err, ErrNoBudget) {
			t.Errorf("another unit: %v", err)
		}
		return success, nil
	}, Budget("$1/day"), Price("x", "$0.1").Reported("$0.1"))
	mustPass(t, h, toolCall("a", "x"))
	if err := Charge(kept, Amount{USD, 1}); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
	mustPass(t, h, toolCall("a", "free"))
	if err := Charge(kept, Amount{USD, 1}); !errors.Is(err, ErrNoBudget) {
		t.Errorf("without a price: %v", err)
	}
	if err := Charge(t.Context(), Amount{USD, 1}); !errors.Is(err, ErrNoBudget) {
		t.Errorf("outside: %v", err)
	}
}

func TestUnitsAreCountedApart(t *testing.T) {
	t.Parallel()
	h := spending(t, newClock(), func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		return &mcp.CallToolResult{}, Charge(ctx, Units(300, "tokens"))
	}, Budget("$1/day"), Budget("1000 tokens/hour").PerPrincipal(), Price(AnyTool, "$0.1"),
		Price("x", "0 tokens").Reported("400 tokens"))
	if n := runs(t, h, toolCall("a", "x")); n != 3 { // 900 tokens; 400 more do not fit
		t.Errorf("%d calls passed", n)
	}
	if n := runs(t, h, toolCall("b", "x")); n != 3 {
		t.Errorf("%d calls of another principal passed", n)
	}
	if n := runs(t, h, toolCall("c", "x")); n != 3 {
		t.Errorf("%d calls of a third principal passed", n)
	}
	if n := runs(t, h, toolCall("d", "x")); n != 1 { // $0.1 is left
		t.Errorf("%d calls of a fourth principal passed, want 1", n)
	}
}

func TestQuestionsToClientAreCharged(t *testing.T) {
	t.Parallel()
	ask := func(method, params string) *mcpsec.Call {
		c := toolCall("a", "x")
		c.Method, c.Outgoing, c.Arguments = method, true, json.RawMessage(params)
		return c
	}
	answer := &mcp.CreateMessageResult{Content: &mcp.TextContent{Text: "ok"}, Model: "m", Role: "assistant"}
	h := spending(t, newClock(), func(_ context.Context, c *mcpsec.Call) (mcp.Result, error) {
		switch c.Session {
		case "answered":
			return answer, nil
		case "only decided":
			return &mcp.ListToolsResult{}, nil
		}
		return nil, &mcpsec.Denial{Code: "no"}
	}, Budget("$1/day"), PriceSampling("$0.001").PerToken("$0.0001", 5000), PriceElicitation("$0.2"))

	for _, params := range []string{`{}`, `{"maxTokens":0}`, `{"maxTokens":-5}`, `{"maxTokens":5001}`, `{"maxTokens":1e30}`, `{"maxTokens":"5"}`, ``} {
		if ok, _ := pass(t, h, ask(methodSample, params), "ratelimit.unbounded_sample"); ok {
			t.Errorf("sampling with %s passed", params)
		}
	}
	sample := ask(methodSample, `{"maxTokens":5000}`) // $0.501 at most
	sample.Session = "answered"                       // and some 60 bytes in the end
	for range 20 {
		mustPass(t, h, sample)
	}
	refused := ask(methodSample, `{"maxTokens":5000}`)
	for range 20 {
		if _, err := h(t.Context(), refused); mcpsec.AsDenial(err).Code != "no" {
			t.Fatalf("a refused question was paid for: %v", err)
		}
	}
	sample.Session = "only decided" // as inputRequests: nobody learns what the answer costs
	mustPass(t, h, sample)
	overBudget(t, h, sample)
	// Elicitation, and the tool that asks, are paid for from the same account.
	elicit := ask(methodElicit, `{}`)
	elicit.Session = "only decided"
	mustPass(t, h, elicit)
	overBudget(t, h, elicit)
}

func TestBudgetThatRunsOutIsToldToItsOwner(t *testing.T) {
	t.Parallel()
	h := spending(t, newClock(), func(context.Context, *mcpsec.Call) (mcp.Result, error) {
		return &mcp.CallToolResult{Meta: mcp.Meta{"own": 1}}, nil
	}, Budget("$1/day").PerPrincipal(), Budget("$1/month"), Price("x", "$0.2"))
	for i := range 5 {
		res, err := h(t.Context(), toolCall("a", "x"))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := json.Marshal(res.(*mcp.CallToolResult).Meta)
		want := `{"own":1}`
		if i >= 3 {
			want = fmt.Sprintf(`{"io.github.mcpsec/budget":[{"budget":"$1 per day for one principal","remaining":"$%s"}],"own":1}`, []string{"0.2", "0"}[i-3])
		}
		if string(raw) != want {
			t.Errorf("call %d: _meta is %s, want %s", i+1, raw, want)
		}
	}
}

func TestPriceForToolThatIsNotOfferedIsRefused(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]Option{
		"price":  {Budget("$1/day"), Price("serch", "$1")},
		"budget": {Budget("$1/day").Of("serch"), Price(AnyTool, "$1")},
	} {
		g, err := mcpsec.New(New(opts...))
		if err != nil {
			t.Fatal(err)
		}
		s := mcp.NewServer(&mcp.Implementation{Name: "test"}, nil)
		tool := func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, nil
		}
		if err := mcpsec.AddTool(g, s, &mcp.Tool{Name: "search"}, tool); err != nil {
			t.Fatal(err)
		}
		if err := g.Install(s); err == nil || !strings.Contains(err.Error(), `"serch"`) {
			t.Errorf("%s: Install says %v", name, err)
		}
	}
}

func TestTwoLimitersWithBudgetsExcludeEachOther(t *testing.T) {
	t.Parallel()
	one := func() *Limiter { return New(Budget("$1/day"), Price(AnyTool, "$1")) }
	if _, err := mcpsec.New(one(), one()); err == nil {
		t.Error("calls would be paid for twice, and reports go to one of them only")
	}
}
