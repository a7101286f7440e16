package ratelimit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// close settles a call that has ended and warns of budgets that run out.
func (b *budgets) close(t *tab, a answer, res mcp.Result, e ending) {
	reported := t.close()
	q := t.quote
	actual := make([]int64, len(q.reservations))
	var costs, warnings []string
	for i, p := range q.prices {
		unit := p.tariff.fixed.Unit
		cost := p.actual(q.call, int(t.runs.Load()), reported[i], res, e)
		costs = append(costs, fmt.Sprintf("%v of %v reserved", Amount{unit, cost}, Amount{unit, p.reserved}))
		for j, c := range q.ceilings {
			if c.limit.Unit == unit {
				actual[j] = cost
			}
		}
	}
	q.call.Note(noteCost, strings.Join(costs, ", "))
	var own []notice
	for i, c := range q.ceilings {
		level := a.verdict.Spent[i] - q.reservations[i].Amount + actual[i]
		limit := q.reservations[i].Limit
		share := 100 * min(level, maxDebt) / limit
		if c.warn == 0 || share < int64(c.warn) {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("%d%% of %s", share, c.describe()))
		if c.own() {
			own = append(own, notice{c.describe(), Amount{c.limit.Unit, max(0, limit-level)}.String()})
		}
	}
	if warnings != nil {
		q.call.Note(noteBudget, strings.Join(warnings, ", "))
		tell(res, own)
	}
	b.settle(t, a, actual)
}

func (b *budgets) settle(t *tab, a answer, actual []int64) {
	if a.verdict.Hold == nil {
		return
	}
	q := t.quote
	if !errors.Is(settle(t.Context, q.call, a.verdict.Hold, actual), ErrExpired) {
		return
	}
	// It counts as spent in full. What it cost beyond that was never booked.
	req := &Request{ID: rand.Text(), Overdraw: true}
	for i, r := range q.reservations {
		if r.Amount = actual[i] - r.Amount; r.Amount > 0 {
			req.Reservations = append(req.Reservations, r)
		}
	}
	switch {
	case len(req.Reservations) == 0:
	case b.store == nil:
		b.ledger.take(req)
	default:
		if _, err := b.store.Take(context.WithoutCancel(t.Context), req); err != nil {
			q.call.Note(noteUnsettled, err.Error())
		}
	}
}

// settle tells the store what a call has cost, and again if that failed.
func settle(ctx context.Context, call *mcpsec.Call, h Hold, actual []int64) error {
	ctx = context.WithoutCancel(ctx) // who cancels a call pays for it all the same
	err := h.Settle(ctx, actual)
	if err != nil && !errors.Is(err, ErrExpired) {
		err = h.Settle(ctx, actual)
	}
	if err != nil {
		call.Note(noteUnsettled, err.Error())
	}
	return err
}

// The keys of notes for the audit record.
const (
	noteCost      = "ratelimit.cost"
	noteBudget    = "ratelimit.budget"
	noteUnsettled = "ratelimit.unsettled"
)

// MetaBudget is the _meta key under which a result tells that a budget of the caller
// runs out: a list of objects with the members budget and remaining.
const MetaBudget = "io.github.mcpsec/budget"

type notice struct {
	Budget    string `json:"budget"`
	Remaining string `json:"remaining"`
}

// tell puts notices into a result, which is a copy of the handler's: the guard's, or
// that of alone.
func tell(res mcp.Result, own []notice) {
	r, ok := res.(*mcp.CallToolResult)
	if !ok || r == nil || len(own) == 0 {
		return
	}
	meta := make(mcp.Meta, len(r.Meta)+1)
	maps.Copy(meta, r.Meta)
	meta[MetaBudget] = own
	r.Meta = meta
}
