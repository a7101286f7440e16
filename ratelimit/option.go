package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// The defaults of [New].
const (
	DefaultCalls          = 120 // in DefaultPer, per principal and tool
	DefaultPer            = time.Minute
	DefaultBurst          = 30
	DefaultInFlight       = 16  // calls per principal
	DefaultInFlightTotal  = 128 // calls of all principals
	DefaultListeners      = 4   // subscriptions/listen streams per principal
	DefaultListenersTotal = 1024
	DefaultFailures       = 5
	DefaultOpenFor        = 30 * time.Second
	DefaultMaxKeys        = 100_000
)

// An Option changes one default of [New]. The same kind of option given twice is
// an error.
type Option interface {
	apply(c *config) error
}

// A Rate is an [Option] that limits how often calls are made. Its zero value is no
// limit that New accepts.
//
// It is the generic cell rate algorithm (ITU-T I.371, annex A): n calls each per
// on average, evenly refilled and not window by window, and up to a burst of them
// at once. Over any stretch of time t it lets at most burst + t·n/per calls pass.
type Rate struct {
	scope scope
	n     int
	per   time.Duration
	burst *int
}

// PerPrincipal limits all that one principal does. What the server asks the client
// on the principal's behalf is held to the same rate, but does not use it up. It
// replaces the default limit per principal and tool.
func PerPrincipal(n int, per time.Duration) Rate { return Rate{perPrincipal, n, per, nil} }

// PerTool limits the calls of one tool by all principals together, for a tool that
// is costly whoever calls it. Since one principal can use it up, it stands beside
// the limits of principals and replaces none of them.
func PerTool(n int, per time.Duration) Rate { return Rate{perTool, n, per, nil} }

// PerPrincipalAndTool limits the calls of each tool by each principal. Methods
// other than tools/call are limited as if each were a tool. It replaces the
// default, which is of this kind.
func PerPrincipalAndTool(n int, per time.Duration) Rate {
	return Rate{perPrincipalAndTool, n, per, nil}
}

// Burst returns the rate with another burst: how many calls may come at once after
// a pause. Without it the burst is n, so that a pause followed by n calls passes,
// and 2n calls pass in the busiest stretch of length per.
func (r Rate) Burst(calls int) Rate {
	r.burst = &calls
	return r
}

// String writes the rate as the call that makes it.
func (r Rate) String() string {
	if r.burst != nil {
		return fmt.Sprintf("%s(%d, %v).Burst(%d)", scopeNames[r.scope], r.n, r.per, *r.burst)
	}
	return fmt.Sprintf("%s(%d, %v)", scopeNames[r.scope], r.n, r.per)
}

func (r Rate) apply(c *config) error {
	if err := c.once(scopeNames[r.scope], r); err != nil {
		return err
	}
	l, err := r.limit()
	if err == nil {
		c.rates[r.scope] = &l
	}
	return err
}

// limit turns calls and durations into those of the algorithm.
func (r Rate) limit() (limit, error) {
	burst := r.n
	if r.burst != nil {
		burst = *r.burst
	}
	switch {
	case r.n < 1:
		return limit{}, fmt.Errorf("%v: allow at least 1 call; to refuse them all, do not add the tool", r)
	case r.per <= 0:
		return limit{}, fmt.Errorf("%v: the duration must be positive", r)
	case burst < 1:
		return limit{}, fmt.Errorf("%v: a burst below 1 would refuse every call: use 1 to space calls evenly", r)
	}
	// Rounding up never lets more pass than n in per.
	interval := (int64(r.per)-1)/int64(r.n) + 1
	if int64(burst) > math.MaxInt64/4/interval {
		return limit{}, fmt.Errorf("%v: the burst would take longer than 70 years to refill: use a smaller one", r)
	}
	return limit{
		scope: r.scope, interval: interval, tolerance: (int64(burst) - 1) * interval,
		text: fmt.Sprintf("at most %d in %v %s", r.n, r.per, scopeTexts[r.scope]), name: r.String(),
	}, nil
}

// An option is every Option but a Rate.
type option struct {
	kind string // options of one kind exclude each other
	name string // how errors call it
	set  func(c *config) error
}

func (o option) String() string { return o.name }

func (o option) apply(c *config) error {
	if err := c.once(o.kind, o); err != nil {
		return err
	}
	if err := o.set(c); err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	return nil
}

// InFlight limits how many calls run at the same time, of one principal and in
// all. The default is 16 and 128.
func InFlight(perPrincipal, total int) Option {
	return option{"InFlight", fmt.Sprintf("InFlight(%d, %d)", perPrincipal, total), func(c *config) error {
		c.calls = slots{perPrincipal, total}
		return c.calls.check("WithoutInFlight")
	}}
}

// Listeners limits how many subscriptions/listen streams are open at the same
// time, of one principal and in all. They take no slot of [InFlight], since they
// last as long as the client likes. The default is 4 and 1024.
func Listeners(perPrincipal, total int) Option {
	return option{"Listeners", fmt.Sprintf("Listeners(%d, %d)", perPrincipal, total), func(c *config) error {
		c.listeners = slots{perPrincipal, total}
		return c.listeners.check("higher numbers")
	}}
}

// Breaker sets when the circuit breaker of a tool opens.
func Breaker(t Trip) Option {
	return option{"Breaker", fmt.Sprintf("Breaker(%+v)", t), func(c *config) error {
		if t.OpenFor < 0 {
			return errors.New("OpenFor must not be negative: 0 means the default")
		}
		c.trip = &t
		return nil
	}}
}

// MaxKeys bounds how many buckets of rates exist at a time; each takes about 100
// bytes. A bucket that has refilled is removed when its place is needed. While all
// places are taken by buckets in use, callers without one share a single bucket
// more, of the same rate; a bucket in use is never given up. The default is
// 100 000.
func MaxKeys(n int) Option {
	return option{"MaxKeys", fmt.Sprintf("MaxKeys(%d)", n), func(c *config) error {
		if n < 1 {
			return errors.New("keep at least 1")
		}
		c.maxKeys = n
		return nil
	}}
}

// WithoutPrincipalRate removes the default limit per principal and tool: a
// principal may call as often as it likes, within PerTool where that is given.
func WithoutPrincipalRate() Option {
	return option{"WithoutPrincipalRate", "WithoutPrincipalRate()", func(c *config) error {
		c.unlimited = true
		return nil
	}}
}

// WithoutInFlight removes the limit of calls in flight. That of [Listeners] stays.
func WithoutInFlight() Option {
	return option{"InFlight", "WithoutInFlight()", func(c *config) error {
		c.calls = slots{math.MaxInt, math.MaxInt}
		return nil
	}}
}

// WithoutBreaker removes the circuit breakers.
func WithoutBreaker() Option {
	return option{"Breaker", "WithoutBreaker()", func(c *config) error {
		c.trip = nil
		return nil
	}}
}
