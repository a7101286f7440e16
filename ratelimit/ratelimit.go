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
// nil are refused by [mcpsec.New]. It is safe for concurrent use and starts no
// goroutine. The guard closes it; a [Store] is closed by whoever made it.
type Limiter struct {
	parts []mcpsec.Control
	kill  *Switch
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
	l := &Limiter{kill: newSwitch()}
	stop := freezer{Switch: l.kill}
	if c.dir != "" {
		var err error
		if l.kill, err = openSwitch(c.dir, true); err != nil {
			return &Limiter{fault: err}
		}
		tidy(c.dir, time.Now())
		stop = freezer{l.kill, newReporter(c.dir, l.Stats)}
	}
	l.parts = c.controls(stop)
	return l
}

// controls makes the controls, in the order in which a call meets them.
func (c *config) controls(stop freezer) (parts []mcpsec.Control) {
	watch := c.stopwatch()
	if c.clock == nil {
		c.clock = time.Now
	}
	var b *budgets
	if len(c.ceilings) > 0 {
		b = newBudgets(c)
	}
	if limits := c.limits(); len(limits) > 0 || b != nil && c.store != nil {
		r := newRate(limits, newTable(c.maxKeys), watch)
		r.store, r.budget = c.store, b
		parts = append(parts, r)
	}
	parts = append(parts, stop)
	if c.loop != nil {
		parts = append(parts, newLoops(*c.loop, c.clock))
	}
	if c.calls.perTool == 0 {
		c.calls.perTool = max(DefaultInFlightPerTool, c.calls.total/2)
	}
	parts = append(parts, newInFlight(c.calls, c.listeners, c.line, stop.Switch))
	if c.trip != nil {
		parts = append(parts, newBreakers(*c.trip, c.upstreams...))
	}
	if b != nil {
		parts = append(parts, b, meter{})
	}
	return parts
}

// Controls returns the controls the Limiter consists of, in the order in which a
// call meets them: rate, switch, loops, calls in flight, breaker, budget.
func (l *Limiter) Controls() []mcpsec.Control {
	if err := l.Check(); err != nil {
		return []mcpsec.Control{unusable{err}}
	}
	return slices.Clone(l.parts)
}

// Switch returns the kill switch: that of [StateDir], or one in memory. It is nil if
// Check returns an error.
func (l *Limiter) Switch() *Switch {
	if l == nil {
		return nil
	}
	return l.kill
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
	next = alone(next)
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
