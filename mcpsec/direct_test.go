package mcpsec

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type echoArgs struct {
	Text string `json:"text"`
}

func echo(_ context.Context, _ *mcp.CallToolRequest, in echoArgs) (*mcp.CallToolResult, echoArgs, error) {
	return nil, in, nil
}

// BenchmarkReceive measures what the guard adds to a call, without the JSON of a
// transport around it: the SDK's own dispatch, bare and behind the guard.
func BenchmarkReceive(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		s := mcp.NewServer(&mcp.Implementation{Name: "bench"}, nil)
		mcp.AddTool(s, &mcp.Tool{Name: "echo"}, echo)
		var sdk mcp.MethodHandler
		s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler { sdk = next; return next })
		benchDispatch(b, s, sdk)
	})
	b.Run("empty guard", func(b *testing.B) {
		g, err := New()
		if err != nil {
			b.Fatal(err)
		}
		s := mcp.NewServer(&mcp.Implementation{Name: "bench"}, nil)
		if err := AddTool(g, s, &mcp.Tool{Name: "echo"}, echo); err != nil {
			b.Fatal(err)
		}
		if err := g.Install(s); err != nil {
			b.Fatal(err)
		}
		benchDispatch(b, s, g.receiving(g.sdk))
	})
	raw := func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{}}, nil
	}
	tool := &mcp.Tool{Name: "echo", InputSchema: json.RawMessage(`{"type":"object"}`)}
	b.Run("bare raw", func(b *testing.B) {
		s := mcp.NewServer(&mcp.Implementation{Name: "bench"}, nil)
		s.AddTool(tool, raw)
		var sdk mcp.MethodHandler
		s.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler { sdk = next; return next })
		benchDispatch(b, s, sdk)
	})
	b.Run("empty guard raw", func(b *testing.B) {
		g, _ := New()
		s := mcp.NewServer(&mcp.Implementation{Name: "bench"}, nil)
		h, err := Wrap(g, "echo", raw)
		if err != nil {
			b.Fatal(err)
		}
		s.AddTool(tool, h)
		if err := g.Install(s); err != nil {
			b.Fatal(err)
		}
		benchDispatch(b, s, g.receiving(g.sdk))
	})
}

func benchDispatch(b *testing.B, s *mcp.Server, h mcp.MethodHandler) {
	b.Helper()
	defer func(was string) { sdkPackage = was }(sdkPackage)
	sdkPackage = "github.com/mcpsec/"
	err := withSession(s, func(_ context.Context, ss *mcp.ServerSession) error {
		b.ReportAllocs()
		for b.Loop() {
			req := &mcp.CallToolRequest{Session: ss, Params: &mcp.CallToolParamsRaw{Name: "echo", Arguments: json.RawMessage(`{"text":"hello"}`)}}
			if _, err := h(b.Context(), methodCallTool, req); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
