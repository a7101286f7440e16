package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A limit is a rate in the terms of the generic cell rate algorithm (ITU-T I.371,
// annex A, virtual scheduling). Each bucket is one number, the theoretical arrival
// time (TAT): when the next call would come if calls came evenly. A call conforms
// unless it is earlier than the TAT by more than the tolerance. A TAT in the past
// means the same as none.
type limit struct {
	dimension

	spill     spill
	id        digest // sets the limit's buckets apart from those of others
	interval  int64  // between calls, in nanoseconds
	tolerance int64  // (burst - 1) intervals
	burst     int
	text      string
	name      string
	prefix    string // of keys in a shared store
	outage    Outage
	own       *limit // what holds during an outage; nil: see outage
}

// rate is the control of StageLimit.
type rate struct {
	limits  []limit
	table   *table
	digests *digester
	elapsed func() time.Duration // since the table was made, on the monotonic clock

	store  Store    // nil: the table is all there is
	budget *budgets // reserves in the same round trip; nil without budgets
}

var (
	_ mcpsec.Declarer = (*rate)(nil)
	_ mcpsec.Sealer   = (*rate)(nil)
)

func newRate(limits []limit, t *table, elapsed func() time.Duration) *rate {
	r := &rate{limits: limits, table: t, digests: newDigester(), elapsed: elapsed}
	for i := range r.limits {
		l := &r.limits[i]
		l.id, l.spill = r.digests.of(ofLimit, fmt.Sprint(i)), spill(i)
		if own := l.own; own != nil {
			own.id, own.spill = l.id, l.spill
		}
	}
	return r
}

func (r *rate) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit", Stage: mcpsec.StageLimit}
}

// Seal refuses a rate of a tool that the server does not offer: the one that was meant
// would have none.
func (r *rate) Seal(_ context.Context, inv *mcpsec.Inventory) error {
	var faults []error
	for i := range r.limits {
		faults = append(faults, offered(inv, r.limits[i].name, r.limits[i].tools...))
	}
	return errors.Join(faults...)
}

func (r *rate) Wrap(next mcpsec.Handler) mcpsec.Handler {
	if r.store != nil {
		return r.wrapShared(next)
	}
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if d := r.decide(call); d != nil {
			return nil, d
		}
		return next(ctx, call)
	}
}

// decide charges a call to every limit that applies to it, or to none of them and
// refuses it.
func (r *rate) decide(call *mcpsec.Call) *mcpsec.Denial {
	if uncounted(call.Method) {
		return nil
	}
	s := r.digests.subject(call)
	var charges [maxLimits]charge
	n := 0
	for i := range r.limits {
		if l := &r.limits[i]; l.applies(&s) {
			charges[n] = r.charge(l, &s)
			n++
		}
	}
	return r.take(charges[:n])
}

func (r *rate) charge(l *limit, s *subject) charge {
	key, home := l.key(r.digests, s)
	return charge{key.and(l.id), l, r.table.shard(home)}
}

func (r *rate) take(charges []charge) *mcpsec.Denial {
	if len(charges) == 0 {
		return nil
	}
	v := r.table.take(int64(r.elapsed()), charges)
	if v.refused == nil {
		return nil
	}
	return v.refused.deny(v.wait, v.shared)
}

func (l *limit) deny(wait time.Duration, shared bool) *mcpsec.Denial {
	d := codeExceeded.Deny("too many calls: " + l.text + "; retry in " + inWords(wait)).After(wait)
	d.Detail = l.name
	if shared {
		d.Detail += ", in the bucket shared by all who have none while MaxKeys buckets are in use"
	}
	return d
}

// uncounted are the two messages without which a client loses its session. They
// cost the server next to nothing.
func uncounted(method string) bool {
	return method == "ping" || method == "notifications/initialized"
}
