package ratelimit

import (
	"errors"
	"fmt"
	"time"
)

// config is what the options of New add up to.
type config struct {
	rates     [scopes]*limit
	unlimited bool // no limit on principals
	calls     slots
	listeners slots
	trip      *Trip // nil without breaker
	maxKeys   int
	clock     func() time.Time

	given map[string]fmt.Stringer
}

func newConfig() *config {
	return &config{
		calls:     slots{DefaultInFlight, DefaultInFlightTotal},
		listeners: slots{DefaultListeners, DefaultListenersTotal},
		trip:      &Trip{},
		maxKeys:   DefaultMaxKeys,
		clock:     time.Now,
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
	for _, s := range [...]scope{perPrincipal, perPrincipalAndTool} {
		if l := c.rates[s]; l != nil && c.unlimited {
			faults = append(faults, fmt.Errorf("%s contradicts WithoutPrincipalRate(): keep one of them", l.name))
		}
	}
	return errors.Join(faults...)
}

// once refuses a second option of a kind.
func (c *config) once(kind string, o fmt.Stringer) error {
	if before, taken := c.given[kind]; taken {
		return fmt.Errorf("%v was given after %v: keep one of them", o, before)
	}
	c.given[kind] = o
	return nil
}

// limits returns the rates in force. The default stands until a limit is given
// that bounds each principal in all it does; PerTool alone bounds none.
func (c *config) limits() (all []limit) {
	if c.rates[perPrincipal] == nil && c.rates[perPrincipalAndTool] == nil && !c.unlimited {
		l, _ := PerPrincipalAndTool(DefaultCalls, DefaultPer).Burst(DefaultBurst).limit() // constants cannot fail
		c.rates[perPrincipalAndTool] = &l
	}
	for _, l := range c.rates {
		if l != nil {
			all = append(all, *l)
		}
	}
	return all
}
