package ratelimit

import (
	"context"
	"errors"
	"time"
)

// A Store keeps the buckets and budgets that several processes share, so that N
// replicas of a server hold one limit and not N. Without one, a Limiter keeps its
// own in the process. Give it to [New] with [Shared]; whoever made a store closes it.
//
// A Store is safe for concurrent use. It takes the time from one clock of its own
// and never from the callers', so that clocks that differ change nothing. It answers
// within a short time that it bounds itself, whatever the context allows. It never
// decides what to do when it cannot decide: it returns an error, and each limit's
// [Outage] says what that means.
type Store interface {
	// Take decides about one call in one atomic step. The buckets come first: it
	// takes one token from each, or from none and refuses. Then the reservations: it
	// books the amount of each, or of none and refuses; the tokens stay taken, since
	// a rate counts calls and not what becomes of them. A call whose buckets refuse
	// reserves nothing. After an error nothing is known: a token or an amount may
	// have been taken, but no more than once.
	//
	// ctx carries values only: it does not end when the caller cancels or goes away.
	//
	// The store keeps nothing of req after it has returned, except what it copies.
	Take(ctx context.Context, req *Request) (Verdict, error)
}

// A Request is what Take decides about. Limits are described in full, so that a
// store needs no configuration and a changed limit takes effect with the next call.
type Request struct {
	// ID identifies the reservations among those of all processes, for ever.
	ID           string
	Buckets      []Bucket
	Reservations []Reservation
	// Lease is how long the reservations can be settled. One that is not settled
	// within it has been spent, in full.
	Lease time.Duration
	// Overdraw books the reservations whatever their limits are: they were spent
	// before anybody asked.
	Overdraw bool
}

// A Bucket is one state of the generic cell rate algorithm: the theoretical arrival
// time (TAT), which is the past where there is none. A call conforms unless it
// comes earlier than TAT - (Burst-1)*Interval; if it does, the new TAT is
// max(TAT, now) + Interval. A store may round Interval up to what its clock can
// tell, never down.
type Bucket struct {
	// Key names the bucket among all of all limits. It may identify a person: a
	// store that leaves the process keeps a digest of it only.
	Key      string
	Interval time.Duration // at least 1
	Burst    int           // at least 1
}

// A Reservation is an amount to be booked on an account before it is spent.
//
// An account has, for each slot of its window, what was booked in it, and a debt:
// what was spent beyond the limit. A reservation passes if what the window holds,
// the debt and the amount together are no more than the limit; it is booked in the
// present slot. When time moves on to another slot,
//
//   - slots that have left the window are dropped;
//   - if that was g slots after the last one booked, and the window has s, the debt
//     shrinks by limit*(g/s - 1), for the windows that passed unused, if g/s > 1;
//   - what there is room for then moves from the debt to the present slot, as if it
//     were spent now.
//
// So debt is never forgiven: each window works off one limit's worth of it.
type Reservation struct {
	Key    string // as in Bucket; the unit and the length of the window are part of it
	Window Window
	Limit  int64 // in millionths of the budget's unit, at least 1
	Amount int64 // in the same, at least 0
}

// A Verdict is the answer to a Request. The zero value is none, and counts as an
// error.
type Verdict struct {
	// OK lets the call pass: every bucket and every reservation agreed.
	OK          bool
	Bucket      Refusal // of the buckets
	Reservation Refusal // of the reservations; zero if the buckets refused
	// Hold is what the reservations made; nil if there were none or they were refused.
	Hold Hold
	// Spent is, for each reservation, what its account holds after this decision:
	// window and debt, this call included if it passes. Nil if the buckets refused.
	Spent []int64
}

// A Refusal says which of several limits said no. Its zero value is no refusal.
type Refusal struct {
	// Wait is how long until that limit would let the call pass if nothing else
	// came; more than 0 in a refusal. Of several limits it is the longest.
	Wait time.Duration
	// Index is the position of that limit in the Request.
	Index int
}

// Refused reports whether it is a refusal.
func (r Refusal) Refused() bool { return r.Wait > 0 }

// of reports whether the refusal is of one of n limits.
func (r Refusal) of(n int) bool { return r.Index >= 0 && r.Index < n }

// A Hold is what a call has reserved. It is safe for concurrent use.
type Hold interface {
	// Settle replaces what was reserved by what was spent: actual has one amount for
	// each reservation, in their order, at least 0. What was reserved in excess goes
	// back to the slot it came from, if that is still in the window; what was
	// overrun is booked now: in the present slot what there is room for, the rest as
	// debt.
	//
	// Settle takes effect once, whoever repeats it. When the lease has run out it
	// changes nothing and returns ErrExpired. After any other error the caller may
	// try again; if nobody does, the reservation has been spent.
	Settle(ctx context.Context, actual []int64) error
}

// ErrExpired is returned by Settle when the lease of the reservation has run out
// and it counts as spent.
var ErrExpired = errors.New("ratelimit: the reservation has expired and counts as spent")
