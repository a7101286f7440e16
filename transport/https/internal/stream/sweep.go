package stream

import "time"

// Sweep looks at everything that is open: it ends what may no longer be, kills what does
// not end, warns, and lets hearts beat. Sweeps do not overlap.
func (r *Registry) Sweep() {
	r.sweeps.Lock()
	defer r.sweeps.Unlock()
	now := r.now()
	r.mu.Lock()
	open := r.spare[:0]
	for e := range r.all {
		open = append(open, e)
	}
	r.mu.Unlock()
	for _, e := range open {
		r.look(e, now)
	}
	clear(open) // what has ended is not to be kept by this
	r.spare = open[:0]
}

func (r *Registry) look(e *Entry, now time.Time) {
	r.mu.Lock()
	holder, active, ended, cause, gone := e.holder, e.active, e.ended, e.cause, e.gone
	warn := e.kind == Stream && !e.warned && r.limits.Warn > 0 &&
		!holder.Expires.IsZero() && holder.Expires.Sub(now) <= r.limits.Warn
	r.mu.Unlock()
	switch {
	case gone:
	case cause != 0:
		if now.Sub(ended) >= r.limits.Kill {
			e.target.Kill()
		}
	default:
		if cause := r.judge(e.kind, holder, e.begun, active, now); cause != 0 {
			e.end(cause)
			return
		}
		if warn && e.target.Warn(holder.Expires) {
			r.mu.Lock()
			e.warned = e.warned || e.holder == holder
			r.mu.Unlock()
		}
		e.target.Beat(now)
	}
}

// judge returns why something may no longer be open; 0 if it may.
//
// A call is not ended because its token expires: who asks was judged when it began, and
// it is bounded by its own deadline. Nor is a session, which gives nobody any right: each
// request in it shows credentials of its own.
func (r *Registry) judge(kind Kind, h *Holder, begun, active, now time.Time) Cause {
	if h.still() != nil {
		return Invalid
	}
	switch {
	case kind == Stream && !h.Expires.IsZero() && !now.Before(h.Expires):
		return Expired
	case kind == Call:
		return 0
	case r.limits.Age > 0 && now.Sub(begun) >= r.limits.Age:
		return Aged
	case kind == Session && r.limits.Idle > 0 && now.Sub(active) >= r.limits.Idle:
		return Idle
	}
	return 0
}

// Renew says that a principal has shown credentials. What it has open goes on under them,
// provided that they came from the same address or the principal is known by a certificate
// as well: who opened a stream with a stolen token must not be kept alive by the victim's
// next one.
func (r *Registry) Renew(h *Holder) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[h.Key]
	if g == nil || len(g.entries) == 0 {
		return
	}
	if g.shown != nil && g.shown == h.Shown && g.from == h.Address && now.Sub(g.renewed) < time.Second {
		return // what many requests say at once is said once
	}
	g.renewed, g.shown, g.from = now, h.Shown, h.Address
	for e := range g.entries {
		switch {
		case h.Certified && e.holder.Certified:
			e.renew(h, true)
		case h.Address == e.holder.Address:
			e.renew(h, false)
		}
	}
}

// Renew says that the entry was used with credentials, of the same principal.
func (e *Entry) Renew(h *Holder) {
	now := e.registry.now()
	e.registry.mu.Lock()
	defer e.registry.mu.Unlock()
	e.active = now
	if h.Key == e.key {
		e.renew(h, true)
	}
}

// renew takes credentials that last at least as long as those it has. If it is certain that
// the same party shows them, it takes any that are better than ones that have ended early.
func (e *Entry) renew(h *Holder, certain bool) {
	switch {
	case e.cause != 0 || e.holder == h:
		return
	case h.outlasts(e.holder):
	case !certain || e.holder.still() == nil:
		return
	}
	e.warned = e.warned && !h.Expires.After(e.holder.Expires)
	e.holder = h
}
