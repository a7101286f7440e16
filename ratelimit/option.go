package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// The defaults of [New].
const (
	DefaultCalls           = 120 // in DefaultPer, per principal and tool
	DefaultPer             = time.Minute
	DefaultBurst           = 30
	DefaultInFlight        = 16  // calls per principal
	DefaultInFlightPerTool = 64  // calls of one tool, or half of the total if that is more
	DefaultInFlightTotal   = 128 // calls of all principals
	DefaultListeners       = 4   // subscriptions/listen streams per principal
	DefaultListenersTotal  = 1024
	DefaultFailures        = 5
	DefaultOpenFor         = 30 * time.Second
	DefaultWindow          = 30 * time.Second // of Trip.Percent
	DefaultMinCalls        = 10
	DefaultMaxKeys         = 100_000
)

// An Option changes one default of [New]. The same kind of option given twice is
// an error.
type Option interface {
	apply(c *config) error
}

// An option is every Option but a Rate, a Ceiling and a Tariff.
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
		c.calls.perPrincipal, c.calls.total = perPrincipal, total
		return c.calls.check("WithoutInFlight")
	}}
}

// InFlightPerTool limits how many calls of one tool run at the same time, so that a
// slow one leaves room for others. The default is half of the total of [InFlight], but
// no less than 64.
func InFlightPerTool(n int) Option {
	return option{"InFlightPerTool", fmt.Sprintf("InFlightPerTool(%d)", n), func(c *config) error {
		if n < 1 {
			return errors.New("allow at least 1")
		}
		c.calls.perTool = n
		return nil
	}}
}

// Queue lets calls that find no slot wait for one instead of being refused: of one
// principal and in all so many, each no longer than its deadline and longest allow.
// Principals take turns, so that one with many calls waiting delays only itself. By
// default nothing waits.
func Queue(perPrincipal, total int, longest time.Duration) Option {
	return option{"Queue", fmt.Sprintf("Queue(%d, %d, %v)", perPrincipal, total, longest), func(c *config) error {
		c.line = queueing{perPrincipal, total, longest}
		return c.line.check()
	}}
}

// Listeners limits how many subscriptions/listen streams are open at the same
// time, of one principal and in all. They take no slot of [InFlight], since they
// last as long as the client likes. The default is 4 and 1024.
func Listeners(perPrincipal, total int) Option {
	return option{"Listeners", fmt.Sprintf("Listeners(%d, %d)", perPrincipal, total), func(c *config) error {
		c.listeners = slots{perPrincipal, total, total}
		return c.listeners.check("higher numbers")
	}}
}

// Breaker sets when the circuit breaker of a tool opens.
func Breaker(t Trip) Option {
	return option{"Breaker", fmt.Sprintf("Breaker(%+v)", t), func(c *config) error {
		c.trip = &t
		return t.check()
	}}
}

// Upstream gives tools that depend on the same service one more breaker, which they
// share: when it fails, all of them rest. A tool belongs to one upstream at most.
func Upstream(name string, tools ...string) Option {
	return option{"Upstream " + name, fmt.Sprintf("Upstream(%q)", name), func(c *config) error {
		if name == "" || len(tools) == 0 || slices.Contains(tools, "") {
			return errors.New("name the upstream and the tools that depend on it")
		}
		c.upstreams = append(c.upstreams, upstream{name, slices.Clone(tools)})
		return nil
	}}
}

// Loops refuses calls that look like a loop. By default nothing is taken for one:
// polling looks the same.
func Loops(l Loop) Option {
	return option{"Loops", fmt.Sprintf("Loops(%+v)", l), func(c *config) error {
		c.loop = &l
		return l.check()
	}}
}

// SpendSurge refuses calls of a principal that spends in a minute more than factor
// times what it spent on average in the minutes before in which it spent anything,
// of which there have been ten at least. It counts what is reserved, and needs
// budgets.
func SpendSurge(factor int) Option {
	return option{"SpendSurge", fmt.Sprintf("SpendSurge(%d)", factor), func(c *config) error {
		if factor < 2 || factor > 1_000_000 {
			return errors.New("a surge is between 2 and 1000000 times the usual")
		}
		c.surge = factor
		return nil
	}}
}

// Shared keeps rates and budgets in a store that several processes use, and asks it
// about both at once, before the call is authorised: what is reserved for a call that
// is then refused is held until the refusal. Calls in flight, breakers and loops stay
// with each process.
func Shared(s Store) Option {
	return option{"Shared", "Shared", func(c *config) error {
		if c.store = s; s == nil {
			return errors.New("the store is nil: leave the option out to count in this process")
		}
		return nil
	}}
}

// StateDir names the directory of the [Switch], for mcpsec freeze, thaw and status.
// It must exist and be writable for the server alone. The switch reads freeze.json
// in it, and the server says in status-PID.json, once a second at most and when a
// call comes, what it is doing; processes that share the directory have different
// process ids, or see only the last to speak. Without it the switch is in memory.
func StateDir(dir string) Option {
	return option{"StateDir", fmt.Sprintf("StateDir(%q)", dir), func(c *config) error {
		if c.dir = dir; dir == "" {
			return errors.New("name a directory")
		}
		return nil
	}}
}

// MaxKeys bounds how many buckets of rates exist at a time, and how many accounts of
// budgets. A bucket takes 24 bytes in a table that is about half full, an account up
// to 400. One that has refilled is removed when its place is needed. While all places
// are taken by those in use, callers without one share a single one more, of the same
// limit; one in use is never given up. The default is 100 000.
func MaxKeys(n int) Option {
	return option{"MaxKeys", fmt.Sprintf("MaxKeys(%d)", n), func(c *config) error {
		if n < 1 || n > 1<<30 {
			return errors.New("keep at least 1 and at most 1<<30")
		}
		c.maxKeys = n
		return nil
	}}
}

// WithoutPrincipalRate removes the default limit per principal and tool: a
// principal may call as often as it likes, within PerTool and PerServer where they
// are given.
func WithoutPrincipalRate() Option {
	return option{"WithoutPrincipalRate", "WithoutPrincipalRate()", func(c *config) error {
		c.unlimited = true
		return nil
	}}
}

// WithoutInFlight removes the limits of calls in flight per principal and in all. Those
// of [InFlightPerTool], if it is given, and [Listeners] stay.
func WithoutInFlight() Option {
	return option{"InFlight", "WithoutInFlight()", func(c *config) error {
		c.calls.perPrincipal, c.calls.total = math.MaxInt, math.MaxInt
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
