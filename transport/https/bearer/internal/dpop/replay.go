package dpop

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// Bounds of the memory of proofs, in proofs of one window: of all keys and of one.
const (
	maxProofs    = 1 << 18
	maxProofsPer = 1 << 16
)

// A replay remembers proofs for one window at least and two at most, in two generations.
// Only holders of a good token get this far; when one of them or all together send more
// than fits, further proofs are refused and none is forgotten.
type replay struct {
	window time.Duration

	mu       sync.Mutex
	began    time.Time // of the newer generation
	old, new generation
}

type generation struct {
	proofs map[[sha256.Size]byte]struct{}
	per    map[string]int // by key
}

func newGeneration() generation {
	return generation{make(map[[sha256.Size]byte]struct{}), make(map[string]int)}
}

func newReplay(window time.Duration) *replay {
	return &replay{window: window, old: newGeneration(), new: newGeneration()}
}

// add remembers a proof by the key and its id.
func (r *replay) add(now time.Time, key, id string) error {
	sum := sha256.Sum256([]byte(key + " " + id)) // a thumbprint has no spaces
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.began); age >= r.window {
		r.old, r.new = r.new, newGeneration()
		if age >= 2*r.window {
			r.old = newGeneration()
		}
		r.began = now
	}
	_, before := r.old.proofs[sum]
	_, again := r.new.proofs[sum]
	switch {
	case before || again:
		return errors.New("the proof was used before")
	case len(r.new.proofs) >= maxProofs || r.new.per[key] >= maxProofsPer:
		return ErrBusy
	}
	r.new.proofs[sum] = struct{}{}
	r.new.per[key]++
	return nil
}
