package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// A Rate is an [Option] that limits how often calls are made. Its zero value is no
// limit that New accepts. Several rates are decided about in one step: what one of
// them refuses takes nothing from another. The same dimension may have two of
// different lengths, such as 10 a second and 1000 an hour.
//
// It is the generic cell rate algorithm (ITU-T I.371, annex A): n calls each per
// on average, evenly refilled and not window by window, and up to a burst of them
// at once. Over any stretch of time t it lets at most burst + t·n/per calls pass.
type Rate struct {
	dimension

	n      int
	per    time.Duration
	burst  *int
	outage Outage
}

func perScope(s scope, n int, per time.Duration) Rate {
	return Rate{dimension: dimension{scope: s}, n: n, per: per}
}

// PerPrincipal limits all that one principal does. What the server asks the client
// on the principal's behalf is held to the same rate, but does not use it up. It
// replaces the default limit per principal and tool.
func PerPrincipal(n int, per time.Duration) Rate { return perScope(perPrincipal, n, per) }

// PerTool limits the calls of one tool by all principals together, for a tool that
// is costly whoever calls it. Since one principal can use it up, it stands beside
// the limits of principals and replaces none of them.
func PerTool(n int, per time.Duration) Rate { return perScope(perTool, n, per) }

// PerPrincipalAndTool limits the calls of each tool by each principal. Methods
// other than tools/call are limited as if each were a tool. It replaces the
// default, which is of this kind.
func PerPrincipalAndTool(n int, per time.Duration) Rate {
	return perScope(perPrincipalAndTool, n, per)
}

// PerTenant limits all that the principals of one tenant of one issuer do. Those of
// an issuer that have no tenant are one. It stands beside the limits of principals.
func PerTenant(n int, per time.Duration) Rate { return perScope(perTenant, n, per) }

// PerServer limits all calls together. It stands beside the limits of principals.
func PerServer(n int, per time.Duration) Rate { return perScope(perServer, n, per) }

// PerKey limits the calls that have the same value of an expression. It stands
// beside the limits of principals.
func PerKey(k Key, n int, per time.Duration) Rate {
	return Rate{dimension: dimension{scope: perKey, by: k}, n: n, per: per}
}

// Burst returns the rate with another burst: how many calls may come at once after
// a pause. Without it the burst is n, so that a pause followed by n calls passes,
// and 2n calls pass in the busiest stretch of length per.
func (r Rate) Burst(calls int) Rate {
	r.burst = &calls
	return r
}

// Of makes the rate one for calls of the named tools only.
func (r Rate) Of(tools ...string) Rate {
	r.tools = append([]string{}, tools...) // never nil, which means all
	return r
}

// OnOutage sets what the rate means while a shared store does not answer.
func (r Rate) OnOutage(o Outage) Rate {
	r.outage = o
	return r
}

// String writes the rate as the call that makes it.
func (r Rate) String() string {
	s := fmt.Sprintf("%s(%d, %v)", scopeNames[r.scope], r.n, r.per)
	if r.scope == perKey {
		s = fmt.Sprintf("PerKey(%s, %d, %v)", r.by.name, r.n, r.per)
	}
	if r.burst != nil {
		s += fmt.Sprintf(".Burst(%d)", *r.burst)
	}
	if r.tools != nil {
		s += fmt.Sprintf(".Of(%q)", r.tools)
	}
	return s
}

// boundsPrincipals reports whether the rate bounds each principal in all it does.
func (r Rate) boundsPrincipals() bool {
	return r.tools == nil && (r.scope == perPrincipal || r.scope == perPrincipalAndTool)
}

func (r Rate) apply(c *config) error {
	if err := c.once(r.dimension.String()+" "+r.per.String(), r); err != nil {
		return err
	}
	_, err := r.limit()
	if err == nil {
		c.rates = append(c.rates, r)
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
	if err := errors.Join(r.check(), r.outage.check()); err != nil {
		return limit{}, fmt.Errorf("%v: %w", r, err)
	}
	// Rounding up never lets more pass than n in per.
	interval := (int64(r.per)-1)/int64(r.n) + 1
	if int64(burst) > math.MaxInt64/4/interval {
		return limit{}, fmt.Errorf("%v: the burst would take longer than 70 years to refill: use a smaller one", r)
	}
	l := limit{
		dimension: r.dimension, interval: interval, burst: burst, tolerance: (int64(burst) - 1) * interval,
		text: fmt.Sprintf("at most %d in %v %s", r.n, r.per, r.text()), name: r.String(), outage: r.outage,
		prefix: "rate/" + r.dimension.String() + "/" + r.per.String(),
	}
	if r.outage.kind == share {
		err := l.split(r.outage.replicas)
		return l, err
	}
	return l, nil
}

// split makes the limit that one of several processes holds by itself.
func (l *limit) split(replicas int) error {
	own := *l
	own.burst = max(1, l.burst/replicas)
	if int64(replicas) > math.MaxInt64/4/l.interval/int64(own.burst) {
		return fmt.Errorf("%s: a share for %d replicas is too small", l.name, replicas)
	}
	own.interval *= int64(replicas)
	own.tolerance = (int64(own.burst) - 1) * own.interval
	own.text += fmt.Sprintf(", divided by %d", replicas)
	l.own = &own
	return nil
}
