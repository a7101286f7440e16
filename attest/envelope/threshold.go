package envelope

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// maxVerifiers bounds the verifiers of one threshold.
const maxVerifiers = 64

type threshold struct {
	n     int
	of    []Verifier
	fault error
}

// Threshold trusts a file that n different signers have signed, of those that the
// verifiers trust. Signers differ by [Verified.ID]: two signatures of one key count once,
// whichever verifiers accept them. A threshold of more than one is counted by [Open] over
// all bundles of a file; Verify, which sees one bundle, then refuses always. A threshold
// within a threshold is refused.
func Threshold(n int, verifiers ...Verifier) Verifier {
	t := &threshold{n: n, of: slices.Clone(verifiers)}
	switch {
	case n < 1:
		t.fault = fmt.Errorf("%w: a threshold of %d", ErrConfig, n)
	case n > MaxBundles:
		t.fault = fmt.Errorf("%w: a threshold of %d, and a file holds %d bundles", ErrConfig, n, MaxBundles)
	case len(verifiers) == 0 || len(verifiers) > maxVerifiers:
		t.fault = fmt.Errorf("%w: a threshold over %d verifiers, not 1 to %d", ErrConfig, len(verifiers), maxVerifiers)
	}
	for i, v := range verifiers {
		if _, nested := v.(*threshold); nested || v == nil {
			t.fault = fmt.Errorf("%w: verifier %d of a threshold is nil or a threshold", ErrConfig, i+1)
		}
	}
	return t
}

func (t *threshold) Describe() string {
	names := make([]string, 0, len(t.of))
	for _, v := range t.of {
		if v != nil {
			names = append(names, describe(v))
		}
	}
	return fmt.Sprintf("%d of (%s)", t.n, strings.Join(names, "; "))
}

func (t *threshold) Verify(ctx context.Context, bundle []byte) (*Verified, error) {
	if t.fault != nil {
		return nil, t.fault
	}
	if t.n > 1 {
		return nil, fmt.Errorf("%w: one bundle cannot have %d signers: use Open", ErrUntrusted, t.n)
	}
	var last error
	for _, v := range t.of {
		signed, err := ask(ctx, v, bundle)
		if err == nil {
			return signed, nil
		}
		last = err
	}
	return nil, last
}

// quorum returns how many signers it takes and who knows them.
func quorum(v Verifier) (need int, of []Verifier, err error) {
	switch v := v.(type) {
	case nil:
		return 0, nil, fmt.Errorf("%w: there is no verifier", ErrConfig)
	case *threshold:
		return v.n, v.of, v.fault
	default:
		return 1, []Verifier{v}, nil
	}
}
