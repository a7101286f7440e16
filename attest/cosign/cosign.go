package cosign

import (
	"context"
	"fmt"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/internal/keyless"
	"github.com/mcpsec/mcpsec-go/attest/sigstore"
)

// Verifier returns a verifier of bundles that were signed with a short-lived
// certificate, by cosign's own library. It takes the options of sigstore.Keyless and
// judges every bundle as that does: one table of cases runs over both. It is safe
// for concurrent use.
func Verifier(opts ...sigstore.Option) (envelope.Verifier, error) {
	v, err := keyless.New(check, opts)
	if err != nil {
		return nil, fmt.Errorf("cosign.Verifier: %w", err)
	}
	return v, nil
}

// check calls VerifyNewBundle and nothing else of cosign. It takes one timestamp,
// from a log or an authority as it is told; counts above one, and what the
// certificate says of the build, are left to the judgement that follows.
func check(ctx context.Context, p *keyless.Policy, m root.TrustedMaterial, b *bundle.Bundle) error {
	signed, _, err := verify.VerifySignedTimestamp(b, m)
	if err != nil {
		return err
	}
	_, err = cosign.VerifyNewBundle(ctx, &cosign.CheckOpts{
		TrustedMaterial:     m,
		Identities:          []cosign.Identity{{Subject: p.Subject, Issuer: p.Issuer}},
		IgnoreSCT:           p.PrivatePKI,
		UseSignedTimestamps: len(signed) > 0,
		NewBundleFormat:     true,
	}, verify.WithoutArtifactUnsafe(), b)
	return err
}
