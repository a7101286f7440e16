package redis

import (
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// An account is what a script has answered of one that refused.
type account struct {
	slot  int64 // the present one
	debt  int64
	slots []entry
}

type entry struct{ slot, amount int64 }

// passes reports whether a reservation would pass if the account were looked at
// next in a later slot.
func (a *account) passes(slot int64, r *ratelimit.Reservation) bool {
	n := int64(r.Window.Slots())
	var held int64
	for _, e := range a.slots {
		if e.slot > slot-n {
			held += e.amount
		}
	}
	debt := a.debt
	if idle := (slot-a.slot)/n - 1; idle > debt/r.Limit {
		debt = 0
	} else if idle > 0 {
		debt -= idle * r.Limit
	}
	return held <= r.Limit && debt <= r.Limit-held && r.Amount <= r.Limit-held-debt
}

// The slots that wait looks ahead at most. What would have to wait longer is told
// to come back then.
const (
	slotsAhead   = 64
	windowsAhead = 1024 // of the calendar
)

// wait returns how long it is until a reservation would pass if nothing else came,
// or 0 if it passes.
func (a *account) wait(now time.Time, r *ratelimit.Reservation) time.Duration {
	if a.passes(a.slot, r) {
		return 0
	}
	ahead := slotsAhead
	if r.Window.Slots() == 1 {
		ahead = windowsAhead
	}
	at := r.Window.Slot(now)
	for range ahead {
		at = r.Window.Slot(at.End)
		// An amount above the limit never passes: it is told to ask again in a while.
		if r.Amount > r.Limit || at.Index > a.slot && a.passes(at.Index, r) {
			break
		}
	}
	return at.Start.Sub(now)
}
