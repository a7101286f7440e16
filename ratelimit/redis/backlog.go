package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// maxBacklog bounds how many settlements wait. Those beyond stay spent as reserved.
const maxBacklog = 4096

// A backlog keeps holds whose settlement Redis did not take: what was overrun would
// otherwise be spent and never booked. They are settled after decisions that Redis
// makes again, one after each, and by Close.
type backlog struct {
	mu   sync.Mutex
	list []*hold
}

func (b *backlog) add(h *hold) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) >= maxBacklog {
		return false
	}
	b.list = append(b.list, h)
	return true
}

// next takes the hold that has waited longest; nil if there is none.
func (b *backlog) next() *hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) == 0 {
		b.list = nil
		return nil
	}
	h := b.list[0]
	b.list = b.list[1:]
	return h
}

func (b *backlog) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.list)
}

// late settles a hold that has waited. If its lease has run out meanwhile, what was
// overrun is booked by itself.
func (h *hold) late(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waits = false
	if h.done { // by whoever tried again
		return nil
	}
	err := h.settle(ctx, h.actual)
	if err != nil {
		h.waits = h.store.backlog.add(h)
		return err
	}
	if !errors.Is(h.outcome, ratelimit.ErrExpired) {
		return nil
	}
	// Overdrawn amounts leave no record that an ID would have to tell apart.
	req := &ratelimit.Request{ID: "late", Lease: time.Second, Overdraw: true}
	for i, r := range h.reserved {
		if over := h.actual[i] - r.Amount; over > 0 {
			r.Amount = over
			req.Reservations = append(req.Reservations, r)
		}
	}
	if len(req.Reservations) == 0 {
		return nil
	}
	_, err = h.store.ask(ctx, req, &plan{}) // once: to try again might book it twice
	return err
}

// settleAll settles what waits, until something fails.
func (s *Store) settleAll(ctx context.Context) error {
	for h := s.backlog.next(); h != nil; h = s.backlog.next() {
		if err := h.late(ctx); err != nil {
			return fmt.Errorf("%d settlements are lost: %w", max(1, s.backlog.size()), err)
		}
	}
	return nil
}
