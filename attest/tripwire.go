package attest

import (
	"sync/atomic"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A finding is a reason to refuse.
type finding struct {
	code     mcpsec.Code
	reason   string // for the caller
	detail   string // for the operator
	alarming bool   // never happens by accident
	rung     atomic.Bool
}

func (f *finding) deny() *mcpsec.Denial {
	d := f.code.Deny(f.reason)
	d.Detail = f.detail
	return d
}

// A tripwire trips once and stays tripped: whoever changed what it guards can do so again
// between two checks, so that undoing the change heals nothing. It is safe for concurrent
// use.
type tripwire struct{ found atomic.Pointer[finding] }

// tripped returns what was found first; nil if nothing was.
func (w *tripwire) tripped() *finding { return w.found.Load() }

// trip returns what was found first, which may be something else.
func (w *tripwire) trip(code mcpsec.Code, reason, detail string) *finding {
	w.found.CompareAndSwap(nil, &finding{code: code, reason: reason, detail: detail, alarming: true})
	return w.found.Load()
}
