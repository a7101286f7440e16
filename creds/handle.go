package creds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Handle is the right of one run of one tool to its credentials. It is found in
// the handler's context with [From], is safe for concurrent use, and is closed when
// the handler returns. Nothing is issued before it is asked for.
type Handle struct {
	in     *Injector
	call   *mcpsec.Call
	parent context.Context //nolint:containedctx // a handle lives exactly as long as the call
	bound  map[string]*source

	mu     sync.Mutex
	closed bool
	over   chan struct{} // made for who waits; closed with the handle
	asks   *ask
	loans  *loan

	// Memory for most calls, which ask for one credential.
	firstAsk  ask
	firstLoan loan
}

// An ask is a name that the handler has asked for.
type ask struct {
	key   entryKey
	entry *entry // where the cache has it, or nil
	loan  *loan  // the last one, or nil
	next  *ask
}

// Get returns the named credential. It comes from the cache if the provider is a
// [Planner], and else is issued when the call first asks for it, and again when it has
// expired. Get waits no longer than ctx, the call and [IssueTimeout] allow. Ask again
// for every use: a long call then never works with what has expired.
//
// Every error is a [*mcpsec.Denial] that a handler can return as it is: with code
// creds.not_bound if the tool has no credential of that name, whether or not
// another tool has; creds.closed after the handler has returned; creds.unavailable
// if the provider fails, and then RetryAfter says when it is asked again if that is
// not at once; or what the provider's Plan says of bad arguments. Credentials cannot be had without the provider's consent: none of
// these errors lets a call pass under [mcpsec.FailOpen].
func (h *Handle) Get(ctx context.Context, name string) (Material, error) {
	if h == nil || h.in == nil {
		return Material{}, refuse(codeNoHandle, "no credentials here")
	}
	var waited bool
	var fault error
	for range 3 { // a second time if what was issued is refused by the service meanwhile
		m, f, err := h.take(name, waited, fault) //nolint:contextcheck // who waits for a flight does not own it
		if f == nil {
			return m, err
		}
		waited, fault = true, h.wait(ctx, f)
	}
	return Material{}, unavailable(name, errLanded)
}

// take lends the call what there is, or returns the flight to wait for. Once the call
// has waited, it is content with less, and with the error that this ended with.
func (h *Handle) take(name string, waited bool, fault error) (Material, *flight, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, err := h.ask(name)
	if err != nil {
		return Material{}, nil, err
	}
	c := h.in.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return Material{}, nil, errClosed()
	}
	if fixed := a.key.source.fixed; fixed != nil {
		return h.lend(a, fixed), nil, nil
	}
	now := c.clock()
	if err := c.visit(a, now); err != nil {
		return Material{}, nil, unavailable(name, err)
	}
	e, state := a.entry, dead
	if e.current != nil && !e.current.m.Secret.Empty() { // nobody closed it behind our back
		state = e.current.life.phase(now)
	}
	switch {
	case state == soft:
		_, _ = c.launch(e, h, now, true) // if it cannot be asked now, then later
	case state == hard && !waited, state == dead && fault == nil:
		f, err := c.launch(e, h, now, false)
		if err == nil {
			return Material{}, f, nil
		}
		if state == dead {
			return Material{}, nil, unavailable(name, err)
		}
	case state == dead:
		return Material{}, nil, unavailable(name, fault)
	}
	return h.lend(a, e.current), nil, nil
}

// ask returns what the call knows of a name. The handle is locked, but not while the
// provider plans: it must not be able to hang the end of the call.
func (h *Handle) ask(name string) (*ask, error) {
	if a, err := h.asked(name); a != nil || err != nil {
		return a, err
	}
	key := entryKey{source: h.bound[name]}
	if key.source.planner != nil && key.source.fixed == nil {
		plan, err := h.plan(key.source)
		if err != nil {
			if d, ok := errors.AsType[*mcpsec.Denial](err); ok && d.Kind == mcpsec.BadArguments && !d.Failure {
				return nil, d // the model can correct itself
			}
			return nil, unavailable(name, err)
		}
		if a, err := h.asked(name); a != nil || err != nil {
			return a, err
		}
		key.plan = plan
	}
	a := &h.firstAsk
	if h.asks != nil {
		a = &ask{}
	}
	a.key, a.next = key, h.asks
	h.asks = a
	return a, nil
}

// plan plans without the lock, whatever the provider does.
func (h *Handle) plan(s *source) (string, error) {
	h.mu.Unlock()
	defer h.mu.Lock()
	return s.plan(h.request())
}

// asked returns nothing if the name can be asked for and has not been.
func (h *Handle) asked(name string) (*ask, error) {
	if h.closed || h.in.closed.Load() {
		return nil, errClosed()
	}
	for a := h.asks; a != nil; a = a.next {
		if a.key.source.spec.name == name {
			return a, nil
		}
	}
	if h.bound[name] == nil {
		d := refuse(codeNotBound, "this tool has no such credential")
		d.Detail = describeName(h.call.Tool, name)
		return nil, d
	}
	return nil, nil
}

// lend gives the call its view of a credential, and tells the record once. The cache
// is locked.
func (h *Handle) lend(a *ask, is *issued) Material {
	l := a.loan
	if l == nil || l.is != is || l.over.Load() {
		again := l != nil && l.is == is
		l = &h.firstLoan
		if l.is != nil { // a view that was closed stays so
			l = &loan{}
		}
		is.loans++
		h.settle()
		l.is, l.public, l.of, l.ask, l.next = is, maps.Clone(is.m.Public), h, a, h.loans
		h.loans, a.loan = l, l
		if !again {
			h.record(is)
		}
	}
	return l.view()
}

// settle takes back what the handler has closed. The cache is locked.
func (h *Handle) settle() {
	for at := &h.loans; *at != nil; {
		l := *at
		if !l.over.Load() {
			at = &l.next
			continue
		}
		*at = l.next
		h.in.cache.release(l.is, 1)
	}
}

// record tells the audit record which credential the call was given.
func (h *Handle) record(is *issued) {
	h.call.Note(is.src.note, is.note)
	if !is.src.plain {
		h.call.Issued(is.credential(h.call.ID))
	}
}

// request says for whom a credential is.
func (h *Handle) request() Request {
	r := Request{CallID: h.call.ID, Principal: h.call.Principal, Arguments: h.call.Arguments, Subject: h.subject()}
	if t := h.call.Tool; t != nil {
		r.Tool, r.ToolDigest = t.Name, t.Digest
	}
	return r
}

// wait waits for a flight as long as the caller and the call may take.
func (h *Handle) wait(ctx context.Context, f *flight) error {
	h.mu.Lock()
	if h.over == nil && !h.closed {
		h.over = make(chan struct{})
	}
	over := h.over
	h.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-over:
		return nil // the next look says so
	case <-ctx.Done():
		return ctx.Err()
	case <-h.parent.Done():
		return h.parent.Err()
	}
}

// close ends the handle: what is being issued for this call alone is cancelled, and
// the call's view of what was issued ends.
func (h *Handle) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.over != nil {
		close(h.over)
	}
	if h.asks == nil {
		return
	}
	c := h.in.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := h.loans; l != nil; l = l.next {
		l.over.Store(true)
		c.release(l.is, 1)
	}
	for a := h.asks; a != nil; a = a.next {
		if a.entry != nil && a.entry.private {
			c.drop(a.entry)
		}
	}
	h.asks, h.loans = nil, nil
}

func errClosed() *mcpsec.Denial { return refuse(codeClosed, "the call is over") }

// unavailable makes the refusal for a credential that cannot be had.
func unavailable(name string, err error) *mcpsec.Denial {
	d := refuse(codeUnavailable, "the credential cannot be had at the moment")
	if p, ok := errors.AsType[*pause](err); ok {
		d.RetryAfter = p.wait
	}
	return d.Because(fmt.Errorf("credential %q: %w", name, err))
}
