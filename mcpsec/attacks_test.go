package mcpsec_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Results that cannot be encoded would end the process or never be answered: the SDK
// encodes them outside every recover.
func TestAttackResultThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	results := map[string]*mcp.CallToolResult{
		"nil content":          {Content: []mcp.Content{nil}},
		"typed nil content":    {Content: []mcp.Content{(*mcp.TextContent)(nil)}},
		"panicking _meta":      {Content: []mcp.Content{&mcp.TextContent{Meta: mcp.Meta{"x": panicky{}}}}},
		"unencodable _meta":    {Content: []mcp.Content{&mcp.ImageContent{Meta: mcp.Meta{"x": make(chan int)}}}},
		"audio _meta":          {Content: []mcp.Content{&mcp.AudioContent{Meta: mcp.Meta{"x": panicky{}}}}},
		"nil question":         {InputRequests: mcp.InputRequestMap{"q": nil}},
		"typed nil question":   {InputRequests: mcp.InputRequestMap{"q": (*mcp.ElicitParams)(nil)}},
		"panicking question":   {InputRequests: mcp.InputRequestMap{"q": &mcp.ElicitParams{Message: "x", RequestedSchema: panicky{}}}},
		"panicking structured": {StructuredContent: panicky{}},
	}
	connect := map[string]func(*rig) *rig{
		"2025-11-25": func(r *rig) *rig { return r.old(accepting) },
		"2026-07-28": func(r *rig) *rig { return r.start(accepting) },
	}
	for what, result := range results {
		for version, start := range connect {
			t.Run(what+", "+version, func(t *testing.T) {
				t.Parallel()
				r := guarded(t, nil)
				r.addRaw("raw", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return result, nil })
				addTool(r, &mcp.Tool{Name: "typed"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, any, error) {
					return result, nil, nil
				})
				addTool(r, &mcp.Tool{Name: "read"}, readTool)
				start(r)
				for _, tool := range []string{"raw", "typed"} {
					if res, err := r.call(tool, map[string]any{}); err == nil && !res.IsError {
						t.Errorf("%s answered %v", tool, res)
					}
				}
				r.mustCall("read", noteArgs{"x"}) // the process and the session live
			})
		}
	}
	t.Run("prompts and resources", func(t *testing.T) {
		t.Parallel()
		r := guarded(t, nil)
		r.server.AddPrompt(&mcp.Prompt{Name: "p"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: (*mcp.TextContent)(nil)}}}, nil
		})
		r.server.AddResource(&mcp.Resource{URI: "x://y", Name: "y"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{Text: "y", Meta: mcp.Meta{"x": panicky{}}}}}, nil
		})
		r.start(nil)
		if _, err := r.client.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "p"}); wireCode(err) != jsonrpc.CodeInternalError {
			t.Errorf("prompt: %v", err)
		}
		if _, err := r.client.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "x://y"}); wireCode(err) != jsonrpc.CodeInternalError {
			t.Errorf("resource: %v", err)
		}
	})
	t.Run("a control that returns a typed nil", func(t *testing.T) {
		t.Parallel()
		for _, stage := range []mcpsec.Stage{mcpsec.StageAudit, mcpsec.StageAllow, mcpsec.StageCreds} {
			r := guarded(t, nil, at(stage, "nil", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
				res, err := next(ctx, call)
				if call.Name == "read" {
					var nothing *mcp.CallToolResult
					return nothing, err
				}
				return res, err
			}))
			addTool(r, &mcp.Tool{Name: "read"}, readTool)
			addTool(r, &mcp.Tool{Name: "other"}, readTool)
			r.start(nil)
			if res, err := r.call("read", noteArgs{"x"}); err == nil && !res.IsError {
				t.Errorf("stage %v: answered %v", stage, res)
			}
			r.mustCall("other", noteArgs{"x"})
		}
	})
}

// A caller that leaves at once must not run its call as somebody else.
func TestAttackLeavingBeforeTheCallRuns(t *testing.T) {
	t.Parallel()
	var ran atomic.Int64
	r := guarded(t, nil, refuse{func(c *mcpsec.Call) bool { return c.Name == "danger" && c.Principal.Rung == mcpsec.Address }})
	addTool(r, &mcp.Tool{Name: "danger"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, none, error) {
		ran.Add(1)
		return nil, none{}, nil
	})
	r.install()
	events := &mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}
	web := httptest.NewServer(r.guard.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return r.server }, events)))
	defer web.Close()
	defer func() {
		for ss := range r.server.Sessions() {
			_ = ss.Close()
		}
	}()
	send := func(ctx context.Context, session, body string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, web.URL, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
		if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
		}
		return web.Client().Do(req)
	}
	res, err := send(t.Context(), "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	session := res.Header.Get("Mcp-Session-Id")
	for i := range 150 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(50+10*i)*time.Microsecond)
		id, _ := json.Marshal(i + 2)
		if res, err := send(ctx, session, `{"jsonrpc":"2.0","id":`+string(id)+`,"method":"tools/call","params":{"name":"danger","arguments":{}}}`); err == nil {
			_ = res.Body.Close()
		}
		cancel()
	}
	res, err = send(t.Context(), session, `{"jsonrpc":"2.0","id":"last","method":"ping"}`) // all before it have been taken
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if n := ran.Load(); n != 0 {
		t.Fatalf("a refused caller ran the tool %d times", n)
	}
}

// A flood of notifications stays the flood of who sends it.
func TestAttackNotificationFloodUnderAnotherName(t *testing.T) {
	t.Parallel()
	var rec recorder
	gate := make(chan struct{})
	r := guarded(t, nil, rec.at(mcpsec.StageAudit), at(mcpsec.StageLimit, "slow", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Method == "notifications/roots/list_changed" {
			<-gate
		}
		return next(ctx, call)
	}))
	r.install()
	raw := r.rawClient()
	for range 100 {
		raw.notify("notifications/roots/list_changed", `{}`)
	}
	close(gate)
	if err := raw.call("ping", `{}`); err != nil {
		t.Fatal(err)
	}
	calls := rec.of("notifications/roots/list_changed")
	if len(calls) != 100 {
		t.Fatalf("%d notifications recorded", len(calls))
	}
	for _, c := range calls {
		if c.Principal.Rung != mcpsec.Process {
			t.Fatalf("recorded as %s", c.Principal)
		}
	}
}

// A question in a result that a control wants to change is refused, and not asked
// unchanged.
func TestAttackQuestionThatAControlRedacts(t *testing.T) {
	t.Parallel()
	redact := at(mcpsec.StageInspect, "redact", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Outgoing {
			own := *call
			own.Arguments = json.RawMessage(strings.ReplaceAll(string(call.Arguments), "sure", "****"))
			call = &own
		}
		return next(ctx, call)
	})
	var a asker
	r := guarded(t, nil, redact)
	r.addRaw("ask", a.handle)
	asked := false
	r.start(&mcp.ClientOptions{ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
		asked = true
		return &mcp.ElicitResult{Action: "accept"}, nil
	}})
	if res, err := r.call("ask", nil); err == nil || asked {
		t.Fatalf("answered %v, asked %v", text(res), asked)
	}
}

// A control that renames a call would have the controls inside it judge another
// call than the one that runs.
func TestAttackRenamedCall(t *testing.T) {
	t.Parallel()
	rename := func(change func(*mcpsec.Call)) mcpsec.Control {
		return at(mcpsec.StageAudit, "rename", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			own := *call
			if call.Name == "danger" {
				change(&own)
			}
			return next(ctx, &own)
		})
	}
	for what, change := range map[string]func(*mcpsec.Call){
		"name":      func(c *mcpsec.Call) { c.Name = "safe" },
		"method":    func(c *mcpsec.Call) { c.Method = "ping" },
		"principal": func(c *mcpsec.Call) { c.Principal = mcpsec.Principal{Rung: mcpsec.Token, Subject: "admin"} },
		"direction": func(c *mcpsec.Call) { c.Outgoing = true },
	} {
		r := guarded(t, nil, rename(change), refuse{func(c *mcpsec.Call) bool { return c.Name == "danger" && c.Principal.Subject != "admin" }})
		addTool(r, &mcp.Tool{Name: "danger"}, readTool)
		r.start(nil)
		if res, err := r.call("danger", noteArgs{"x"}); err == nil {
			t.Errorf("%s: answered %v", what, text(res))
		}
	}
}

// One denial for many calls: the guard writes to its own copy. The race detector
// watches.
func TestAttackSharedDenial(t *testing.T) {
	t.Parallel()
	shared := codeTest.Deny("slow down")
	g, err := mcpsec.New(at(mcpsec.StageAllow, "shared", func(mcpsec.Handler, context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, shared }))
	if err != nil {
		t.Fatal(err)
	}
	h, _ := mcpsec.Wrap(g, "t", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, _ = h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "t"}})
		})
	}
	wg.Wait()
	if shared.CallID != "" || shared.Control != "" {
		t.Errorf("the control's denial was written to: %+v", shared)
	}
}

// A request state without a question cannot come back, so it does not go out.
func TestAttackStateWithoutAQuestion(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil)
	r.addRaw("leak", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{RequestState: "the handler's secret", Content: []mcp.Content{}}, nil
	})
	if res := r.start(nil).mustCall("leak", nil); res.RequestState != "" {
		t.Fatalf("the client read %q", res.RequestState)
	}
}

// A second initialize must not take over a session.
func TestAttackSecondInitialize(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil)
	r.install()
	raw := r.rawClient()
	if err := raw.call("initialize", `{"protocolVersion":"2025-11-25","capabilities":{}}`); err == nil {
		t.Fatal("initialized twice")
	}
	if err := raw.call("tools/list", `{}`); err != nil {
		t.Fatal(err)
	}
}
