package keyless

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/mcpsec/mcpsec-go/attest/envelope"
)

// An Engine checks the cryptography of a bundle under a policy: certificate chain,
// proof that it was logged, log entries, timestamps, signature, subject and issuer.
type Engine func(ctx context.Context, p *Policy, m root.TrustedMaterial, b *bundle.Bundle) error

// A Verifier is an envelope.Verifier.
type Verifier struct {
	policy *Policy
	engine Engine
}

var _ envelope.Verifier = (*Verifier)(nil)

// New returns a verifier, or what is wrong with the options.
func New(engine Engine, opts []Option) (*Verifier, error) {
	p, err := NewPolicy(opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", envelope.ErrConfig, err)
	}
	return &Verifier{policy: p, engine: engine}, nil
}

// Describe implements envelope.Verifier.
func (v *Verifier) Describe() string {
	return fmt.Sprintf("keyless %s issued by %s", v.policy.Subject, v.policy.Issuer)
}

// Verify implements envelope.Verifier. A panic of a library is an error: they parse
// certificates, timestamps and log entries of whoever made the bundle.
func (v *Verifier) Verify(ctx context.Context, data []byte) (_ *envelope.Verified, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("a library that checks bundles failed on this one")
		}
		if err != nil {
			err = fmt.Errorf("%w: keyless: %w", envelope.ErrUntrusted, err)
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := load(data)
	if err != nil {
		return nil, err
	}
	m, err := v.policy.Material(ctx)
	if err != nil {
		return nil, err
	}
	if err := judgeRoot(m, v.policy.Now()); err != nil {
		return nil, err
	}
	if err := v.engine(ctx, v.policy, m, b); err != nil {
		return nil, err
	}
	return v.policy.judge(m, b)
}

// identity is equal for two signatures only if one identity made them.
func identity(subject, issuer string) string {
	return strconv.Quote(subject) + " issued by " + strconv.Quote(issuer)
}
