package vault

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
)

func TestPlanCostsNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	s := newServer(t, Token{secret("t")}, newFake())
	for what, p := range map[string]creds.Provider{"KV": s.KV(KV{Mount: "secret", Path: "apps/db"}), "lease": s.Lease(Lease{Path: "database/creds/app"})} {
		closing(t, p)
		if n := testing.AllocsPerRun(100, func() { _, _ = p.(creds.Planner).Plan(creds.Spec{}, creds.Request{}) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}
