package keyless

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// MaxRoot bounds a trusted root, in bytes.
const MaxRoot = 4 << 20

// ParseRoot reads the JSON of a trusted root.
func ParseRoot(data []byte) (*root.TrustedRoot, error) {
	if len(data) > MaxRoot {
		return nil, fmt.Errorf("trusted root: more than %d bytes", MaxRoot)
	}
	if err := mcpsec.CheckJSON(data); err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	r, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return r, nil
}

// Fixed is a root that does not change.
func Fixed(m root.TrustedMaterial) Material {
	return func(context.Context) (root.TrustedMaterial, error) { return m, nil }
}

// judgeRoot refuses a root that cannot vouch for anything new: one that was taken
// long ago, or whose renewal somebody holds back. A signature from the time when it
// was valid is no excuse, for its signer may have been revoked by the next root.
func judgeRoot(m root.TrustedMaterial, now time.Time) error {
	cas := m.FulcioCertificateAuthorities()
	if len(cas) == 0 {
		return errors.New("trusted root: it names no certificate authority")
	}
	if len(m.RekorLogs()) == 0 {
		return errors.New("trusted root: it names no transparency log")
	}
	for _, ca := range cas {
		if !ended(ca, now) {
			return nil
		}
	}
	return errors.New("trusted root: each of its certificate authorities has expired: get a new one")
}

func ended(ca root.CertificateAuthority, now time.Time) bool {
	f, ok := ca.(*root.FulcioCertificateAuthority)
	return ok && (!f.ValidityPeriodEnd.IsZero() && now.After(f.ValidityPeriodEnd) || now.After(f.Root.NotAfter))
}
