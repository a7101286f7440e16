package ratelimit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultWarn is the share of a budget, in per cent, from which on calls are warned.
const DefaultWarn = 80

// A Ceiling is an [Option]: an amount that calls may cost in a window of time. Make
// one with [Budget]; the zero value is refused by New. Several ceilings are decided
// about in one step, and what one of them refuses takes nothing from another.
//
// What a call may cost at most is reserved before it runs, see [Tariff], and
// settled when it has ended. What it cost more than was reserved becomes debt, which
// later calls wait for: it is never forgiven, not at the end of a window either.
type Ceiling struct {
	dimension

	limit   Amount
	window  Window
	perCall bool
	warn    int
	outage  Outage
	text    string
	fault   error
}

// Budget limits what calls cost: an amount, a slash and a window.
//
//	"$5/day"  "$100/month"  "20000 tokens/hour"   by the calendar, in UTC
//	"$5/24h"                                      in any 24 hours, see Sliding
//	"$0.10/call"                                  for each call
//
// It is for all calls of the server together; PerPrincipal and the other methods
// change that. Costs come from prices: see [Price].
func Budget(text string) Ceiling {
	c := Ceiling{dimension: dimension{scope: perServer}, warn: DefaultWarn, text: text}
	amount, window, ok := strings.Cut(text, "/")
	if !ok {
		c.fault = errors.New(`write an amount, a slash and a window, such as "$5/day"`)
		return c
	}
	if c.limit, c.fault = ParseAmount(amount); c.fault != nil {
		return c
	}
	switch window {
	case "hour":
		c.window = Hourly()
	case "day":
		c.window = Daily()
	case "month":
		c.window = Monthly()
	case "call":
		c.perCall = true
	default:
		length, err := time.ParseDuration(window)
		if err != nil {
			c.fault = fmt.Errorf("%.40q is no window: use hour, day, month, call, or a length such as 24h", window)
		}
		c.window = Sliding(length)
	}
	return c
}

// PerPrincipal gives each principal a budget of its own.
func (c Ceiling) PerPrincipal() Ceiling { return c.per(perPrincipal) }

// PerTool gives each tool a budget of its own, for all principals together.
func (c Ceiling) PerTool() Ceiling { return c.per(perTool) }

// PerPrincipalAndTool gives each principal a budget for each tool.
func (c Ceiling) PerPrincipalAndTool() Ceiling { return c.per(perPrincipalAndTool) }

// PerTenant gives each tenant of each issuer a budget. All principals of an issuer
// that have no tenant are one.
func (c Ceiling) PerTenant() Ceiling { return c.per(perTenant) }

// PerKey gives each value of the key a budget.
func (c Ceiling) PerKey(k Key) Ceiling {
	c.by = k
	return c.per(perKey)
}

func (c Ceiling) per(s scope) Ceiling {
	c.scope = s
	return c
}

// Of makes the budget one for the named tools only.
func (c Ceiling) Of(tools ...string) Ceiling {
	c.tools = append([]string{}, tools...) // never nil, which means all
	return c
}

// In counts the window by the calendar of a place instead of UTC.
func (c Ceiling) In(zone *time.Location) Ceiling {
	c.window = c.window.In(zone)
	return c
}

// Warn sets the share of the budget, in per cent, from which on calls are warned:
// in the audit record always, and in the _meta of results (io.github.mcpsec/budget)
// if the budget is the caller's own. 0 never warns. The default is DefaultWarn.
func (c Ceiling) Warn(percent int) Ceiling {
	c.warn = percent
	return c
}

// OnOutage sets what the budget means while a shared store does not answer.
func (c Ceiling) OnOutage(o Outage) Ceiling {
	c.outage = o
	return c
}

// String names the budget as the caller wrote it.
func (c Ceiling) String() string {
	s := fmt.Sprintf("Budget(%q)", c.text)
	if c.scope != perServer {
		s += "." + c.dimension.String()
	}
	return s
}

func (c Ceiling) apply(cfg *config) error {
	if err := cfg.once("Budget "+c.limit.Unit+" "+c.window.String()+fmt.Sprint(c.perCall)+c.dimension.String(), c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return fmt.Errorf("%v: %w", c, err)
	}
	cfg.ceilings = append(cfg.ceilings, c)
	return nil
}

func (c Ceiling) check() error {
	switch {
	case c.fault != nil:
		return c.fault
	case c.limit.Micros < 1:
		return errors.New("the amount must be positive; to refuse all calls, do not add the tool")
	case c.perCall && c.scope != perServer:
		return errors.New("a budget for each call is the same for everybody: leave the rest out")
	case c.warn < 0 || c.warn > 100:
		return errors.New("warn from a share between 0 and 100 per cent on")
	}
	if !c.perCall {
		if err := c.window.check(); err != nil {
			return err
		}
	}
	return errors.Join(c.limit.check(), c.dimension.check(), c.outage.check())
}

// check refuses what could not be told apart or never applies.
func (d *dimension) check() error {
	switch {
	case d.scope == perKey && (d.by.of == nil || d.by.name == ""):
		return errors.New("make the key with By, with a name and a function")
	case len(d.by.name) > 64:
		return errors.New("the name of a key has at most 64 characters")
	case d.tools != nil && len(d.tools) == 0:
		return errors.New("name at least one tool")
	case slices.Contains(d.tools, ""):
		return errors.New("a tool has a name")
	}
	return nil
}

// prefix is what keys of the budget begin with in a shared store. The amount is no
// part of it: when it changes, what was spent stays spent.
func (c Ceiling) prefix() string {
	return "budget/" + c.dimension.String() + "/" + c.limit.Unit + "/" + c.window.String()
}

// told says what the budget is if that is the caller's business: what others may spend
// together is not.
func (c Ceiling) told() string {
	if c.perCall || c.own() {
		return ": " + c.describe()
	}
	return ""
}

// own reports whether the budget is that of one principal.
func (c Ceiling) own() bool { return c.scope == perPrincipal || c.scope == perPrincipalAndTool }

// describe says in words what the budget is.
func (c Ceiling) describe() string {
	if c.perCall {
		return c.limit.String() + " for one call"
	}
	return fmt.Sprintf("%v per %v %s", c.limit, c.window, c.dimension.text())
}
