package ratelimit

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestFarDeadlineIsNoExpiredLease(t *testing.T) {
	t.Parallel()
	h := spending(t, newClock(), done, Budget("$1/day"), Price("x", "$0.1").Reported("$0.8"))
	ctx, cancel := context.WithDeadline(t.Context(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	defer cancel()
	if _, err := h(ctx, toolCall("a", "x")); err != nil { // reserves $0.9, costs $0.1
		t.Fatal(err)
	}
	mustPass(t, h, toolCall("a", "x"))
}

// Charged is what began: a refusal beside the handler gives the money back, at whatever
// stage and on whichever side of the meter.
func TestRefusedBesideTheHandlerCostsNothing(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		for _, stage := range []mcpsec.Stage{mcpsec.StageAttest, mcpsec.StageCreds, mcpsec.StageIntent} {
			no := mcpsec.At(stage, "no", mcpsec.ControlFunc(func(mcpsec.Handler) mcpsec.Handler {
				return func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, &mcpsec.Denial{Code: "no"} }
			}))
			l := New(Budget("$1/day"), Price("x", "$0.5"))
			controls := []mcpsec.Control{l, no}
			if first {
				controls = []mcpsec.Control{no, l}
			}
			if err := runOnce(t, controls...); err == nil {
				t.Fatal("not refused")
			}
			if n := level(l); n != 0 {
				t.Errorf("refused at stage %v: %v spent", stage, Amount{USD, n})
			}
		}
	}
}

// The other way round: a refusal of the handler's own, or of its result, comes too late.
func TestRefusedAfterTheHandlerRanIsPaidFor(t *testing.T) {
	t.Parallel()
	no := mcpsec.At(mcpsec.StageCreds, "no", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			_, _ = next(ctx, call)
			return nil, &mcpsec.Denial{Code: "no"}
		}
	}))
	l := New(Budget("$1/day"), Price("x", "$0.5"))
	if err := runOnce(t, l, no); err == nil {
		t.Fatal("not refused")
	}
	if n := level(l); n != 500_000 {
		t.Errorf("%v spent, want $0.5", Amount{USD, n})
	}
	alone := New(Budget("$1/day"), Price("x", "$0.5"))
	h := alone.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, &mcpsec.Denial{Code: "no"} })
	_, _ = h(t.Context(), toolCall("a", "x"))
	if n := level(alone); n != 500_000 {
		t.Errorf("without a guard: %v spent, want $0.5", Amount{USD, n})
	}
}

// runOnce calls tool x once through a guard.
func runOnce(t *testing.T, controls ...mcpsec.Control) error {
	t.Helper()
	g, err := mcpsec.New(controls...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	h, err := mcpsec.Wrap(g, "x", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "x"}})
	return err
}

// A handler may return one result to all. What one caller has spent must not reach another.
func TestNoticeOfOneCallerReachesNoOther(t *testing.T) {
	t.Parallel()
	own := &mcp.CallToolResult{}
	h := New(Budget("$1/day").PerPrincipal(), Price("x", "$0.5"), withClock(newClock())).Wrap(
		func(context.Context, *mcpsec.Call) (mcp.Result, error) { return own, nil })
	mustPass(t, h, toolCall("a", "x"))
	mustPass(t, h, toolCall("a", "x"))
	res, err := h(t.Context(), toolCall("b", "x"))
	if err != nil {
		t.Fatal(err)
	}
	if m := res.(*mcp.CallToolResult).Meta; m[MetaBudget] != nil || own.Meta != nil {
		t.Errorf("b, who has spent half, is told of a: %v, %v", m, own.Meta)
	}
}

func TestRefusalTellsNothingOfWhatOthersMaySpend(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Ceiling{
		"server": Budget("$12345/month"), "tool": Budget("$12345/month").PerTool(), "tenant": Budget("$12345/month").PerTenant(),
	} {
		h := spending(t, newClock(), done, c, Price("x", "$12345"), Price("y", "$12346"))
		mustPass(t, h, toolCall("other", "x"))
		if d := overBudget(t, h, toolCall("me", "x")); strings.Contains(d.Reason, "12345") || !strings.Contains(d.Detail, "12345") {
			t.Errorf("%s: the caller, who has spent nothing, reads %q; the operator reads %q", name, d.Reason, d.Detail)
		}
		if d := overBudget(t, h, toolCall("me", "y")); strings.Contains(d.Reason, "12345") {
			t.Errorf("%s: a call that never fits reads %q", name, d.Reason)
		}
	}
}

func TestTinyBudgetWarnsNoSoonerThanOthers(t *testing.T) {
	t.Parallel()
	h := New(Budget("0.00009 tokens/day").PerPrincipal(), Price("x", "0.000001 tokens")).Wrap(
		func(context.Context, *mcpsec.Call) (mcp.Result, error) { return &mcp.CallToolResult{}, nil })
	res, err := h(t.Context(), toolCall("a", "x"))
	if err != nil {
		t.Fatal(err)
	}
	if m := res.(*mcp.CallToolResult).Meta; m != nil {
		t.Errorf("1 of 90 spent, warned: %v", m)
	}
}

// The client's model has answered: who then refuses the answer has spent the money.
func TestQuestionRefusedAfterItsAnswerIsPaidFor(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int64{"before": 0, "after": 500_000} {
		no := mcpsec.At(mcpsec.StageCreds, "no", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
			return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
				if !call.Outgoing {
					return next(ctx, call)
				}
				if name == "after" {
					_, _ = next(ctx, call)
				}
				return nil, &mcpsec.Denial{Code: "no"}
			}
		}))
		l := New(Budget("$1/day"), PriceSampling("$0.5"))
		cs := connected(t, true, oldRevision, l, no)
		if res, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "ask"}); err == nil && !res.IsError {
			t.Fatalf("%s: not refused", name)
		}
		if n := level(l); n != want {
			t.Errorf("refused %s it was asked: %v spent, want %v", name, Amount{USD, n}, Amount{USD, want})
		}
	}
}
