package mcpsec

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type echoIn struct {
	Text string `json:"text"`
}
type echoOut struct {
	Text string `json:"text"`
}

func echo(_ context.Context, _ *mcp.CallToolRequest, in echoIn) (*mcp.CallToolResult, echoOut, error) {
	return nil, echoOut(in), nil
}

func TestSmoke(t *testing.T) {
	g, err := New()
	if err != nil {
		t.Fatal(err)
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "x"}, nil)
	if err := AddTool(g, s, &mcp.Tool{Name: "echo"}, echo); err != nil {
		t.Fatal(err)
	}
	if err := g.Install(s); err != nil {
		t.Fatal(err)
	}
	a, b := mcp.NewInMemoryTransports()
	ss, err := s.Connect(t.Context(), g.Transport(a, Peer{Process: "uid:1"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ss.Close()
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "c"}, nil).Connect(t.Context(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cs.Close()
	res, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "hi"}})
	t.Log(res, err)
	if err != nil || res.IsError {
		t.Fatal(err)
	}
	res, err = cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": 1}})
	t.Log(res.Content[0].(*mcp.TextContent).Text, err)
	res, err = cs.CallTool(t.Context(), &mcp.CallToolParams{Name: "nope", Arguments: map[string]any{"text": 1}})
	t.Log(res, err)
	l, err := cs.ListTools(t.Context(), nil)
	t.Log(l, err)
}
