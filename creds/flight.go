package creds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// IssueTimeout bounds how long a provider may take.
const IssueTimeout = 5 * time.Second

// A flight is a credential on its way. Those who wait for it cannot cancel it for
// each other, and none of them is bound to the first one's deadline.
type flight struct {
	done    chan struct{} // closed when the flight is over
	cancel  context.CancelFunc
	asked   atomic.Bool // the provider has been
	settled bool
	err     error // once done is closed

	background bool // begun while there was another to use
}

var (
	errNoAnswer = errors.New("the provider ended without an answer")
	errPlan     = errors.New("the provider plans something else than before: the arguments were changed during the call")
	errNothing  = errors.New("the provider issued nothing")
	errBusy     = fmt.Errorf("%d requests to the provider are under way and none ends: %w", maxAsked, ErrOutage)
	errLanded   = errors.New("the credential is no longer needed")
)

// A pause is why a provider is not asked now.
type pause struct {
	wait time.Duration
	err  error
}

func (p *pause) Error() string {
	return fmt.Sprintf("asked again in %v, because: %v", p.wait.Round(time.Millisecond), p.err)
}
func (p *pause) Unwrap() error { return p.err }

// launch asks the provider for the entry, unless that is under way or it is to be
// left alone. The cache is locked.
func (c *cache) launch(e *entry, h *Handle, now instant, background bool) (*flight, error) {
	if e.flight != nil {
		return e.flight, nil
	}
	if left := reportEvery - (now.mono - e.refusedAt); e.barred && left > 0 {
		return nil, &pause{left, errRefused}
	}
	parent, req := h.parent, h.request()
	if !e.private {
		if e.failures > 0 && now.mono < e.retryAt {
			return nil, &pause{e.retryAt - now.mono, e.fault}
		}
		service := e.key.source.service
		if service.flying >= maxFlying {
			return nil, errFull
		}
		if wait := service.admit(now); wait > 0 {
			return nil, &pause{wait, fmt.Errorf("the provider failed %d times in a row: %w", service.failed, service.fault)}
		}
		parent = c.flights
		// The call may be over before the flight.
		req.Arguments = bytes.Clone(req.Arguments)
		req.Subject = own(req.Subject.Reveal())
	} else {
		parent = unhandled{parent}
	}
	ctx, cancel := context.WithTimeout(parent, IssueTimeout)
	f := &flight{done: make(chan struct{}), cancel: cancel, background: background}
	e.flight = f
	c.active++
	if !e.private {
		e.key.source.service.flying++
	}
	go c.fly(ctx, e, f, req)
	return f, nil
}

// unhandled hides the handle from the provider that works for it.
type unhandled struct {
	context.Context //nolint:containedctx // it is one
}

func (u unhandled) Value(key any) any {
	if key == (handleKey{}) || key == (subjectKey{}) {
		return nil
	}
	return u.Context.Value(key)
}

// fly asks the provider. The flight is over at its deadline even if the provider,
// which should return then, does not.
func (c *cache) fly(ctx context.Context, e *entry, f *flight, req Request) {
	defer c.rest()
	defer f.cancel()
	src := e.key.source
	overdue := func() { c.settle(e, f, req, answer{err: f.overdue(ctx)}) }
	stop := context.AfterFunc(ctx, overdue)
	defer stop()
	defer context.AfterFunc(c.flights, f.cancel)() //nolint:contextcheck // the injector ends its calls, too
	if !e.private {
		defer req.Subject.Close()
	}
	select {
	case src.service.seats <- struct{}{}:
	case <-ctx.Done():
		overdue() // stop may be quicker
		return
	}
	defer func() { <-src.service.seats }()
	if ctx.Err() != nil {
		overdue()
		return
	}
	f.asked.Store(true)
	a := answer{err: errNoAnswer} // if the provider ends the goroutine
	defer func() { c.settle(e, f, req, a) }()
	a = c.ask(ctx, e, req)
}

// overdue says why the flight was over before the provider.
func (f *flight) overdue(ctx context.Context) error {
	if !f.asked.Load() {
		return errBusy
	}
	return ctx.Err()
}

// An answer is what a provider returned.
type answer struct {
	m       Material
	renewed *issued // what lives longer now, or nil
	err     error
}

// ask renews what the entry has, or has a new one issued.
func (c *cache) ask(ctx context.Context, e *entry, req Request) answer {
	src := e.key.source
	if is, m := c.renewable(e); is != nil {
		longer, ok := c.renew(ctx, src, m)
		m.wipe()
		if ok {
			return answer{m: longer, renewed: is}
		}
	}
	if src.planner != nil { // the handler has the same arguments, and may have written to them
		if plan, err := src.plan(req); err != nil || plan != e.key.plan {
			return answer{err: errors.Join(errPlan, err)}
		}
	}
	m, err := src.issue(ctx, req)
	return answer{m: m, err: err}
}

// renewable returns a copy of the entry's credential if it can live longer.
func (c *cache) renewable(e *entry) (*issued, Material) {
	if e.key.source.renewer == nil {
		return nil, Material{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.current == nil || e.current.life.phase(c.clock()) == dead {
		return nil, Material{}
	}
	return e.current, e.current.m.clone()
}

func (s *source) issue(ctx context.Context, req Request) (m Material, err error) {
	defer contain(&err, "the provider")
	return s.provider.Issue(ctx, s.spec, req)
}

// renew reports whether the provider made m live longer, and returns it then.
func (c *cache) renew(ctx context.Context, src *source, m Material) (Material, bool) {
	longer, err := src.renew(ctx, m)
	is := longer.clone() // it may be the one it was given
	same := m.same(is)
	longer.wipe()
	if err == nil && same && gains(c.clock(), m, is) {
		return is, true
	}
	if err == nil && !same && !is.Secret.Empty() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.discard(src, is)
		return Material{}, false
	}
	is.wipe()
	return Material{}, false
}

// gains reports whether a renewal was worth it: near the longest life of a lease it is
// not, and would go on until calls get what is about to end.
func gains(now instant, was, is Material) bool {
	return was.Expires.IsZero() || is.Expires.IsZero() || is.Expires.Sub(was.Expires) >= was.Expires.Sub(now.wall)/2
}

// renew leaves time to issue another.
func (s *source) renew(ctx context.Context, m Material) (longer Material, err error) {
	defer contain(&err, "the provider")
	ctx, cancel := context.WithTimeout(ctx, IssueTimeout/2)
	defer cancel()
	return s.renewer.Renew(ctx, s.spec, m)
}
