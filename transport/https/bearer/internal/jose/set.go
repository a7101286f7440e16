package jose

import (
	"errors"
	"fmt"

	"github.com/segmentio/encoding/json"
)

// ErrNoKeys is wrapped by the error about a set that is well-formed and holds no good key:
// the word of an issuer that has withdrawn the last one.
var ErrNoKeys = errors.New("set of keys: no key for signatures")

// maxKeys bounds a set of keys; issuers have two or three.
const maxKeys = 64

// ParseSet reads a set of keys (RFC 7517). Keys that are for something else are left out;
// each that is for signatures and not good is left out too and has its reason in faults. A
// set without one good key, and one that has two keys for one id, is an error.
func ParseSet(data []byte) (keys []*Key, faults []error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := Decode(data, &set); err != nil {
		return nil, nil, fmt.Errorf("set of keys: %w", err)
	}
	if set.Keys == nil {
		return nil, nil, errors.New("set of keys: no member keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("set of keys: %d keys, the limit is %d", len(set.Keys), maxKeys)
	}
	for i, raw := range set.Keys {
		k, err := ParseKey(raw)
		switch {
		case errors.Is(err, errOther):
			continue
		case err != nil:
			faults = append(faults, fmt.Errorf("set of keys: key %d is left out: %w", i, err))
			continue
		}
		for _, have := range keys {
			if have.ID == k.ID && overlap(have, k) {
				return nil, faults, fmt.Errorf("set of keys: key %d has the id of another", i)
			}
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, faults, errors.Join(append(faults, ErrNoKeys)...)
	}
	return keys, faults, nil
}

// overlap reports whether two keys could be meant by one header. Some issuers publish one
// RSA key once for each algorithm, under one id.
func overlap(a, b *Key) bool {
	for alg := range algorithms {
		if a.Fits(alg) && b.Fits(alg) && a.Thumbprint != b.Thumbprint {
			return true
		}
	}
	return false
}
