package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// config is what the options of New add up to.
type config struct {
	rates     []Rate
	unlimited bool // no limit on principals
	calls     slots
	listeners slots
	line      queueing
	trip      *Trip // nil without breaker
	upstreams []upstream
	ceilings  []Ceiling
	tariffs   []Tariff
	surge     int
	loop      *Loop
	store     Store
	dir       string
	maxKeys   int
	clock     func() time.Time // nil means time.Now

	given map[string]fmt.Stringer
}

func newConfig() *config {
	return &config{
		calls:     slots{DefaultInFlight, 0, DefaultInFlightTotal},
		listeners: slots{DefaultListeners, DefaultListenersTotal, DefaultListenersTotal},
		trip:      &Trip{},
		maxKeys:   DefaultMaxKeys,
		given:     make(map[string]fmt.Stringer),
	}
}

// read applies the options and returns all their faults.
func (c *config) read(opts []Option) error {
	var faults []error
	for i, o := range opts {
		if o == nil {
			faults = append(faults, fmt.Errorf("option %d is nil: leave it out", i+1))
			continue
		}
		faults = append(faults, o.apply(c))
	}
	for _, r := range c.rates {
		if c.unlimited && r.boundsPrincipals() {
			faults = append(faults, fmt.Errorf("%v contradicts WithoutPrincipalRate(): keep one of them", r))
		}
	}
	if len(c.rates)+1 > maxLimits {
		faults = append(faults, fmt.Errorf("%d rates: give at most %d", len(c.rates), maxLimits-1))
	}
	if len(c.ceilings) > maxReservations {
		faults = append(faults, fmt.Errorf("%d budgets: give at most %d", len(c.ceilings), maxReservations))
	}
	if c.line.total > 0 && c.calls.total == math.MaxInt && c.calls.perTool == 0 {
		faults = append(faults, errors.New("Queue does nothing with WithoutInFlight: add InFlightPerTool, or leave one of them out"))
	}
	faults = append(faults, c.checkUnits(), c.checkUpstreams())
	return errors.Join(faults...)
}

// checkUnits refuses a budget that nothing is booked on, and a price that nothing
// limits: each looks like protection and is none.
func (c *config) checkUnits() error {
	budgeted, priced := make(map[string]bool), make(map[string]bool)
	var faults []error
	for _, one := range c.ceilings {
		budgeted[one.limit.Unit] = true
	}
	for _, t := range c.tariffs {
		priced[t.fixed.Unit] = true
		if !budgeted[t.fixed.Unit] {
			faults = append(faults, fmt.Errorf("%v is in %s, and no budget is: add one", t, t.fixed.Unit))
		}
	}
	for _, one := range c.ceilings {
		if !priced[one.limit.Unit] {
			faults = append(faults, fmt.Errorf("%v is in %s, and nothing has a price in it: add Price(AnyTool, ...)", one, one.limit.Unit))
		}
	}
	if c.surge > 0 && len(c.ceilings) == 0 {
		faults = append(faults, errors.New("SpendSurge watches what is spent: add a budget and prices"))
	}
	return errors.Join(faults...)
}

func (c *config) checkUpstreams() error {
	if len(c.upstreams) > 0 && c.trip == nil {
		return errors.New("Upstream needs a breaker: leave WithoutBreaker out")
	}
	of := make(map[string]string)
	for _, u := range c.upstreams {
		for _, tool := range u.tools {
			if before, taken := of[tool]; taken {
				return fmt.Errorf("Upstream(%q): tool %q belongs to upstream %q already", u.name, tool, before)
			}
			of[tool] = u.name
		}
	}
	return nil
}

// once refuses a second option of a kind.
func (c *config) once(kind string, o fmt.Stringer) error {
	if before, taken := c.given[kind]; taken {
		return fmt.Errorf("%v was given after %v: keep one of them", o, before)
	}
	c.given[kind] = o
	return nil
}

// stopwatch returns the time since now. That of the system is read on the monotonic
// clock alone, which takes half as long as time.Now.
func (c *config) stopwatch() func() time.Duration {
	if c.clock == nil {
		start := time.Now()
		return func() time.Duration { return time.Since(start) }
	}
	start := c.clock()
	return func() time.Duration { return c.clock().Sub(start) }
}

// limits returns the rates in force. The default stands until a limit is given
// that bounds each principal in all it does; PerTool alone bounds none.
func (c *config) limits() []limit {
	var all []limit
	bounded := c.unlimited
	for _, r := range c.rates {
		l, _ := r.limit() // checked by apply
		all = append(all, l)
		bounded = bounded || r.boundsPrincipals()
	}
	if !bounded {
		l, _ := PerPrincipalAndTool(DefaultCalls, DefaultPer).Burst(DefaultBurst).limit() // constants cannot fail
		all = append(all, l)
	}
	return all
}
