package attest_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest"
	"github.com/mcpsec/mcpsec-go/attest/manifest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A watched file of no tool is the whole server's: also that of its prompts and resources.
func TestWatchedFileOfAPrompt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "prompt.txt")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good")
	start := func(c mcpsec.Control) *lab {
		l := newLab(t, "", c)
		l.server.AddPrompt(&mcp.Prompt{Name: "greet"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			raw, err := os.ReadFile(path)
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: string(raw)}}}}, err
		})
		l.server.AddResource(&mcp.Resource{Name: "readme", URI: "doc://readme"}, readResource)
		return l.install()
	}
	var m *manifest.Manifest
	start(attest.Capture(func(made *manifest.Manifest) error { m = made; return nil },
		attest.Files(dir, manifest.Artifact{Name: "p", Role: "prompt", Path: "prompt.txt", Bind: manifest.Watch})))
	l := start(attest.New(attest.Pinned(m), attest.Dir(dir)))
	cs := l.connect()
	get := func() error {
		_, err := cs.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "greet"})
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	write("evil")
	if get() == nil {
		t.Error("served at once")
	}
	l.awaitAlarm("attest.artifact_changed")
	denied(t, get(), "attest.artifact_changed")
	_, err := cs.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "doc://readme"})
	denied(t, err, "attest.artifact_changed")
}
