package ratelimit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A prospect is what StageLimit reserved for a call together with its rates, in one
// round trip, for StageBudget to take up: whether a budget refuses is said only to
// those who may call at all.
type prospect struct {
	context.Context //nolint:containedctx // it is one: the call's, and the reservation

	call   *mcpsec.Call
	quote  *quote
	answer answer
	taken  bool // by StageBudget, in the call's own goroutine
}

// An answer is what a store said to reservations.
type answer struct {
	verdict Verdict
	err     error
}

type prospectKey struct{}

// Value finds the prospect of this context, and everything else outside it.
func (p *prospect) Value(key any) any {
	if key == (prospectKey{}) {
		return p
	}
	return p.Context.Value(key)
}

// wrapShared asks the shared store about rates and budgets at once.
func (r *rate) wrapShared(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		p, d := r.decideShared(ctx, call)
		if d != nil {
			return nil, d
		}
		if p == nil {
			return next(ctx, call)
		}
		defer func() {
			if !p.taken { // refused on its way
				p.release(call)
			}
		}()
		return next(p, call) //nolint:contextcheck // it is the call's, and what was reserved
	}
}

func (p *prospect) release(call *mcpsec.Call) {
	if p.answer.verdict.Hold == nil {
		return
	}
	_ = settle(p.Context, call, p.answer.verdict.Hold, make([]int64, len(p.quote.reservations)))
}

// ask asks a store and holds its answer to the contract: what it did not clearly allow
// is an outage. That the caller has gone is none, or whoever cancels would be free of
// every limit that is open during one.
func ask(ctx context.Context, store Store, req *Request) (Verdict, error) {
	v, err := store.Take(context.WithoutCancel(ctx), req)
	if err == nil {
		err = v.check(req)
	}
	return v, err
}

// check reports whether the verdict is an answer to the request.
func (v *Verdict) check(req *Request) error {
	refused := v.Bucket.Refused() || v.Reservation.Refused()
	switch {
	case v.Bucket.Refused() && !v.Bucket.of(len(req.Buckets)), v.Reservation.Refused() && !v.Reservation.of(len(req.Reservations)):
		return errors.New("the store refused for a limit that it was not asked about")
	case v.OK == refused:
		return errors.New("the store said neither yes nor no")
	case !v.Bucket.Refused() && len(v.Spent) != len(req.Reservations):
		return fmt.Errorf("the store answered for %d of %d budgets", len(v.Spent), len(req.Reservations))
	case v.OK && len(req.Reservations) > 0 && v.Hold == nil:
		return errors.New("the store reserved nothing")
	}
	return nil
}

// decideShared returns what was reserved for the call, if anything, or a refusal.
func (r *rate) decideShared(ctx context.Context, call *mcpsec.Call) (*prospect, *mcpsec.Denial) {
	if uncounted(call.Method) {
		return nil, nil
	}
	s := r.digests.subject(call)
	req := &Request{Buckets: make([]Bucket, 0, len(r.limits))}
	asked := make([]*limit, 0, len(r.limits))
	for i := range r.limits {
		if l := &r.limits[i]; l.applies(&s) {
			req.Buckets = append(req.Buckets, Bucket{l.shared(l.prefix, &s), time.Duration(l.interval), l.burst})
			asked = append(asked, l)
		}
	}
	var p *prospect
	if r.budget != nil {
		if q := r.budget.quote(call); q != nil && q.refusal == nil && len(q.reservations) > 0 {
			p = &prospect{Context: ctx, call: call, quote: q}
			req.ID, req.Lease, req.Reservations = rand.Text(), r.budget.lease(ctx), q.reservations
		}
	}
	if len(req.Buckets)+len(req.Reservations) == 0 {
		return nil, nil
	}
	v, err := ask(ctx, r.store, req)
	switch {
	case err != nil:
		if d := r.outage(call, &s, asked, err); d != nil {
			return nil, d
		}
	case v.Bucket.Refused():
		return nil, asked[v.Bucket.Index].deny(v.Bucket.Wait, false)
	}
	if p != nil {
		p.answer = answer{v, err}
	}
	return p, nil
}

// outage decides about a call without the store, as each limit says.
func (r *rate) outage(call *mcpsec.Call, s *subject, asked []*limit, cause error) *mcpsec.Denial {
	var charges [maxLimits]charge
	n := 0
	for _, l := range asked {
		switch l.outage.kind {
		case share:
			charges[n] = r.charge(l.own, s)
			n++
		case unlimited:
		default:
			d := codeStore.Deny("").Because(cause).AsFailure()
			d.Detail = l.name + ": " + d.Detail
			return d
		}
	}
	if len(asked) > 0 {
		call.Note(noteDegraded, "rates: the store did not answer")
	}
	return r.take(charges[:n])
}
