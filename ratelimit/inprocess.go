package ratelimit

import (
	"context"
	"errors"
	"strings"
	"time"
)

var (
	errLines   = errors.New("ratelimit: Settle: give one amount for each reservation")
	errRequest = errors.New("ratelimit: Take: more buckets or reservations than a call can have")
)

// InProcess returns a Store in the memory of this process, for several Limiters that
// share their limits: two servers in one program, for example. Without any Store a
// Limiter decides by the same rules, and faster.
func InProcess(maxKeys int) Store {
	return newInProcess(max(1, maxKeys), time.Now)
}

type inProcess struct {
	table   *table
	ledger  *ledger
	digests *digester
	clock   func() time.Time
	epoch   time.Time
}

var _ Store = (*inProcess)(nil)

func newInProcess(maxKeys int, clock func() time.Time) *inProcess {
	ds := newDigester()
	return &inProcess{newTable(maxKeys), newLedger(maxKeys, ds, clock), ds, clock, clock()}
}

// Take implements [Store].
func (p *inProcess) Take(ctx context.Context, req *Request) (Verdict, error) {
	if err := ctx.Err(); err != nil {
		return Verdict{}, err
	}
	if len(req.Buckets) > maxLimits || len(req.Reservations) > maxReservations {
		return Verdict{}, errRequest
	}
	var limits [maxLimits]limit
	var charges [maxLimits]charge
	for i, b := range req.Buckets {
		key := p.digests.of(ofLimit, b.Key)
		kind, _, _ := strings.Cut(b.Key, `"`)
		limits[i] = limit{
			interval: int64(b.Interval), tolerance: int64(b.Burst-1) * int64(b.Interval),
			spill: spill(p.digests.of(ofLimit, kind)[0] % maxSpills),
		}
		charges[i] = charge{key, &limits[i], p.table.shard(key[0])}
	}
	v := p.table.take(int64(p.clock().Sub(p.epoch)), charges[:len(req.Buckets)])
	for i := range limits[:len(req.Buckets)] {
		if v.refused == &limits[i] {
			return Verdict{Bucket: Refusal{v.wait, i}}, nil
		}
	}
	return p.ledger.take(req), nil
}
