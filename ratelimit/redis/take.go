package redis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// maxAmount bounds limits and amounts, in millionths of a unit: Lua adds two of
// them exactly.
const maxAmount = 1 << 52

// exact bounds the numbers that Lua never rounds.
const exact = 1<<53 - 1

// ask lets Redis decide.
func (s *Store) ask(ctx context.Context, req *ratelimit.Request, p *plan) (v ratelimit.Verdict, err error) {
	settled := false
	defer func() {
		if !settled {
			s.leases.failed(req, p)
		}
	}()
	if err := check(req); err != nil {
		return v, err
	}
	err = s.link.within(ctx, func(ctx context.Context) error {
		keys := s.keys(req, p)
		var a *answer
		var sent time.Duration
		for range 2 { // the second time with the server's time, if it was wrong
			sent = s.clock.local()
			if a, err = s.link.run(ctx, s.scripts.take, keys, s.args(req, p)); err != nil {
				return err
			}
			s.clock.learn(sent, a.time)
			if a.verdict != untimely {
				break
			}
		}
		v, err = s.read(a, req, p, sent, keys)
		settled = err == nil
		return err
	})
	if err != nil {
		return ratelimit.Verdict{}, err
	}
	return v, nil
}

// check refuses what would make the scripts count wrong.
func check(req *ratelimit.Request) error {
	for i, b := range req.Buckets {
		if b.Interval < 1 || b.Burst < 1 || int64(b.Burst) > math.MaxInt64/4/int64(b.Interval) {
			return fmt.Errorf("ratelimit/redis: bucket %d: a burst of %d, one each %v, is no limit", i, b.Burst, b.Interval)
		}
		if slices.ContainsFunc(req.Buckets[:i], func(o ratelimit.Bucket) bool { return o.Key == b.Key }) {
			return fmt.Errorf("ratelimit/redis: bucket %d is in the request twice", i)
		}
	}
	for i, r := range req.Reservations {
		if r.Limit < 1 || r.Limit > maxAmount || r.Amount < 0 || r.Amount > maxAmount {
			return fmt.Errorf("ratelimit/redis: reservation %d: %d of a limit of %d: use amounts up to %d millionths", i, r.Amount, r.Limit, int64(maxAmount))
		}
		if slices.ContainsFunc(req.Reservations[:i], func(o ratelimit.Reservation) bool { return o.Key == r.Key }) {
			return fmt.Errorf("ratelimit/redis: reservation %d is in the request twice", i)
		}
	}
	if len(req.Reservations) > 0 && (req.Lease <= 0 || req.ID == "") {
		return errors.New("ratelimit/redis: reservations without ID or lease")
	}
	return nil
}

func (s *Store) keys(req *ratelimit.Request, p *plan) []string {
	keys := make([]string, 1, 1+len(req.Buckets)+len(req.Reservations))
	keys[0] = s.names.hold(req.ID)
	for i := range req.Buckets {
		if p.asks(i) {
			keys = append(keys, s.names.bucket(req.Buckets[i].Key))
		}
	}
	for i := range req.Reservations {
		keys = append(keys, s.names.account(req.Reservations[i].Key))
	}
	return keys
}

// args are those of take.lua.
func (s *Store) args(req *ratelimit.Request, p *plan) []any {
	args := append(make([]any, 0, 32), s.clock.notAfter(s.link.budget), flag(req.Overdraw), req.Lease.Milliseconds(), 0)
	asked := 0
	for i := range req.Buckets {
		if p.asks(i) {
			asked++
			b := &req.Buckets[i]
			args = append(args, int64(b.Interval), b.Burst, flag(p.need[i]), p.want[i])
		}
	}
	args[3] = asked
	now := s.clock.server()
	for i := range req.Reservations {
		r := &req.Reservations[i]
		args = append(terms(args, r.Window, now, r.Limit), r.Amount)
	}
	return args
}

// terms appends the arguments of one account: present slot with its start and end
// in microseconds, number of slots, how long a window is at most in milliseconds
// (calendar windows differ by less than a quarter), limit.
func terms(args []any, w ratelimit.Window, now time.Time, limit int64) []any {
	slot, n := w.Slot(now), w.Slots()
	span := slot.End.Sub(slot.Start) * time.Duration(n)
	return append(args, slot.Index, micros(slot.Start), micros(slot.End), n, (span + span/4).Milliseconds(), limit)
}

// micros is the first microsecond that is not before t.
func micros(t time.Time) int64 { return t.Add(time.Microsecond - 1).UnixMicro() }

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// read turns an answer into a verdict, and tells the leases.
func (s *Store) read(a *answer, req *ratelimit.Request, p *plan, sent time.Duration, keys []string) (v ratelimit.Verdict, err error) {
	switch a.verdict {
	case limited:
		var waits [most]time.Duration
		for i := range req.Buckets {
			if p.asks(i) {
				waits[i] = time.Duration(a.next(0, math.MaxInt64))
			}
			if waits[i] > v.Bucket.Wait {
				v.Bucket = ratelimit.Refusal{Wait: waits[i], Index: i}
			}
		}
		if a.fault == nil && !v.Bucket.Refused() {
			a.fault = fmt.Errorf("%w: refused without a wait", errFaulty)
		}
		if a.fault == nil {
			s.leases.refused(s.clock.local(), req, p, &waits)
		}
		return v, a.fault
	case passed, overspent:
	default:
		return v, fmt.Errorf("%w: verdict %d, twice in vain", errUntimely, a.verdict)
	}
	var spare [most]int
	for i := range req.Buckets {
		if p.asks(i) {
			spare[i] = int(a.next(0, int64(p.want[i])))
		}
	}
	if len(req.Reservations) > 0 {
		s.readAccounts(a, req, &v, keys)
	}
	if a.fault != nil {
		return ratelimit.Verdict{}, a.fault
	}
	s.leases.granted(sent, req, p, &spare)
	v.OK = a.verdict == passed
	return v, nil
}

// errUntimely means that the server's clock jumped twice, or its answers are late.
var errUntimely = errors.New("the server's time differs from what it was a moment ago")

func (s *Store) readAccounts(a *answer, req *ratelimit.Request, v *ratelimit.Verdict, keys []string) {
	v.Spent = make([]int64, len(req.Reservations))
	slots := make([]int64, len(req.Reservations))
	for i := range slots {
		slots[i] = a.next(math.MinInt64, math.MaxInt64)
		v.Spent[i] = a.next(0, exact)
	}
	if a.verdict == passed {
		if !req.Overdraw {
			first := len(keys) - len(slots)
			v.Hold = &hold{
				store: s, reserved: slices.Clone(req.Reservations), slots: slots, expires: a.time + req.Lease.Microseconds(),
				keys: append([]string{keys[0]}, keys[first:]...),
			}
		}
		return
	}
	now := time.UnixMicro(a.time)
	for i := range req.Reservations {
		acc := account{slot: slots[i], debt: a.next(0, exact)}
		for range a.next(0, maxAnswer) {
			acc.slots = append(acc.slots, entry{a.next(math.MinInt64, math.MaxInt64), a.next(0, exact)})
			if a.fault != nil {
				return
			}
		}
		r := &req.Reservations[i]
		if wait := acc.wait(now, r); wait > v.Reservation.Wait {
			v.Reservation = ratelimit.Refusal{Wait: wait, Index: i}
		}
	}
	if !v.Reservation.Refused() && a.fault == nil {
		a.fault = fmt.Errorf("%w: refused though every account has room", errFaulty)
	}
}
