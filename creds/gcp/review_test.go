package gcp

import (
	"testing"

	"github.com/mcpsec/mcpsec-go/creds"
)

// A list of rules that was computed and came out empty asks for a token that may do
// nothing. It must not become one that may do everything.
func TestEmptyBoundaryIsNotNoBoundary(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := newToken(t, f.config(), Token{Scopes: []string{platformScope}, Boundary: []Rule{}})
	wantError(t, "empty boundary", p.Check(creds.Spec{}), "Boundary")
	if m, err := p.Issue(t.Context(), creds.Spec{}, creds.Request{}); err == nil {
		m.Secret.Close()
		t.Error("a token without boundary was issued")
	}
}
