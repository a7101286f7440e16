package creds

import (
	"errors"
	"fmt"
)

// Report tells the injector that a service refused a credential that Get returned, with
// an error that says that it is no longer valid: expired, revoked, unknown. A lack of rights is
// no such error. The credential is then given to nobody any more, and the next Get
// has another issued. A handler asks again once:
//
//	if expired(err) {
//		if err := handle.Report(m.Secret, err); err != nil {
//			return err
//		}
//		// Get and try again
//	}
//
// The error is a [*mcpsec.Denial] that the handler returns: creds.rejected if the
// service refused another one of the same plan within the last minute, or if the
// secret cannot be issued anew. In the first case nothing is issued under that plan
// until the minute is over, and Get is refused with creds.unavailable. It is creds.closed after the call; creds.not_bound for a
// Value that this call was not given. The cause reaches nobody but the record. If the
// credential was replaced in the meantime, nothing happens.
func (h *Handle) Report(refused Value, cause error) error {
	if h == nil || h.in == nil {
		return refuse(codeNoHandle, "no credentials here")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.in.closed.Load() {
		return errClosed()
	}
	l := refused.loan
	if l == nil || l.of != h {
		return refuse(codeNotBound, "this call has no such credential")
	}
	if !h.in.cache.refuse(l.ask.entry, l.is) {
		d := refuse(codeRejected, "the service does not accept the credential")
		if cause == nil {
			cause = errNoCause
		}
		return d.Because(fmt.Errorf("credential %q, %s: %w", l.is.src.spec.name, l.is.note, cause))
	}
	return nil
}

var (
	errNoCause = errors.New("reported without a cause")
	errRefused = errors.New("the service refused one credential after the other")
)

// refuse takes a credential out of use that the service refused, and reports whether
// another may be issued.
func (c *cache) refuse(e *entry, is *issued) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch now := c.clock(); {
	case e == nil:
		return false
	case e.current != is:
		return true
	default:
		e.barred = e.refused && now.mono-e.refusedAt < reportEvery
		if !e.barred {
			e.refused, e.refusedAt = true, now.mono
		}
		c.retire(e)
		return !e.barred
	}
}
