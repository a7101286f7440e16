// Package keyset keeps the public keys of one issuer: it finds them, refreshes them in the
// background, and lets nobody who sends bad tokens decide how often.
package keyset

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/fetch"
	"github.com/mcpsec/mcpsec-go/transport/https/bearer/internal/jose"
)

// Forced is how often, at most, tokens with unknown keys cause a refresh. In between all ids
// that are not there count as unknown. To remember single ones for longer would let
// somebody who guesses the id of the next key keep it out.
const Forced = time.Minute

// ErrUnknown is returned for a key that the issuer does not have.
var ErrUnknown = errors.New("the issuer has no such key")

// A Source says where keys come from: Static, or JWKS, or the issuer's metadata.
type Source struct {
	Issuer string
	JWKS   string
	Static []byte
	Client *fetch.Client
	// Refresh is the time between refreshes in the background, and Stale how old keys may
	// become while refreshes fail.
	Refresh, Stale time.Duration
	Now            func() time.Time
}

// A Set has the keys of an issuer. It is safe for concurrent use.
type Set struct {
	source Source
	state  atomic.Pointer[state]

	mu     sync.Mutex
	flight *flight   // the refresh under way
	forced time.Time // when tokens last caused one
	meta   *Metadata
	read   time.Time // when meta was
}

type state struct {
	keys []*Key
	at   time.Time // zero for static keys, which do not age
}

// A Key is one of a set.
type Key struct {
	*jose.Key

	gone atomic.Bool
}

// New returns a set. Static keys are read now, others not before they are needed.
func New(s Source) (*Set, error) {
	set := &Set{source: s}
	if s.Static == nil {
		return set, nil
	}
	keys, faults, err := jose.ParseSet(s.Static)
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	set.state.Store(&state{keys: wrap(nil, keys)})
	return set, nil
}

// Find returns the key of an id for an algorithm; the id may be empty if only one key fits.
// ErrUnknown means that there is none, other errors that keys cannot be had.
func (s *Set) Find(ctx context.Context, id, alg string) (*Key, error) {
	st := s.state.Load()
	if k := st.find(id, alg); k != nil && s.fresh(st) == nil {
		return k, nil
	}
	if s.source.Static != nil {
		return nil, ErrUnknown
	}
	if err := s.force(ctx, s.fresh(st) == nil); err != nil {
		return nil, err
	}
	st = s.state.Load()
	if err := s.fresh(st); err != nil {
		return nil, err
	}
	if k := st.find(id, alg); k != nil {
		return k, nil
	}
	return nil, ErrUnknown
}

// Check returns why a key that was found is no longer good. It does no input or output.
func (s *Set) Check(k *Key) error {
	if k.gone.Load() {
		return errors.New("the issuer has withdrawn the key")
	}
	return s.fresh(s.state.Load())
}

func (s *Set) fresh(st *state) error {
	switch {
	case st == nil:
		return errors.New("the issuer's keys have not been read yet")
	case !st.at.IsZero() && s.source.Now().Sub(st.at) > s.source.Stale:
		return fmt.Errorf("the issuer's keys could not be refreshed for %v", s.source.Stale)
	}
	return nil
}

func (st *state) find(id, alg string) *Key {
	if st == nil {
		return nil
	}
	var found *Key
	for _, k := range st.keys {
		switch {
		case !k.Fits(alg) || id != "" && k.ID != id:
		case found == nil:
			found = k
		case found.Thumbprint != k.Thumbprint:
			return nil // a token that names no key, and several that could be meant
		}
	}
	return found
}

// wrap keeps the keys that did not change, and marks those that are gone.
func wrap(old []*Key, keys []*jose.Key) []*Key {
	kept := make([]*Key, 0, len(keys))
	used := make(map[*Key]bool, len(old))
next:
	for _, k := range keys {
		for _, have := range old {
			if have.ID == k.ID && have.Algorithm == k.Algorithm && have.Thumbprint == k.Thumbprint {
				kept = append(kept, have)
				used[have] = true
				continue next
			}
		}
		kept = append(kept, &Key{Key: k})
	}
	for _, have := range old {
		if !used[have] {
			have.gone.Store(true)
		}
	}
	return kept
}
