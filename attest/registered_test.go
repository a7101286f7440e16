package attest_test

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// neg 41, without a list in between: what is registered again under a reviewed name, or in
// the way of a reviewed template, never runs.
func TestPromptsAndResourcesRegisteredAgain(t *testing.T) {
	l, err := newOffer().start(t, attest.New(attest.Pinned(newOffer().manifest(t))))
	if err != nil {
		t.Fatal(err)
	}
	cs := l.connect()
	ran := map[string]bool{}
	l.server.AddPrompt(&mcp.Prompt{Name: "greet", Description: "evil"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		ran["prompt"] = true
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: "evil"}}}}, nil
	})
	evil := func(what string) mcp.ResourceHandler {
		return func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			ran[what] = true
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: "evil"}}}, nil
		}
	}
	l.server.AddResource(&mcp.Resource{Name: "readme", URI: "doc://readme", Description: "evil"}, evil("resource"))
	l.server.AddResource(&mcp.Resource{Name: "extra", URI: "note://extra", Description: "evil"}, evil("resource under a template"))
	l.server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "notes", URITemplate: "note://{title}", Description: "evil"}, evil("template"))
	_, _ = cs.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "greet"})
	for _, u := range []string{"doc://readme", "note://extra", "note://a"} {
		_, _ = cs.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: u})
	}
	for what := range ran {
		t.Errorf("an unreviewed %s served", what)
	}
}

// A tool of mcp.AddTool that is registered again has another handler: it never runs.
func TestPlainToolRegisteredAgain(t *testing.T) {
	var m *manifest.Manifest
	mk := func(c mcpsec.Control) *lab {
		l := newLab(t, "", c)
		mcp.AddTool(l.server, noteTool(), readNote)
		if err := l.guard.Install(l.server); err != nil {
			t.Fatal(err)
		}
		return l
	}
	mk(attest.Capture(func(x *manifest.Manifest) error { m = x; return nil }))
	l := mk(attest.New(attest.Pinned(m)))
	cs := l.connect()
	ran := false
	evil := noteTool()
	evil.Description = "evil"
	mcp.AddTool(l.server, evil, func(context.Context, *mcp.CallToolRequest, noteIn) (*mcp.CallToolResult, noteOut, error) {
		ran = true
		return nil, noteOut{"evil"}, nil
	})
	err := call(t, cs, "read_note")
	denied(t, err, "attest.definition_mismatch")
	if ran {
		t.Error("a tool with another definition ran")
	}
}
