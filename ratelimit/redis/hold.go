package redis

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// A hold is what a call has reserved.
type hold struct {
	store    *Store
	keys     []string // of its record, and of the accounts
	reserved []ratelimit.Reservation
	slots    []int64 // in which it was booked
	expires  int64   // microseconds of the server's time

	mu      sync.Mutex
	done    bool
	outcome error   // once it is done
	waits   bool    // in the backlog
	actual  []int64 // while it waits
}

var _ ratelimit.Hold = (*hold)(nil)

// Settle replaces what was reserved by what was spent. Its errors are
// [ratelimit.ErrExpired] and those of Take. After one of those the store settles by
// itself when Redis answers again, unless the caller has succeeded before.
//
// The server keeps a record of the hold, and of whether it is settled, until the
// lease ends, so that an attempt whose answer was lost can be repeated. If the record
// is gone before, a failover or a restart has lost it, and the booking with it: what
// was spent is then booked anew.
func (h *hold) Settle(ctx context.Context, actual []int64) error {
	if len(actual) != len(h.reserved) {
		return fmt.Errorf("ratelimit/redis: settle: %d amounts for %d reservations", len(actual), len(h.reserved))
	}
	for i, n := range actual {
		if n < 0 || n > maxAmount {
			return fmt.Errorf("ratelimit/redis: settle: amount %d is %d: use 0 to %d millionths", i, n, int64(maxAmount))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done {
		return h.outcome
	}
	if err := h.settle(ctx, actual); err != nil {
		h.actual = slices.Clone(actual)
		h.waits = h.waits || h.store.backlog.add(h)
		return err
	}
	return h.outcome
}

// settle asks the server to settle, and sets done if it did or will not.
func (h *hold) settle(ctx context.Context, actual []int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := h.store
	return s.link.within(ctx, func(ctx context.Context) error {
		for range 2 {
			sent := s.clock.local()
			a, err := s.link.run(ctx, s.scripts.settle, h.keys, h.args(actual))
			if err != nil {
				return err
			}
			s.clock.learn(sent, a.time)
			switch a.verdict {
			case passed:
				h.done = true
				return nil
			case expired:
				h.done, h.outcome = true, ratelimit.ErrExpired
				return nil
			case untimely: // nothing was done
			default:
				return fmt.Errorf("%w: verdict %d", errFaulty, a.verdict)
			}
		}
		return errUntimely
	})
}

// args are those of settle.lua.
func (h *hold) args(actual []int64) []any {
	args := append(make([]any, 0, 16), h.expires)
	now := h.store.clock.server()
	for i := range h.reserved {
		r := &h.reserved[i]
		args = append(terms(args, r.Window, now, r.Limit), h.slots[i], r.Amount, actual[i])
	}
	return args
}
