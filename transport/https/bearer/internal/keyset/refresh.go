package keyset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/jose"
)

// A flight is a refresh under way; done is closed after the other fields are written.
type flight struct {
	done    chan struct{}
	changed bool
	faults  []error
	err     error
}

// force refreshes because of a token, if that is allowed now. If the keys are fresh, a
// refusal to refresh is no error: the key is unknown.
func (s *Set) force(ctx context.Context, fresh bool) error {
	s.mu.Lock()
	now := s.source.Now()
	f := s.flight
	switch {
	case f != nil:
		s.mu.Unlock()
	case !s.forced.IsZero() && now.Sub(s.forced) < Forced:
		s.mu.Unlock()
		if fresh {
			return ErrUnknown
		}
		return errors.New("the issuer's keys cannot be had")
	default:
		s.forced = now
		f = s.depart()
		s.mu.Unlock()
		// A client that leaves must not spoil the one refresh of this minute.
		s.fly(context.WithoutCancel(ctx), f)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if fresh {
		return nil
	}
	return f.err
}

// Refresh reads the keys again, and reports whether one of them is gone or new.
func (s *Set) Refresh(ctx context.Context) (changed bool, faults []error, err error) {
	s.mu.Lock()
	f := s.flight
	if f == nil {
		f = s.depart()
		s.mu.Unlock()
		s.fly(ctx, f)
	} else {
		s.mu.Unlock()
	}
	select {
	case <-f.done:
		return f.changed, f.faults, f.err
	case <-ctx.Done():
		return false, nil, ctx.Err()
	}
}

func (s *Set) depart() *flight {
	s.flight = &flight{done: make(chan struct{})}
	return s.flight
}

func (s *Set) fly(ctx context.Context, f *flight) {
	var keys []*jose.Key
	keys, f.faults, f.err = s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.state.Load()
	if old != nil && errors.Is(f.err, jose.ErrNoKeys) {
		// Every token ends, which is loud; a key that an issuer took back must not live on.
		f.faults, f.err = append(f.faults, f.err), nil
	}
	if f.err == nil {
		if old == nil {
			old = new(state)
		}
		next := &state{keys: wrap(old.keys, keys), at: s.source.Now()}
		f.changed = differ(old.keys, next.keys)
		s.state.Store(next)
	} else {
		s.meta = nil // it may be what is wrong
	}
	s.flight = nil
	close(f.done)
}

func differ(a, b []*Key) bool {
	if len(a) != len(b) {
		return true
	}
	have := make(map[*Key]bool, len(a))
	for _, k := range a {
		have[k] = true
	}
	for _, k := range b {
		if !have[k] {
			return true
		}
	}
	return false
}

func (s *Set) fetch(ctx context.Context) ([]*jose.Key, []error, error) {
	from := s.source.JWKS
	if from == "" {
		meta, err := s.Metadata(ctx)
		if err != nil {
			return nil, nil, err
		}
		from = meta.JWKS
	}
	data, err := s.source.Client.Get(ctx, from)
	if err != nil {
		return nil, nil, fmt.Errorf("keys: %w", err)
	}
	return jose.ParseSet(data)
}

// Watch refreshes until ctx ends: at once, then regularly, and sooner after a fault. It
// calls changed when a key is gone or new. Faults that stay the same are told once.
func (s *Set) Watch(ctx context.Context, changed func(), fault func(error)) {
	if s.source.Static != nil {
		return
	}
	var told string
	var failures int
	for {
		news, faults, err := s.Refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		if news {
			changed()
		}
		all := errors.Join(append(faults, err)...)
		switch {
		case all == nil:
			told = ""
		case all.Error() != told:
			told = all.Error()
			fault(fmt.Errorf("bearer: issuer %s: %w", s.source.Issuer, all))
		}
		wait := s.source.Refresh
		if err == nil {
			failures = 0
		} else {
			wait = min(wait, time.Second<<min(failures, 16))
			failures++
		}
		// Servers that started together need not ask together.
		wait -= rand.N(wait/10 + 1) //nolint:gosec // spreads load, decides nothing
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if err != nil {
			changed() // keys may have become too old by now
		}
	}
}
