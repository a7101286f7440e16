package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// The errors of [Charge] that are the server's own mistakes.
var (
	ErrNoBudget = errors.New("ratelimit: no tool call with a price in this unit runs with this context")
	ErrEnded    = errors.New("ratelimit: the call is over and has been settled")
)

// Charge reports what the tool call that runs with ctx has cost beside its price, in
// one of the units it has a price in. It is added to what was reported before.
//
// A [*mcpsec.Denial] with code ratelimit.over_budget means that more was spent
// than [Tariff.Reported] reserved, or than one call may cost: the amount is booked
// all the same, and the handler should stop and may return the error as it is. Any
// other error means that nothing was booked; among them is ErrNoBudget in a call that
// is over budget and passes only because the Limiter merely observes. Charge is safe for concurrent use.
func Charge(ctx context.Context, cost Amount) error {
	if err := cost.check(); err != nil {
		return fmt.Errorf("ratelimit: %w", err)
	}
	t, _ := ctx.Value(tabKey{}).(*tab)
	if t == nil {
		return ErrNoBudget
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrEnded
	}
	for i := range t.quote.prices {
		p := &t.quote.prices[i]
		if p.tariff.fixed.Unit != cost.Unit {
			continue
		}
		t.reported[i] = plus(t.reported[i], cost.Micros)
		if total := plus(p.reserved-p.tariff.reported, t.reported[i]); t.reported[i] > p.tariff.reported || total > p.perCall {
			return codeBudget.Deny(fmt.Sprintf("the call has cost %v, more than was reserved for it", Amount{cost.Unit, total}))
		}
		return nil
	}
	return ErrNoBudget
}

// A tab is the context in which a handler runs: the call's, and what it spends.
type tab struct {
	context.Context //nolint:containedctx // it is one

	quote *quote
	runs  atomic.Int32
	alone atomic.Bool // without a guard, the handler has begun

	mu       sync.Mutex
	reported []int64 // as quote.prices
	closed   bool
}

type tabKey struct{}

func newTab(ctx context.Context, q *quote) *tab {
	return &tab{Context: ctx, quote: q, reported: make([]int64, len(q.prices))}
}

// Value finds the tab of this context, and everything else outside it.
func (t *tab) Value(key any) any {
	if key == (tabKey{}) {
		return t
	}
	return t.Context.Value(key)
}

func (t *tab) close() []int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return t.reported
}

// An ending is how a call ended, as far as its price is concerned.
type ending int

const (
	succeeded ending = iota
	toolError
	failed
	refused // before its handler ran
)

func (t *tab) end(res mcp.Result, err error) ending {
	if err == nil {
		if r, ok := res.(*mcp.CallToolResult); ok && r != nil && r.IsError {
			if t.Err() != nil { // a typed handler that ran out of time
				return failed
			}
			return toolError
		}
		return succeeded
	}
	if t.idle(err) {
		return refused
	}
	return failed
}

// idle reports whether a call that failed has not begun what it is for, so that nothing
// was spent. A question that was asked and answered has begun, even if its answer is
// then refused. What the guard does not say has begun.
func (t *tab) idle(err error) bool {
	call := t.quote.call
	switch {
	case call.Ran() || t.alone.Load():
		return false
	case mcpsec.AsDenial(err) != nil: // of a control beside the handler, perhaps
		return true
	}
	return !call.Outgoing && t.runs.Load() == 0
}

// alone stands around the handler of a Limiter that no guard runs, and does what the
// guard would: it knows that the handler has begun, and gives out a copy of its result,
// which budgets write into.
func alone(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if t, _ := ctx.Value(tabKey{}).(*tab); t != nil && !call.Outgoing {
			t.alone.Store(true)
		}
		res, err := next(ctx, call)
		if r, ok := res.(*mcp.CallToolResult); ok && r != nil && !call.Ran() {
			own := *r
			return &own, err
		}
		return res, err
	}
}

// A meter is the control beside the handler that counts its runs: the SDK runs it a
// second time for a client that knows no multi-round-trip calls.
type meter struct{}

var _ mcpsec.Declarer = meter{}

func (meter) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit.meter", Stage: mcpsec.StageCreds, Sole: true}
}

func (meter) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if t, _ := ctx.Value(tabKey{}).(*tab); t != nil && !call.Outgoing {
			t.runs.Add(1)
		}
		return next(ctx, call)
	}
}
