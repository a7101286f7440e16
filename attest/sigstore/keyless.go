package sigstore

import (
	"context"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
	"github.com/mcpsec/mcpsec-go/attest/internal/keyless"
)

// Keyless returns a verifier of bundles that were signed with a short-lived
// certificate, by sigstore-go. It needs an Identity and a trusted root. The verifier
// is safe for concurrent use; it checks a bundle in a few milliseconds, so verify
// once and then compare digests.
//
// What it returns is who signed what. What the payload says, its caller reads
// strictly: attest does with manifest.Decode.
func Keyless(opts ...Option) (envelope.Verifier, error) {
	v, err := keyless.New(check, opts)
	if err != nil {
		return nil, fmt.Errorf("sigstore.Keyless: %w", err)
	}
	return v, nil
}

// check never asks sigstore-go to leave the predicate out: with that, it reads the
// statement with a decoder that takes the last of two members of one name.
func check(_ context.Context, p *keyless.Policy, m root.TrustedMaterial, b *bundle.Bundle) error {
	opts := []verify.VerifierOption{
		verify.WithTransparencyLog(p.Logs),
		verify.WithObserverTimestamps(p.Times),
	}
	if !p.PrivatePKI {
		opts = append(opts, verify.WithSignedCertificateTimestamps(1))
	}
	v, err := verify.NewVerifier(m, opts...)
	if err != nil {
		return err
	}
	id, err := verify.NewCertificateIdentity(
		verify.SubjectAlternativeNameMatcher{SubjectAlternativeName: p.Subject},
		verify.IssuerMatcher{Issuer: p.Issuer}, certificate.Extensions{})
	if err != nil {
		return err
	}
	_, err = v.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithCertificateIdentity(id)))
	return err
}
