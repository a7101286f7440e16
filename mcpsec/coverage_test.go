package mcpsec_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Every method reaches every control that runs once a call, also what is not a
// tool call.
func TestEveryMethodPassesTheChain(t *testing.T) {
	t.Parallel()
	var rec recorder
	r := guarded(t, &mcp.ServerOptions{
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{}, nil
		},
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	}, rec.at(mcpsec.StageAllow))
	addTool(r, &mcp.Tool{Name: "read"}, readTool)
	r.server.AddPrompt(&mcp.Prompt{Name: "p", Arguments: []*mcp.PromptArgument{{Name: "a"}}}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	})
	r.server.AddResource(&mcp.Resource{URI: "x://y", Name: "y", Annotations: &mcp.Annotations{Audience: []mcp.Role{"user"}}}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{Text: "hello"}}}, nil
	})
	r.server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "z://{id}", Name: "z"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return nil, nil
	})
	if err := mcp.AddReceivingCustomMethod(r.server, "acme/search", func(_ context.Context, _ *mcp.ServerSession, p *customParams) (*customResult, error) {
		return &customResult{Value: p.Query}, nil
	}); err != nil {
		t.Fatal(err)
	}
	r.install()
	raw := r.rawClient()
	raw.notify("notifications/initialized", `{}`)
	raw.notify("notifications/progress", `{"progressToken":1,"progress":1}`)
	raw.notify("notifications/roots/list_changed", `{}`)
	raw.notify("notifications/nonsense", `{}`)
	calls := []struct{ method, params, name, arguments string }{
		{"ping", `{}`, "", `{}`},
		{"tools/list", `{}`, "", ""},
		{"tools/call", `{"name":"read","arguments":{"path":"x"}}`, "read", `{"path":"x"}`},
		{"prompts/list", `{}`, "", ""},
		{"prompts/get", `{"name":"p","arguments":{"a":"b"}}`, "p", `{"a":"b"}`},
		{"resources/list", `{}`, "", ""},
		{"resources/templates/list", `{}`, "", ""},
		{"resources/read", `{"uri":"x://y"}`, "x://y", ""},
		{"resources/subscribe", `{"uri":"x://y"}`, "x://y", ""},
		{"resources/unsubscribe", `{"uri":"x://y"}`, "x://y", ""},
		{"completion/complete", `{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"b"}}`, "p", "*"},
		{"logging/setLevel", `{"level":"error"}`, "", `{"level":"error"}`},
		{"acme/search", `{"query":"q"}`, "", `{"query":"q"}`},
	}
	for _, c := range calls {
		if err := raw.call(c.method, c.params); err != nil {
			t.Errorf("%s: %v", c.method, err)
		}
		seen := rec.of(c.method)
		if len(seen) != 1 || seen[0].Name != c.name || c.arguments != "*" && string(seen[0].Arguments) != c.arguments || seen[0].ID == "" {
			t.Errorf("%s was seen as %+v", c.method, seen)
		}
	}
	for _, method := range []string{"initialize", "notifications/initialized", "notifications/progress", "notifications/roots/list_changed"} {
		if n := len(rec.of(method)); n != 1 {
			t.Errorf("%s was seen %d times", method, n)
		}
	}
	if n := len(rec.of("notifications/nonsense")); n != 0 {
		t.Errorf("an unknown notification got past the guard's own checks")
	}
}

// What an unusual but legal server asks of Install and its probes.
func TestInstallOnUnusualServers(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]*mcp.ServerOptions{
		"only the newest revision": {SupportedProtocolVersions: []string{"2026-07-28"}},
		"only an old revision":     {SupportedProtocolVersions: []string{"2024-11-05"}},
		"with keep-alive":          {KeepAlive: 10 * time.Millisecond, KeepAliveFailureThreshold: 1 << 30}, // a loaded machine answers late
		"without capabilities":     {Capabilities: &mcp.ServerCapabilities{}},
		"one item a page":          {PageSize: 1},
		"nil":                      nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := guarded(t, opts)
			for _, tool := range []string{"a", "b", "c"} {
				addTool(r, &mcp.Tool{Name: tool}, readTool)
			}
			r.start(nil)
			r.mustCall("b", noteArgs{"x"})
			if r.guard.InForce(r.server) != nil {
				t.Error("not in force")
			}
		})
	}
}

// Prompts and resources that ask for input carry sealed states as well.
func TestRoundTripsOfPromptsAndResources(t *testing.T) {
	t.Parallel()
	var rec recorder
	r := guarded(t, nil, rec.at(mcpsec.StageLimit))
	question := mcp.InputRequestMap{"q": &mcp.ElicitParams{Message: "sure?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}}}}
	r.server.AddPrompt(&mcp.Prompt{Name: "p"}, func(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		if req.Params.InputResponses == nil {
			return &mcp.GetPromptResult{InputRequests: question, RequestState: "mine"}, nil
		}
		return &mcp.GetPromptResult{Description: req.Params.RequestState}, nil
	})
	r.server.AddResource(&mcp.Resource{URI: "x://y", Name: "y"}, func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		if req.Params.InputResponses == nil {
			return &mcp.ReadResourceResult{InputRequests: question, RequestState: "mine"}, nil
		}
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{Text: req.Params.RequestState}}}, nil
	})
	r.start(accepting)
	p, err := r.client.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "p"})
	if err != nil || p.Description != "mine" {
		t.Errorf("prompt: %+v, %v", p, err)
	}
	res, err := r.client.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "x://y"})
	if err != nil || res.Contents[0].Text != "mine" {
		t.Errorf("resource: %+v, %v", res, err)
	}
	if n, m := len(rec.of("prompts/get")), len(rec.of("resources/read")); n != 1 || m != 1 {
		t.Errorf("charged %d and %d times", n, m)
	}
	for _, method := range []string{"prompts/get", "resources/read"} {
		forged := `{"name":"p","uri":"x://y","requestState":"mine","inputResponses":{"q":{"action":"accept"}}}`
		if err := r.rawClient().call(method, forged); wireCode(err) != jsonrpc.CodeInvalidParams {
			t.Errorf("%s with an invented answer: %v", method, err)
		}
	}
}

// One message must not ask for unbounded work.
func TestListenToTooMuch(t *testing.T) {
	t.Parallel()
	var rec recorder
	r := guarded(t, nil, rec.at(mcpsec.StageAudit))
	r.install()
	uris, err := json.Marshal(slices.Repeat([]string{"x://y"}, 257))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.rawClient().call("subscriptions/listen", `{"notifications":{"resourceSubscriptions":`+string(uris)+`}}`); wireCode(err) != jsonrpc.CodeInvalidParams {
		t.Fatalf("answered %v", err)
	}
	if n := len(rec.of("resources/subscribe")); n != 0 {
		t.Errorf("%d subscriptions were decided about", n)
	}
}

// A URI with control characters makes the SDK write an answer that is not JSON,
// and the session ends.
func TestURIThatBreaksTheSession(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil)
	r.install()
	raw := r.rawClient()
	for _, uri := range []string{`x://\u001b[2J`, `x://\u0007`, `x://\u0000`} {
		if err := raw.call("resources/read", `{"uri":"`+uri+`"}`); wireCode(err) != jsonrpc.CodeInvalidParams {
			t.Errorf("%s: %v", uri, err)
		}
		if err := raw.call("ping", `{}`); err != nil {
			t.Fatalf("the session is broken: %v", err)
		}
	}
}

// A definition with a cycle in its _meta cannot be encoded: the list is refused
// instead of never answered.
func TestListThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	var live *mcp.Tool
	r := guarded(t, nil)
	r.server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			res, err := next(ctx, method, req)
			if list, ok := res.(*mcp.ListToolsResult); ok && len(list.Tools) > 0 {
				live = list.Tools[0]
			}
			return res, err
		}
	})
	addTool(r, &mcp.Tool{Name: "read", Meta: mcp.Meta{"k": []any{map[string]any{"n": 1.0}}}}, readTool)
	r.install()
	raw := r.rawClient()
	if body, err := raw.answer(raw.send("tools/list", `{}`)); err != nil || !strings.Contains(string(body), `"k":[{"n":1}]`) {
		t.Fatalf("%s, %v", body, err)
	}
	live.Meta["loop"] = map[string]any(live.Meta)
	if err := raw.call("tools/list", `{}`); wireCode(err) != jsonrpc.CodeInternalError {
		t.Fatalf("answered %v", err)
	}
	live.Meta["loop"] = panicky{}
	if err := raw.call("tools/list", `{}`); wireCode(err) != jsonrpc.CodeInternalError {
		t.Fatalf("answered %v", err)
	}
}

// A handler that returns nothing at all is an error of its own, and no crash.
func TestHandlerThatReturnsNothing(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil)
	r.addRaw("nothing", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
	r.server.AddPrompt(&mcp.Prompt{Name: "p"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) { return nil, nil })
	addTool(r, &mcp.Tool{Name: "read"}, readTool)
	r.start(nil)
	if res, err := r.call("nothing", nil); err == nil || !strings.Contains(err.Error(), "neither a result nor an error") {
		t.Errorf("tool: %v, %v", res, err)
	}
	if res, err := r.client.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "p"}); err == nil || !strings.Contains(err.Error(), "neither a result nor an error") {
		t.Errorf("prompt: %v, %v", res, err)
	}
	r.mustCall("read", noteArgs{"x"})
	if codes := r.alarms.codes(); len(codes) != 0 {
		t.Errorf("alarms %v", codes)
	}
}

// Arguments that a control made unfit are refused as unfit, and not taken for the
// work of a foreign handler.
func TestControlThatSpoilsArguments(t *testing.T) {
	t.Parallel()
	spoil := at(mcpsec.StageInspect, "spoil", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		own := *call
		if call.Method == "tools/call" {
			own.Arguments = json.RawMessage(`{"path":7}`)
		}
		return next(ctx, &own)
	})
	r := guarded(t, nil, spoil)
	addTool(r, &mcp.Tool{Name: "read"}, readTool)
	r.start(nil)
	if res := r.mustCall("read", noteArgs{"x"}); !res.IsError || !strings.Contains(text(res), "/properties/path") {
		t.Errorf("answered %v", text(res))
	}
	if codes := r.alarms.codes(); len(codes) != 0 {
		t.Errorf("alarms %v", codes)
	}
}

// A control that renames the call does not get past the guard's own checks.
func TestControlThatRenamesTheCall(t *testing.T) {
	t.Parallel()
	rename := at(mcpsec.StageAudit, "rename", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		own := *call
		if call.Method == "tools/call" {
			own.Method, own.Tool = "ping", nil
		}
		return next(ctx, &own)
	})
	r := guarded(t, nil, rename)
	addTool(r, &mcp.Tool{Name: "read"}, readTool)
	r.start(nil)
	if res, err := r.call("absent", nil); err == nil {
		t.Errorf("answered %v", text(res))
	}
}

// Two guards that share a control keep their own state.
func TestControlsCanBeShared(t *testing.T) {
	t.Parallel()
	var rec recorder
	shared := rec.at(mcpsec.StageAudit)
	for range 2 {
		r := guarded(t, nil, shared)
		addTool(r, &mcp.Tool{Name: "read"}, readTool)
		r.start(nil).mustCall("read", noteArgs{"x"})
	}
	if n := len(rec.of("tools/call")); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestNotesReachTheRecord(t *testing.T) {
	t.Parallel()
	var notes []mcpsec.Note
	watch := at(mcpsec.StageAudit, "watch", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		res, err := next(ctx, call)
		notes = call.Notes()
		return res, err
	})
	note := at(mcpsec.StageCreds, "note", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		own := *call // a copy belongs to the same call
		own.Note("creds.key", "v1")
		call.Note("creds.key", "v2")
		call.Alarm("test.alarm", "detail")
		return next(ctx, &own)
	})
	a := &alarms{}
	g, err := mcpsec.New(watch, note, mcpsec.Settings{OnAlarm: a.add})
	if err != nil {
		t.Fatal(err)
	}
	h, _ := mcpsec.Wrap(g, "t", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	})
	if _, err := h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "t", Arguments: json.RawMessage(`{}`)}}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(notes, []mcpsec.Note{{Key: "creds.key", Value: "v2"}}) || !slices.Equal(a.codes(), []string{"test.alarm"}) {
		t.Errorf("notes %v, alarms %v", notes, a.codes())
	}
	var loose mcpsec.Call // a call outside any guard takes notes nowhere and does not crash
	loose.Note("a", "b")
	loose.Alarm("a", "b")
	if loose.Notes() != nil || loose.Findings() != nil {
		t.Error("a loose call remembers")
	}
}
