package ratelimit

import (
	"context"
	"strings"
	"sync"
	"time"
)

// A ledger holds the accounts of one process. Like the buckets of rates, accounts
// that are the same as none are swept when there is no room; who finds none shares
// one account with others of the same budget.
type ledger struct {
	digests *digester
	clock   func() time.Time
	room    int

	mu       sync.Mutex
	accounts map[digest]*account
	shared   map[string]*account // by budget
	sweep    time.Time           // not before
}

func newLedger(maxKeys int, ds *digester, clock func() time.Time) *ledger {
	return &ledger{digests: ds, clock: clock, room: maxKeys, accounts: make(map[digest]*account), shared: make(map[string]*account)}
}

// take decides about reservations as [Store] describes it.
func (l *ledger) take(req *Request) (v Verdict) {
	if len(req.Reservations) == 0 {
		return Verdict{OK: true}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	h := &hold{in: l, lines: make([]line, len(req.Reservations)), expires: now.Add(req.Lease)}
	v.Spent = make([]int64, len(req.Reservations))
	l.makeRoom(now, len(req.Reservations))
	for i := range req.Reservations {
		r := &req.Reservations[i]
		a := l.account(r, now)
		a.roll(now, r.Limit)
		v.Spent[i] = a.level()
		h.lines[i] = line{*r, a, a.last}
		if a.fits(r.Amount) || req.Overdraw {
			continue
		}
		if wait := a.wait(now, r.Amount); wait > v.Reservation.Wait {
			v.Reservation = Refusal{wait, i}
		}
	}
	if v.Reservation.Refused() {
		return v
	}
	for i := range h.lines {
		r, a := &h.lines[i].Reservation, h.lines[i].in
		if req.Overdraw {
			a.book(r.Amount)
		} else {
			*a.at(a.last) += r.Amount
		}
		v.Spent[i] = a.level()
	}
	v.OK, v.Hold = true, h
	return v
}

// makeRoom sweeps accounts that are the same as none, before any is looked up: what
// was checked is what is booked.
func (l *ledger) makeRoom(now time.Time, n int) {
	if len(l.accounts)+n <= l.room || now.Before(l.sweep) {
		return
	}
	l.sweep = now.Add(time.Duration(sweepPause))
	for k, a := range l.accounts {
		if a.roll(now, a.limit); a.empty() {
			delete(l.accounts, k)
		}
	}
}

// account returns the account of a reservation, and makes it if there is none.
func (l *ledger) account(r *Reservation, now time.Time) *account {
	key := l.digests.of(ofKey, r.Key)
	if a := l.accounts[key]; a != nil {
		return a
	}
	if len(l.accounts) < l.room {
		a := newAccount(r.Window, now)
		a.window, a.limit = r.Window, r.Limit
		l.accounts[key] = a
		return a
	}
	budget, _, _ := strings.Cut(r.Key, `"`)
	if l.shared[budget] == nil {
		l.shared[budget] = newAccount(r.Window, now)
	}
	return l.shared[budget]
}

// A line is one reservation of a hold, and the account and slot it was booked in: by the
// time it is settled, another account may have its key.
type line struct {
	Reservation

	in   *account
	slot int64
}

// A hold is what one call has reserved in a ledger.
type hold struct {
	in      *ledger
	lines   []line
	expires time.Time
	settled bool
}

// Settle implements [Hold].
func (h *hold) Settle(_ context.Context, actual []int64) error {
	h.in.mu.Lock()
	defer h.in.mu.Unlock()
	now := h.in.clock()
	switch {
	case h.settled:
		return nil
	case now.After(h.expires):
		return ErrExpired
	case len(actual) != len(h.lines):
		return errLines
	}
	h.settled = true
	for i := range h.lines {
		n := &h.lines[i]
		if delta := max(0, actual[i]) - n.Amount; delta < 0 {
			n.in.roll(now, n.Limit)
			n.in.refund(n.slot, -delta)
		} else if delta > 0 {
			a := h.in.account(&n.Reservation, now)
			a.roll(now, n.Limit)
			a.book(delta)
		}
	}
	return nil
}
