package vault

import (
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
)

// The policy "default" does not allow to revoke leases: what the documentation promises of
// them cannot be kept then.
func TestProbeFindsALoginThatCannotRevoke(t *testing.T) {
	t.Parallel()
	f := newFake()
	_, p, _ := f.leaseOf(t)
	if _, err := p.(creds.Prober).Probe(t.Context(), creds.Spec{}); err != nil {
		t.Error(err)
	}
	f.set(func() { f.denied[revokePath] = true })
	_, err := p.(creds.Prober).Probe(t.Context(), creds.Spec{})
	wantError(t, err, "may not revoke leases", "policy")
}

// An account of a month that could be neither used nor revoked: the operator must know.
func TestLeaseThatIsRefusedAndNotRevoked(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.leaseTTL, f.leaseMax, f.tokenTTL, f.tokenMax = 700*time.Hour, 700*time.Hour, 700*time.Hour, 700*time.Hour
	f.denied["sys/leases/revoke"] = true
	_, p, _ := f.leaseOf(t)
	_, _, err := issue(t, p)
	wantError(t, err, "life of", "revok")
}

// An answer without a lease of ours is told once, and nothing is revoked.
func TestLeaseOfAnotherPathIsNotTouched(t *testing.T) {
	t.Parallel()
	f := newFake()
	_, p, _ := f.leaseOf(t)
	for _, id := range []string{"", "database/creds/other/L1"} {
		body := `{"lease_id":"` + id + `","lease_duration":60,"data":{"password":"x"}}`
		f.set(func() { f.raw = &raw{200, "application/json", body} })
		_, _, err := issue(t, p)
		if wantError(t, err, "the answer has"); err != nil && strings.Contains(err.Error(), "not revoked") {
			t.Errorf("%q: %v", id, err)
		}
	}
	if n := f.count("POST sys/leases/revoke"); n != 0 {
		t.Errorf("%d leases revoked", n)
	}
}
