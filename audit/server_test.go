package audit

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

type pin struct {
	Pin  string `json:"pin"`
	Age  int    `json:"age"`
	Deep struct {
		List []float64 `json:"list"`
	} `json:"deep"`
}

// connect serves a tool, a prompt and a resource through a guard and returns a client.
func connect(t *testing.T, controls ...mcpsec.Control) *mcp.ClientSession {
	t.Helper()
	g, err := mcpsec.New(controls...)
	if err != nil {
		t.Fatal(err)
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "server"}, nil)
	err = mcpsec.AddTool(g, s, &mcp.Tool{Name: "unlock"}, func(_ context.Context, _ *mcp.CallToolRequest, in pin) (*mcp.CallToolResult, any, error) {
		if in.Age == 7777 {
			panic("cannot unlock with pin " + in.Pin)
		}
		return nil, nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.AddPrompt(&mcp.Prompt{Name: "greet"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	})
	if err := g.Install(s); err != nil {
		t.Fatal(err)
	}
	near, far := mcp.NewInMemoryTransports()
	ss, err := s.Connect(t.Context(), g.Transport(far, mcpsec.Peer{Process: "uid:1000"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "cursor\u202e\n"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cs.Close()
		_ = ss.Wait()
		_ = g.Close()
	})
	return cs
}

// What a client can do to a server is in the record, and none of its values are.
func TestServerRecordsEveryMethodAndNoValue(t *testing.T) {
	var m memory
	cs := connect(t, New(To(&m)))
	ctx := t.Context()
	call := func(args map[string]any) {
		_, _ = cs.CallTool(ctx, &mcp.CallToolParams{Name: "unlock", Arguments: args})
	}
	call(map[string]any{"pin": "S3cret-1234", "age": 5, "deep": map[string]any{"list": []float64{}}})
	call(map[string]any{"pin": 9876543, "age": 5, "deep": map[string]any{"list": []float64{}}})
	call(map[string]any{"pin": map[string]any{"n\"e\\s\u00e9t": "S3cret-5678"}, "age": "S3cret-\"91011\"", "deep": 1})
	call(map[string]any{"pin": "x", "age": 5, "deep": map[string]any{"list": []any{"S3cret-in-a-list"}}})
	call(map[string]any{"pin": "S3cret-panic", "age": 7777, "deep": map[string]any{"list": []float64{}}})
	_, _ = cs.CallTool(ctx, &mcp.CallToolParams{Name: "no\r\n{\"event\":\"outcome\"}", Arguments: map[string]any{"k": "S3cret"}})
	_, _ = cs.GetPrompt(ctx, &mcp.GetPromptParams{Name: "greet", Arguments: map[string]string{"to": "S3cret-name"}})
	_, _ = cs.ListTools(ctx, nil)
	_, _ = cs.ReadResource(ctx, &mcp.ReadResourceParams{URI: "file:///\u2028\x1b[2J"})

	for _, value := range []string{"S3cret", "9876543", "9.876543e+06", "91011"} {
		if strings.Contains(m.String(), value) {
			t.Errorf("%q is in the record", value)
		}
	}
	seen := map[string]record{}
	for _, r := range parse(t, m.String()) {
		if r.Event == "outcome" {
			seen[r.Method+" "+r.Name+" "+r.Code] = r
		}
		if r.Principal.Rung != "process" || r.Principal.Subject != "uid:1000" {
			t.Errorf("principal %+v", r.Principal)
		}
	}
	for what, decision := range map[string]string{
		"tools/call unlock ":                                          "allowed",
		"tools/call unlock guard.bad_arguments":                       "refused",
		"tools/call unlock guard.handler_panic":                       "error",
		"tools/call no\r\n{\"event\":\"outcome\"} guard.unknown_tool": "refused",
		"prompts/get greet ":                                          "allowed",
		"resources/read file:///\u2028\x1b[2J guard.malformed":        "refused",
		"tools/list  ": "allowed",
	} {
		if seen[what].Decision != decision {
			t.Errorf("%q: decision %q", what, seen[what].Decision)
		}
	}
	if got := seen["tools/call unlock "].Untrusted.Client; got != "cursor\u202e\n" {
		t.Errorf("client %q", got)
	}
}

// What the SDK rejects before any middleware is in the record as well.
func TestRejectedMessagesHoldNoValue(t *testing.T) {
	var m memory
	g, err := mcpsec.New(New(To(&m)))
	if err != nil {
		t.Fatal(err)
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "server"}, nil)
	s.AddPrompt(&mcp.Prompt{Name: "greet"}, nil)
	if err := g.Install(s); err != nil {
		t.Fatal(err)
	}
	near, far := mcp.NewInMemoryTransports()
	ss, err := s.Connect(t.Context(), g.Transport(far, mcpsec.Peer{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := near.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = conn.Close()
		_ = ss.Wait()
		_ = g.Close()
	}()
	for i, msg := range []struct{ method, params string }{
		{"initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}`},
		{"prompts/get", `{"name":"greet","arguments":{"pin":9876543}}`},
		{"prompts/get", `{"name":"greet","arguments":{"pin":{"a":"S3cret"}}}`},
		{"prompts/get", `{"name":"greet","arguments":"S3cret"}`},
		{"tools/call", `{"name":9876543,"arguments":{"pin":"S3cret"}}`},
		{"tools/call", `{"name":"x","arguments":{"pin":"S3cret","pin":"9876543"}}`},
		{"no/such\nmethod", `{"pin":"S3cret"}`},
	} {
		id, err := jsonrpc.MakeID(float64(i + 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Write(t.Context(), &jsonrpc.Request{ID: id, Method: msg.method, Params: json.RawMessage(msg.params)}); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if log := m.String(); strings.Contains(log, "S3cret") || strings.Contains(log, "9876543") {
		t.Errorf("a value is in the record:\n%s", log)
	}
	if all := parse(t, m.String()); len(all) != 8 { // two of the one that was let pass, one of each refusal
		t.Errorf("%d records", len(all))
	}
}
