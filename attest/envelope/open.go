package envelope

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Open verifies a manifest file: 1 to [MaxBundles] bundles of one in-toto statement, one
// on each line, or a single one in any layout. It returns the signatures that are
// trusted, at least one and as many as a [Threshold] asks for, one for each signer, sorted
// by ID; they share one payload. Bundles that are well-formed but signed by others are
// passed over.
//
// It trusts v to know signatures and with nothing else: what a verifier returns must be
// what the file says, a verifier that panics has said no, and one that neither answers nor
// ends with the context, or takes longer than [MaxTime], is left behind.
//
// The caller checks with [Verified.Covers] that each signer lived when the payload says
// that it was issued.
func Open(ctx context.Context, file []byte, v Verifier) ([]*Verified, error) {
	need, of, err := quorum(v)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	bundles, said, err := parseFile(file)
	if err != nil {
		return nil, err
	}
	if said.PayloadType != PayloadType {
		return nil, fmt.Errorf("%w: payloadType is %s, not %s", ErrBundle, quote(said.PayloadType), PayloadType)
	}
	found := make(map[string]*Verified)
	var refusals []error
	for i, bundle := range bundles {
		for _, v := range of {
			signed, err := ask(ctx, v, bundle)
			if err == nil {
				err = signed.check(said)
			}
			if err != nil {
				if len(refusals) < MaxBundles {
					refusals = append(refusals, fmt.Errorf("bundle %d of %d: %w", i+1, len(bundles), err))
				}
				continue
			}
			if found[signed.ID] == nil {
				signed.Payload = said.Payload
				found[signed.ID] = signed
			}
		}
	}
	if len(found) < need {
		return nil, fmt.Errorf("%w: %d of %d signers found; trusted are %s: %w", ErrUntrusted, len(found), need, describe(v), errors.Join(refusals...))
	}
	list := make([]*Verified, 0, len(found))
	for _, signed := range found {
		list = append(list, signed)
	}
	slices.SortFunc(list, func(a, b *Verified) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// check refuses an answer that does not fit the question.
func (v *Verified) check(said *Bundle) error {
	switch {
	case v == nil:
		return fmt.Errorf("%w: the verifier returned nothing", ErrUntrusted)
	case v.ID == "":
		return fmt.Errorf("%w: the verifier did not say who signed", ErrUntrusted)
	case v.PayloadType != said.PayloadType || !bytes.Equal(v.Payload, said.Payload):
		return fmt.Errorf("%w: the verifier read another payload", ErrUntrusted)
	}
	return nil
}
