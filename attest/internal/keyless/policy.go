package keyless

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// A Policy says whose certificate is accepted and what must witness the signature.
type Policy struct {
	Subject, Issuer string
	Build           certificate.Extensions // empty members are not compared
	Material        Material
	Logs            int // transparency logs that must hold the signature
	Times           int // timestamp authorities and logs that must say when it was made
	PrivatePKI      bool
	Now             func() time.Time
}

// Material returns the certificates and keys to trust. It is asked for each bundle.
type Material func(ctx context.Context) (root.TrustedMaterial, error)

// An Option changes a policy.
type Option func(*Policy) error

// errAgain is what setting a thing twice comes to: which of the two is meant is not
// for this package to guess.
var errAgain = errors.New("is given twice")

// maxThreshold bounds what can be asked for: a bundle carries no more witnesses.
const maxThreshold = maxWitnesses

// NewPolicy applies the options to the defaults: one log, one time, and a
// certificate that is itself logged.
func NewPolicy(opts []Option) (*Policy, error) {
	p := &Policy{Now: time.Now}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("an option is nil")
		}
		if err := opt(p); err != nil {
			return nil, err
		}
	}
	switch {
	case p.Subject == "":
		return nil, errors.New("whose signature to trust is not said: give one Identity")
	case p.Material == nil:
		return nil, errors.New("no trusted root: give TrustedRootFile")
	}
	p.Logs, p.Times = max(p.Logs, 1), max(p.Times, 1)
	return p, nil
}

// Identity sets the one accepted subject and issuer.
func Identity(subject, issuer string) Option {
	return func(p *Policy) error {
		switch {
		case p.Subject != "":
			return fmt.Errorf("Identity %w: make one verifier for each and join them with envelope.Threshold", errAgain)
		case subject == "" || issuer == "":
			return errors.New("Identity needs a subject and an issuer")
		case strings.TrimSpace(subject) != subject || strings.TrimSpace(issuer) != issuer:
			return errors.New("Identity: a subject or issuer has space around it")
		}
		p.Subject, p.Issuer = subject, issuer
		return nil
	}
}

// Build sets what the certificate must say of the build.
func Build(want certificate.Extensions) Option {
	return func(p *Policy) error {
		var none certificate.Extensions
		switch {
		case p.Build != none:
			return fmt.Errorf("Build %w", errAgain)
		case want == none:
			return errors.New("Build pins nothing")
		case want.Issuer != "":
			return errors.New("Build: the issuer belongs to Identity")
		}
		p.Build = want
		return nil
	}
}

// Trust sets where certificates and keys come from.
func Trust(m Material) Option {
	return func(p *Policy) error {
		if p.Material != nil {
			return fmt.Errorf("a trusted root %w: take TrustedRootFile, TrustedRoot or TUF", errAgain)
		}
		p.Material = m
		return nil
	}
}

// Threshold sets one of the two counts of witnesses.
func Threshold(name string, n int, field func(*Policy) *int) Option {
	return func(p *Policy) error {
		switch f := field(p); {
		case n < 1 || n > maxThreshold:
			return fmt.Errorf("%s(%d): the number must be 1 to %d", name, n, maxThreshold)
		case *f != 0:
			return fmt.Errorf("%s %w", name, errAgain)
		default:
			*f = n
			return nil
		}
	}
}

// PrivatePKI waives the proof that the certificate was logged.
func PrivatePKI() Option {
	return func(p *Policy) error {
		p.PrivatePKI = true
		return nil
	}
}
