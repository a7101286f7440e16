package envelope

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxKeys bounds the keys of one verifier: each may be tried on each bundle.
const maxKeys = 64

type keyring struct {
	keys  []Key
	fault error
	now   func() time.Time
}

// Keys trusts bundles that one of the keys has signed, at a time within its life. The
// hint in a bundle decides nothing: every key is tried. Bundles with a certificate are
// refused. Log entries and timestamps are of no consequence: a key that is pinned
// needs none, and none is verified.
//
// Without a key, or with one that is not usable, it trusts nobody and says so.
func Keys(keys ...Key) Verifier {
	r := &keyring{keys: slices.Clone(keys), now: time.Now}
	switch {
	case len(keys) == 0:
		r.fault = fmt.Errorf("%w: there is no key", ErrConfig)
	case len(keys) > maxKeys:
		r.fault = fmt.Errorf("%w: %d keys, the limit is %d", ErrConfig, len(keys), maxKeys)
	}
	for i, k := range keys {
		switch {
		case k.public == nil:
			r.fault = fmt.Errorf("%w: key %d is the zero Key", ErrConfig, i+1)
		case !k.notAfter.IsZero() && !k.notBefore.IsZero() && k.notAfter.Before(k.notBefore):
			r.fault = fmt.Errorf("%w: key %s is never valid", ErrConfig, k)
		}
	}
	return r
}

func (r *keyring) Describe() string {
	names := make([]string, 0, len(r.keys))
	for _, k := range r.keys {
		names = append(names, "key "+k.ID())
	}
	if len(names) == 0 {
		return "no key"
	}
	return strings.Join(names, " or ")
}

func (r *keyring) Verify(ctx context.Context, bundle []byte) (*Verified, error) {
	if r.fault != nil {
		return nil, r.fault
	}
	b, err := Parse(bundle)
	if err != nil {
		return nil, err
	}
	if !b.Keyed {
		return nil, fmt.Errorf("%w: the bundle has a certificate, and only keys are trusted", ErrUntrusted)
	}
	message := PAE(b.PayloadType, b.Payload)
	for _, k := range r.keys {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("envelope: %w", err)
		}
		if !k.verify(message, b.Signature) {
			continue
		}
		signer := "key " + k.ID()
		if err := within(signer, r.now(), k.notBefore, k.notAfter); err != nil {
			return nil, err
		}
		return &Verified{
			PayloadType: b.PayloadType, Payload: b.Payload, Signer: signer, ID: signer,
			NotBefore: k.notBefore, NotAfter: k.notAfter,
		}, nil
	}
	return nil, fmt.Errorf("%w: none of %d trusted keys made it; it says that %s did", ErrUntrusted, len(r.keys), quote(b.Hint))
}
