package attest_test

import (
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A changed template is not served because another one could produce the URI too.
func TestOverlappingTemplates(t *testing.T) {
	t.Parallel()
	start := func(c mcpsec.Control) (*lab, *mcp.ResourceTemplate) {
		l := newLab(t, "", c)
		a := &mcp.ResourceTemplate{Name: "a", URITemplate: "note://{a}"}
		l.server.AddResourceTemplate(a, readResource)
		l.server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "b", URITemplate: "note:{+b}"}, readResource)
		return l.install(), a
	}
	var m *manifest.Manifest
	start(attest.Capture(func(made *manifest.Manifest) error { m = made; return nil }))
	l, a := start(attest.New(attest.Pinned(m)))
	cs := l.connect()
	a.Description = "evil"
	for range 30 { // a map has no order
		_, err := cs.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "note://a"})
		denied(t, err, "attest.definition_mismatch")
	}
}
