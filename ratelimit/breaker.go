package ratelimit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/sony/gobreaker/v2"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Trip says when the circuit breaker of a tool opens. The zero value means the
// defaults.
//
// A failure is an error of the handler that is no refusal, a panic in it, and the
// end of its deadline. Neither failure nor success is what the caller brought
// about: a [mcpsec.Denial], a call the caller cancelled, error -32602 (invalid
// params), and a result with isError.
type Trip struct {
	// Failures in a row open the breaker. 0 means DefaultFailures.
	Failures uint32
	// OpenFor is how long the breaker stays open before one call at a time is let
	// through to try. 0 means DefaultOpenFor.
	OpenFor time.Duration
	// CountToolErrors counts results with isError as failures. Bad arguments give
	// such results too, so with it any caller can open the breaker for all. Without
	// it an error that a typed handler returns, which the SDK turns into such a
	// result, opens nothing.
	CountToolErrors bool
}

// trialHint is what a caller is told to wait while another tries the tool.
const trialHint = time.Second

// trialLease bounds a trial whose context has no deadline.
const trialLease = 5 * time.Minute

// breakers is the control of StageBudget that keeps a breaker for each tool.
type breakers struct {
	trip Trip

	mu     sync.RWMutex
	byTool map[string]*breaker
}

var _ mcpsec.Declarer = (*breakers)(nil)

func newBreakers(t Trip) *breakers {
	if t.Failures == 0 {
		t.Failures = DefaultFailures
	}
	if t.OpenFor == 0 {
		t.OpenFor = DefaultOpenFor
	}
	return &breakers{trip: t, byTool: make(map[string]*breaker)}
}

func (b *breakers) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit.breaker", Stage: mcpsec.StageBudget}
}

func (b *breakers) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (res mcp.Result, err error) {
		// Names the server does not offer get no breaker, and so take no memory.
		if call.Method != "tools/call" || call.Tool == nil {
			return next(ctx, call)
		}
		report, d := b.of(call.Tool.Name).allow(ctx)
		if d != nil {
			return nil, d
		}
		outcome := errFailed // of a call that panics
		defer func() { report(outcome) }()
		res, err = next(ctx, call)
		outcome = b.trip.judge(ctx, res, err)
		return res, err
	}
}

func (b *breakers) of(tool string) *breaker {
	b.mu.RLock()
	one := b.byTool[tool]
	b.mu.RUnlock()
	if one != nil {
		return one
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byTool[tool] == nil {
		b.byTool[tool] = newBreaker(b.trip)
	}
	return b.byTool[tool]
}

// How a call ended, for the breaker; nil is success.
var (
	errFailed  = errors.New("failed")
	errNeutral = errors.New("says nothing of the tool")
)

// breaker is the breaker of one tool: gobreaker's, with a lease on trial calls and
// the time at which it will let one through.
type breaker struct {
	cb      *gobreaker.TwoStepCircuitBreaker[struct{}]
	start   time.Time
	closed  atomic.Bool
	reopens atomic.Int64 // nanoseconds after start

	mu     sync.Mutex
	trials map[*trial]struct{}
}

// A trial is a call let through while the breaker was not closed.
type trial struct {
	done  func(error)
	until time.Time
}

func newBreaker(t Trip) *breaker {
	b := &breaker{start: time.Now(), trials: make(map[*trial]struct{})}
	b.closed.Store(true)
	b.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     t.OpenFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= t.Failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNeutral) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				// gobreaker lets a call pass only after its time, not at it.
				b.reopens.Store(int64(time.Since(b.start) + t.OpenFor + 1))
			}
			b.closed.Store(to == gobreaker.StateClosed)
		},
	})
	return b
}

// allow lets a call through, and returns what must be told how it ended, or
// refuses it.
func (b *breaker) allow(ctx context.Context) (report func(error), d *mcpsec.Denial) {
	done, err := b.cb.Allow()
	if errors.Is(err, gobreaker.ErrTooManyRequests) && b.expire(time.Now()) {
		done, err = b.cb.Allow()
	}
	switch {
	case errors.Is(err, gobreaker.ErrOpenState):
		wait := max(1, time.Duration(b.reopens.Load())-time.Since(b.start))
		return nil, codeBreakerOpen.Deny("the tool fails and is out of service; retry in " + inWords(wait)).After(wait)
	case err != nil:
		return nil, codeBreakerOpen.Deny("the tool failed and is being tried again; retry in " + inWords(trialHint)).After(trialHint)
	case b.closed.Load():
		return done, nil
	}
	return b.try(ctx, done), nil
}

// try leases the breaker to a trial. gobreaker waits for its one trial for ever, so
// a handler that hangs and ignores its context would keep the tool out of service.
// A call that slipped in as the breaker opened is taken for a trial too, which does
// no harm: gobreaker ignores what it reports.
func (b *breaker) try(ctx context.Context, done func(error)) func(error) {
	t := &trial{done: done, until: time.Now().Add(trialLease)}
	if deadline, ok := ctx.Deadline(); ok {
		t.until = deadline
	}
	b.mu.Lock()
	b.trials[t] = struct{}{}
	b.mu.Unlock()
	return func(outcome error) {
		b.mu.Lock()
		_, mine := b.trials[t]
		delete(b.trials, t)
		b.mu.Unlock()
		if mine {
			done(outcome)
		}
	}
}

// expire reports trials as failed that have outlived their deadline, and whether
// there were any. It runs when a call meets a trial, so no timer is needed.
func (b *breaker) expire(now time.Time) (found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for t := range b.trials {
		if now.After(t.until) {
			delete(b.trials, t)
			t.done(errFailed)
			found = true
		}
	}
	return found
}
