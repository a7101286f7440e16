package envelope

import (
	"bytes"
	"context"
	"fmt"
)

// asking bounds the verifiers at work, of the whole process: one that never answers
// keeps its place, so that not even many of them can pile up.
var asking = make(chan struct{}, 32)

// ask has a verifier judge a bundle. A panic is a no, and nobody waits longer than the
// context.
func ask(ctx context.Context, v Verifier, bundle []byte) (*Verified, error) {
	type answer struct {
		signed *Verified
		err    error
	}
	select {
	case asking <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("envelope: waiting for a verifier: %w", ctx.Err())
	}
	answers := make(chan answer, 1)
	own := bytes.Clone(bundle) // the caller may go on with its copy before the verifier does
	go func() {
		defer func() { <-asking }()
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("%w: the verifier panicked: %v", ErrUntrusted, p)}
			}
			answers <- a
		}()
		a.signed, a.err = v.Verify(ctx, own)
		if a.signed != nil {
			kept := *a.signed
			a.signed = &kept
		}
	}()
	select {
	case a := <-answers:
		return a.signed, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("envelope: the verifier did not answer: %w", ctx.Err())
	}
}

// describe returns whom a verifier trusts, for an error.
func describe(v Verifier) (text string) {
	defer func() {
		if recover() != nil {
			text = "somebody"
		}
	}()
	return v.Describe()
}
