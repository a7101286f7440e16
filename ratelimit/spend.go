package ratelimit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// budgets is the control of StageBudget that reserves what a call may cost, and
// settles what it has cost.
type budgets struct {
	ceilings  []*ceiling
	tools     map[string][]*Tariff
	questions map[string][]*Tariff
	digests   *digester
	ledger    *ledger
	store     Store   // nil: the ledger is all there is
	surges    *surges // nil unless asked for
	clock     func() time.Time
}

var (
	_ mcpsec.Declarer = (*budgets)(nil)
	_ mcpsec.Sealer   = (*budgets)(nil)
)

func newBudgets(c *config) *budgets {
	b := &budgets{
		tools: make(map[string][]*Tariff), questions: make(map[string][]*Tariff),
		digests: newDigester(), store: c.store, clock: c.clock,
	}
	if c.surge > 0 {
		b.surges = newSurges(c.surge)
	}
	b.ledger = newLedger(c.maxKeys, b.digests, c.clock)
	for _, one := range c.ceilings {
		b.ceilings = append(b.ceilings, &ceiling{one, one.prefix()})
	}
	for _, t := range c.tariffs {
		if t.method != "" {
			b.questions[t.method] = append(b.questions[t.method], &t)
		} else {
			b.tools[t.tool] = append(b.tools[t.tool], &t)
		}
	}
	// A tool that has a price in one unit has the common price in the others.
	for name, own := range b.tools {
		for _, common := range b.tools[AnyTool] {
			if name != AnyTool && !has(own, common.fixed.Unit) {
				b.tools[name] = append(b.tools[name], common)
			}
		}
	}
	return b
}

func has(tariffs []*Tariff, unit string) bool {
	for _, t := range tariffs {
		if t.fixed.Unit == unit {
			return true
		}
	}
	return false
}

func (b *budgets) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit.budget", Stage: mcpsec.StageBudget, Sole: true}
}

// Seal refuses a price for a tool that the server does not offer, which is most
// often a misspelt name: the tool that was meant would be free.
func (b *budgets) Seal(_ context.Context, inv *mcpsec.Inventory) error {
	var faults []error
	for name := range b.tools {
		if name != AnyTool {
			faults = append(faults, offered(inv, "Price", name))
		}
	}
	for _, c := range b.ceilings {
		faults = append(faults, offered(inv, c.String(), c.tools...))
	}
	return errors.Join(faults...)
}

// offered refuses what is about tools that the server does not offer.
func offered(inv *mcpsec.Inventory, what string, tools ...string) error {
	var faults []error
	for _, name := range tools {
		if !slices.ContainsFunc(inv.Tools, func(t *mcpsec.Tool) bool { return t.Name == name }) {
			faults = append(faults, fmt.Errorf("ratelimit: %s: the server does not offer tool %q: correct the name or leave it out", what, name))
		}
	}
	return errors.Join(faults...)
}

const (
	// leaseGrace is how long after its deadline a call may still be settled.
	leaseGrace = 30 * time.Second
	// openLease is the lease of a call without deadline.
	openLease = time.Hour
	// longestLease is the most that any deadline makes of it.
	longestLease = 24 * time.Hour
)

// lease returns how long the reservations of a call can be settled.
func (b *budgets) lease(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return openLease
	}
	return min(max(0, deadline.Sub(b.clock())), longestLease) + leaseGrace
}

func (b *budgets) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		q, a, d := b.reserve(ctx, b.quote(call))
		switch {
		case d != nil:
			return nil, d
		case q == nil:
			return next(ctx, call)
		}
		t := newTab(ctx, q)
		if d := b.surge(q); d != nil {
			b.close(t, a, nil, refused) //nolint:contextcheck // the tab has the call's
			return nil, d
		}
		e := failed // of a call that panics
		var res mcp.Result
		var err error
		defer func() { b.close(t, a, res, e) }() //nolint:contextcheck // the tab has the call's
		res, err = next(t, call)                 //nolint:contextcheck // the same
		e = t.end(res, err)
		return res, err
	}
}

// reserve reserves what a call may cost, or takes up what was reserved with the
// rates. The quote is nil for a call that costs nothing.
func (b *budgets) reserve(ctx context.Context, q *quote) (*quote, answer, *mcpsec.Denial) {
	switch {
	case q == nil:
		return nil, answer{}, nil
	case q.refusal != nil:
		return nil, answer{}, q.refusal
	}
	if len(q.reservations) == 0 {
		return q, answer{}, nil
	}
	a, prepared := b.prepared(ctx, q)
	switch {
	case prepared:
	case b.store == nil:
		a.verdict = b.ledger.take(&Request{Reservations: q.reservations, Lease: b.lease(ctx)})
	default:
		a.verdict, a.err = ask(ctx, b.store, &Request{ID: rand.Text(), Reservations: q.reservations, Lease: b.lease(ctx)})
	}
	if a.err != nil {
		return b.outage(ctx, q, a.err)
	}
	if r := a.verdict.Reservation; r.Refused() {
		c := q.ceilings[r.Index]
		d := codeBudget.Deny("the budget is used up" + c.told() + "; retry in " + inWords(r.Wait)).After(r.Wait)
		d.Detail = c.String()
		return nil, a, d
	}
	return q, a, nil
}

// surge asks whether the principal spends far more than usual. Only what the budgets
// let pass counts, or refused calls would make much look usual.
func (b *budgets) surge(q *quote) *mcpsec.Denial {
	if b.surges == nil {
		return nil
	}
	for _, p := range q.prices {
		who := q.subject.who.and(b.digests.of(ofLimit, p.tariff.fixed.Unit))
		if d := b.surges.spend(who, p.reserved, b.clock()); d != nil {
			return d
		}
	}
	return nil
}

// prepared returns what StageLimit reserved, if the call is still the one it was
// reserved for: a control in between may have changed the arguments, and with them
// the price. What was reserved for the old price is given back first, or it would stand
// in the way of the new one.
func (b *budgets) prepared(ctx context.Context, q *quote) (answer, bool) {
	p, _ := ctx.Value(prospectKey{}).(*prospect)
	if p == nil || p.call.ID != q.call.ID || p.call.Method != q.call.Method || p.taken {
		return answer{}, false
	}
	p.taken = true
	if !slices.Equal(p.quote.reservations, q.reservations) {
		p.release(q.call)
		return answer{}, false
	}
	return p.answer, true
}

// outage reserves without the store, as each budget says.
func (b *budgets) outage(ctx context.Context, q *quote, cause error) (*quote, answer, *mcpsec.Denial) {
	own := *q
	own.reservations, own.ceilings = nil, nil
	for i, c := range q.ceilings {
		switch c.outage.kind {
		case share:
			r := q.reservations[i]
			if r.Limit = max(1, r.Limit/int64(c.outage.replicas)); r.Amount > r.Limit {
				d := codeBudget.Deny("the call may cost more than this process may spend alone")
				d.Detail = c.String() + ": " + cause.Error()
				return nil, answer{}, d
			}
			own.reservations, own.ceilings = append(own.reservations, r), append(own.ceilings, c)
		case unlimited:
		default:
			d := codeStore.Deny("").Because(cause).AsFailure()
			d.Detail = c.String() + ": " + d.Detail
			return nil, answer{}, d
		}
	}
	q.call.Note(noteDegraded, "budgets: the store did not answer")
	v := b.ledger.take(&Request{Reservations: own.reservations, Lease: b.lease(ctx)})
	if v.Reservation.Refused() {
		c := own.ceilings[v.Reservation.Index]
		d := codeBudget.Deny("the budget is used up" + c.told() + ", divided among processes").After(v.Reservation.Wait)
		d.Detail = c.String() + ": " + cause.Error()
		return nil, answer{}, d
	}
	return &own, answer{verdict: v}, nil
}
