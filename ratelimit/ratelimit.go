package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Limiter limits the calls of one guard. Make one with [New]; the zero value and
// nil are refused by [mcpsec.New]. It is safe for concurrent use, starts no
// goroutine and needs no Close.
//
// Two Limiters may stand in one guard, for example for a rate per second and one
// per hour. Each decides by itself: what the first took is not given back when the
// second refuses.
type Limiter struct {
	parts []mcpsec.Control
	fault error
}

var (
	_ mcpsec.Set     = (*Limiter)(nil)
	_ mcpsec.Checker = (*Limiter)(nil)
)

// New makes a Limiter. Without options it has the defaults of this package. It
// never fails: what is wrong with the options, all of it, is returned by
// [mcpsec.New] and by Check.
func New(opts ...Option) *Limiter {
	c := newConfig()
	if err := c.read(opts); err != nil {
		return &Limiter{fault: fmt.Errorf("ratelimit: %w", err)}
	}
	var parts []mcpsec.Control
	if limits := c.limits(); len(limits) > 0 {
		parts = append(parts, newRate(limits, newStore(c.maxKeys), c.clock))
	}
	parts = append(parts, newInFlight(c.calls, c.listeners))
	if c.trip != nil {
		parts = append(parts, newBreakers(*c.trip))
	}
	return &Limiter{parts: parts}
}

// Controls returns the controls the Limiter consists of, in the order in which a
// call meets them: rate, calls in flight, breaker.
func (l *Limiter) Controls() []mcpsec.Control {
	if err := l.Check(); err != nil {
		return []mcpsec.Control{unusable{err}}
	}
	return slices.Clone(l.parts)
}

// Check returns what was wrong with the options of New, or nil.
func (l *Limiter) Check() error {
	switch {
	case l == nil:
		return errors.New("ratelimit: nil Limiter: use ratelimit.New()")
	case l.fault != nil:
		return l.fault
	case l.parts == nil:
		return errors.New("ratelimit: zero Limiter: use ratelimit.New()")
	}
	return nil
}

// Wrap puts all of the Limiter's controls around next, for use without a guard or
// at a stage chosen with [mcpsec.At]. A guard that is given the Limiter itself
// uses Controls instead.
func (l *Limiter) Wrap(next mcpsec.Handler) mcpsec.Handler {
	for _, part := range slices.Backward(l.Controls()) {
		next = part.Wrap(next)
	}
	return next
}

// unusable stands in the place of a Limiter that New could not make: a guard asks
// the parts of a Set whether they are usable, not the Set.
type unusable struct{ fault error }

var (
	_ mcpsec.Declarer = unusable{}
	_ mcpsec.Checker  = unusable{}
)

func (u unusable) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit", Stage: mcpsec.StageLimit}
}

func (u unusable) Check() error { return u.fault }

func (u unusable) Wrap(mcpsec.Handler) mcpsec.Handler {
	return func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, u.fault }
}

// inWords writes a wait so that nobody who obeys it comes too early.
func inWords(wait time.Duration) string {
	return (wait + time.Millisecond - 1).Truncate(time.Millisecond).String()
}
