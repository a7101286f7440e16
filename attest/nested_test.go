//go:build linux

package attest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A handler that calls another tool's handler does not lend it its artifacts, and still has
// them afterwards.
func TestNestedCallHasItsOwnArtifacts(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var borrowed, own, after error
	start := func(control mcpsec.Control) *lab {
		l := newLab(t, "", control)
		idle, err := mcpsec.Wrap(l.guard, "idle", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			_, borrowed = attest.Artifact(ctx, "summary")
			return &mcp.CallToolResult{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		work, err := mcpsec.Wrap(l.guard, "work", func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			_, own = attest.Artifact(ctx, "summary")
			inner := *req.Params
			inner.Name = "idle"
			res, err := idle(ctx, &mcp.CallToolRequest{Session: req.Session, Params: &inner})
			_, after = attest.Artifact(ctx, "summary")
			return res, err
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, h := range map[string]mcp.ToolHandler{"work": work, "idle": idle} {
			l.server.AddTool(&mcp.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, h)
		}
		return l.install()
	}
	var m *manifest.Manifest
	start(attest.Capture(func(made *manifest.Manifest) error { m = made; return nil }, attest.Files(s.dir, asSnapshot), attest.Uses("work", "summary")))
	l := start(attest.New(attest.Pinned(m), attest.Dir(s.dir)))
	borrowed = errors.New("the inner handler did not run")
	if err := errors.Join(call(t, l.connect(), "work"), own, after); err != nil {
		t.Error(err)
	}
	notBound(t, borrowed)
}

// A control that stands outside of the attestor's check has no handler's files.
func TestArtifactBeforeTheCheck(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.use = readSummary
	m := s.manifest(asSnapshot)
	var early error
	spy := mcpsec.At(mcpsec.StageAudit, "early", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, c *mcpsec.Call) (mcp.Result, error) {
			if c.Method == "tools/call" {
				_, early = attest.Artifact(ctx, "summary")
			}
			return next(ctx, c)
		}
	}))
	l, err := s.install(controls{attest.New(attest.Pinned(m), attest.Dir(s.dir)), spy})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := output(t, l.connect(), "work"); err != nil {
		t.Fatal(err)
	}
	notBound(t, early)
}

func notBound(t *testing.T, err error) {
	t.Helper()
	if d := mcpsec.AsDenial(err); d == nil || d.Code != "attest.artifact_not_bound" {
		t.Errorf("got %v, want a refusal", err)
	}
}
