package ratelimit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// How a call ended, for the breaker; nil is success.
var (
	errFailed  = errors.New("failed")
	errNeutral = errors.New("says nothing of the tool")
)

// breaker is the breaker of one tool or one upstream: gobreaker's, with the calls
// under way, so that those that hang are judged before they end, and the time at
// which it will let one through.
type breaker struct {
	name string // of the tool or the upstream
	what string // "tool" or "upstream"
	trip Trip
	cb   *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu      sync.Mutex
	running map[*attempt]struct{}
	due     time.Time // no attempt is overdue before

	closed  atomic.Bool
	state   sync.Mutex // taken inside gobreaker's own lock
	reopens time.Time
	changed time.Time
	opened  int64
}

// An attempt is a call under way.
type attempt struct {
	done  func(error)
	since time.Time
	until time.Time
	// timeout says whose limit until is: the deadline of the call, or Slow.
	timeout bool
}

func newBreaker(what, name string, t Trip) *breaker {
	b := &breaker{name: name, what: what, trip: t, running: make(map[*attempt]struct{}), changed: time.Now()}
	b.closed.Store(true)
	s := gobreaker.Settings{
		MaxRequests: t.Trials,
		Timeout:     t.OpenFor,
		ReadyToTrip: t.ready,
		IsExcluded:  func(err error) bool { return errors.Is(err, errNeutral) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			b.state.Lock()
			defer b.state.Unlock()
			b.changed = time.Now()
			b.closed.Store(to == gobreaker.StateClosed)
			if to == gobreaker.StateOpen {
				b.opened++
				// gobreaker lets a call pass only after its time, not at it.
				b.reopens = b.changed.Add(t.OpenFor + 1)
			}
		},
	}
	if t.Percent > 0 {
		s.Interval, s.BucketPeriod = t.Window, t.Window/windowBuckets
	}
	b.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](s)
	return b
}

// allow lets a call through, or refuses it. The attempt must be told how it ended.
func (b *breaker) allow(ctx context.Context) (*attempt, *mcpsec.Denial) {
	now := time.Now()
	b.expire(now)
	done, err := b.cb.Allow()
	switch {
	case errors.Is(err, gobreaker.ErrOpenState):
		b.state.Lock()
		wait := max(1, b.reopens.Sub(now))
		b.state.Unlock()
		return nil, codeBreakerOpen.Deny("the " + b.what + " fails and is out of service; retry in " + inWords(wait)).After(wait)
	case err != nil:
		return nil, codeBreakerOpen.Deny("the " + b.what + " failed and is being tried again; retry in " + inWords(trialHint)).After(trialHint)
	}
	a := &attempt{done: done, since: now, until: now.Add(trialLease), timeout: true}
	if deadline, ok := ctx.Deadline(); ok {
		a.until = deadline
	}
	if slow := now.Add(b.trip.Slow); b.trip.Slow > 0 && !slow.After(a.until) {
		a.until, a.timeout = slow, false
	}
	b.mu.Lock()
	b.running[a] = struct{}{}
	if b.due.IsZero() || a.until.Before(b.due) {
		b.due = a.until
	}
	b.mu.Unlock()
	return a, nil
}

// report ends an attempt. One that was judged before changes nothing.
func (b *breaker) report(a *attempt, outcome error) {
	if b.trip.Slow > 0 && !errors.Is(outcome, errNeutral) && time.Since(a.since) > b.trip.Slow {
		outcome = errFailed
	}
	b.mu.Lock()
	_, mine := b.running[a]
	delete(b.running, a)
	b.mu.Unlock()
	if mine {
		a.done(outcome)
	}
}

// expire judges attempts that should have ended. gobreaker waits for ever for a call
// it let through, so a handler that hangs and ignores its context would never open a
// breaker, and as a trial would keep its tool out of service. It runs when a call
// comes, so no timer is needed.
func (b *breaker) expire(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.due.IsZero() || !now.After(b.due) {
		return
	}
	b.due = time.Time{}
	for a := range b.running {
		switch {
		case now.After(a.until):
			delete(b.running, a)
			if a.timeout && b.trip.IgnoreTimeouts {
				a.done(errNeutral)
			} else {
				a.done(errFailed)
			}
		case b.due.IsZero() || a.until.Before(b.due):
			b.due = a.until
		}
	}
}
