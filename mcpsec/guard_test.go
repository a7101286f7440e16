package mcpsec_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// at places a function as a control.
func at(stage mcpsec.Stage, name string, do func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error)) mcpsec.Control {
	return mcpsec.At(stage, name, mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) { return do(next, ctx, call) }
	}))
}

type sole struct {
	mcpsec.ControlFunc
	name  string
	check error
}

func (s sole) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: s.name, Stage: mcpsec.StageAllow, Sole: true}
}
func (s sole) Check() error { return s.check }

var pass = mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler { return next })

func TestMisuseFailsAtConstruction(t *testing.T) {
	t.Parallel()
	var nilFunc mcpsec.ControlFunc
	tests := map[string]struct {
		controls []mcpsec.Control
		want     string
	}{
		"nil control":                {[]mcpsec.Control{nil}, "control 1 is nil"},
		"nil function":               {[]mcpsec.Control{mcpsec.At(mcpsec.StageAllow, "x", nilFunc)}, "x"},
		"nil inside At":              {[]mcpsec.Control{mcpsec.At(mcpsec.StageAllow, "x", nil)}, "nil inside At"},
		"nil inside InMode":          {[]mcpsec.Control{mcpsec.InMode(mcpsec.Observe, nil)}, "is nil"},
		"no stage":                   {[]mcpsec.Control{pass}, "declares no stage"},
		"unknown stage":              {[]mcpsec.Control{mcpsec.At(99, "x", pass)}, "unknown stage"},
		"zero stage":                 {[]mcpsec.Control{mcpsec.At(0, "x", pass)}, "unknown stage"},
		"no name":                    {[]mcpsec.Control{mcpsec.At(mcpsec.StageAllow, "", pass)}, "no name"},
		"unknown mode":               {[]mcpsec.Control{mcpsec.InMode(7, mcpsec.At(mcpsec.StageAllow, "x", pass))}, "unknown mode"},
		"wraps to nil":               {[]mcpsec.Control{mcpsec.At(mcpsec.StageAllow, "x", mcpsec.ControlFunc(func(mcpsec.Handler) mcpsec.Handler { return nil }))}, "Wrap returned nil"},
		"two that exclude":           {[]mcpsec.Control{sole{pass, "one", nil}, sole{pass, "one", nil}}, "exclude each other"},
		"unusable":                   {[]mcpsec.Control{sole{pass, "one", errors.New("disk on fire")}}, "disk on fire"},
		"settings twice":             {[]mcpsec.Control{mcpsec.Settings{}, mcpsec.Settings{}}, "Settings given twice"},
		"short key":                  {[]mcpsec.Control{mcpsec.Settings{StateKey: []byte("short")}}, "StateKey"},
		"empty key":                  {[]mcpsec.Control{mcpsec.Settings{StateKey: []byte{}}}, "StateKey"},
		"negative bound":             {[]mcpsec.Control{mcpsec.Settings{MaxBytes: -1}}, "MaxBytes"},
		"every fault is named":       {[]mcpsec.Control{nil, pass}, "declares no stage"},
		"sixty-five controls":        {slices.Repeat([]mcpsec.Control{mcpsec.At(mcpsec.StageAllow, "x", pass)}, 65), "more than 64"},
		"typed nil control declares": {[]mcpsec.Control{(*broken)(nil)}, "cannot be used"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := mcpsec.New(test.controls...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("New: %v, want %q", err, test.want)
			}
			if g != nil {
				t.Error("New returned a guard with an error")
			}
		})
	}
}

type broken struct{ name string }

func (b *broken) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: b.name, Stage: mcpsec.StageAllow}
}
func (b *broken) Wrap(next mcpsec.Handler) mcpsec.Handler { return next }

func TestMisuseOfToolsAndInstall(t *testing.T) {
	t.Parallel()
	var nilGuard *mcpsec.Guard
	if err := nilGuard.Install(mcp.NewServer(implementation, nil)); err == nil {
		t.Error("a nil guard was installed")
	}
	for name, g := range map[string]*mcpsec.Guard{"nil": nil, "zero": {}} {
		s := mcp.NewServer(implementation, nil)
		near, _ := mcp.NewInMemoryTransports()
		if _, err := s.Connect(t.Context(), g.Transport(near, mcpsec.Peer{}), nil); err == nil {
			t.Errorf("%s guard: connected", name)
		}
		w := httptest.NewRecorder()
		g.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("{}")))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("%s guard: served with %d", name, w.Code)
		}
		if err := errors.Join(g.Install(s), mcpsec.AddTool(g, s, &mcp.Tool{Name: "x"}, readTool)); err == nil || g.InForce(s) == nil {
			t.Errorf("%s guard: in force", name)
		}
		if _, err := mcpsec.Wrap(g, "x", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil }); err == nil {
			t.Errorf("%s guard: wrapped", name)
		}
	}
	g, err := mcpsec.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Install(nil); err == nil {
		t.Error("a guard was installed on nothing")
	}
	var handler mcp.ToolHandlerFor[noteArgs, noteArgs] = readTool
	s := mcp.NewServer(implementation, nil)
	for name, err := range map[string]error{
		"nil guard":       mcpsec.AddTool(nil, s, &mcp.Tool{Name: "a"}, handler),
		"nil server":      mcpsec.AddTool(g, nil, &mcp.Tool{Name: "b"}, handler),
		"nil tool":        mcpsec.AddTool(g, s, nil, handler),
		"nil handler":     mcpsec.AddTool[noteArgs, noteArgs](g, s, &mcp.Tool{Name: "c"}, nil),
		"unusable schema": mcpsec.AddTool(g, s, &mcp.Tool{Name: "d", InputSchema: map[string]any{"type": "array"}}, handler),
		"unencodable":     mcpsec.AddTool(g, s, &mcp.Tool{Name: "e", InputSchema: func() {}}, handler),
		"scalar input type": mcpsec.AddTool(g, s, &mcp.Tool{Name: "f"}, func(context.Context, *mcp.CallToolRequest, int) (*mcp.CallToolResult, none, error) {
			return nil, none{}, nil
		}),
	} {
		if err == nil {
			t.Errorf("%s: AddTool accepted it", name)
		}
	}
	if _, err := mcpsec.Wrap(nil, "x", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil }); err == nil {
		t.Error("Wrap accepted a nil guard")
	}
	if _, err := mcpsec.Wrap(g, "x", nil); err == nil {
		t.Error("Wrap accepted a nil handler")
	}
	if _, err := mcpsec.WrapFor[none, none](g, "x", nil); err == nil {
		t.Error("WrapFor accepted a nil handler")
	}
	if err := g.Install(s); err == nil {
		t.Error("Install forgot the refused tools")
	}

	g, _ = mcpsec.New()
	s = mcp.NewServer(implementation, nil)
	if err := g.Install(s); err != nil {
		t.Fatal(err)
	}
	other, _ := mcpsec.New()
	if err := other.Install(s); err == nil {
		t.Error("a second guard on a server")
	}

	r := guarded(t, nil)
	addTool(r, &mcp.Tool{Name: "read"}, readTool)
	r.install()
	if err := mcpsec.AddTool(r.guard, r.server, &mcp.Tool{Name: "late"}, readTool); !errors.Is(err, mcpsec.ErrSealed) {
		t.Errorf("a tool after sealing: %v", err)
	}
	if _, err := mcpsec.Wrap(r.guard, "late", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil }); !errors.Is(err, mcpsec.ErrSealed) {
		t.Errorf("a handler after sealing: %v", err)
	}
	if err := r.guard.Install(r.server); !errors.Is(err, mcpsec.ErrSealed) {
		t.Errorf("Install twice: %v", err)
	}
	if err := r.guard.Install(mcp.NewServer(implementation, nil)); err == nil {
		t.Error("Install on another server")
	}
}

func TestToolsWithoutAGuardOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil)
	addTool(r, &mcp.Tool{Name: "guarded"}, readTool)
	mcp.AddTool(r.server, &mcp.Tool{Name: "bare"}, readTool)
	if err := r.guard.Install(r.server); err == nil || !strings.Contains(err.Error(), "bare") {
		t.Fatalf("Install: %v", err)
	}

	r = guarded(t, nil) // without any guarded tool, Install alone guards an unchanged server
	mcp.AddTool(r.server, &mcp.Tool{Name: "bare"}, readTool)
	r.start(nil)
	r.mustCall("bare", noteArgs{"x"})
	mcp.AddTool(r.server, &mcp.Tool{Name: "late"}, readTool)
	if res, err := r.call("late", noteArgs{"x"}); err == nil {
		t.Fatalf("a tool added after sealing ran: %v", res)
	}
	list, err := r.client.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 1 {
		t.Fatalf("a tool added after sealing is listed: %v, %v", list, err)
	}
}

func TestMiddlewareAddedAfterInstall(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil)
	addTool(r, &mcp.Tool{Name: "read"}, readTool)
	r.start(nil)
	r.mustCall("read", noteArgs{"x"})
	var mw counting
	r.server.AddReceivingMiddleware(mw.middleware)
	if _, err := r.client.ListTools(t.Context(), nil); wireCode(err) != mcpsec.CodeUnavailable {
		t.Fatalf("a list behind a foreign middleware: %v", err)
	}
	if _, err := r.call("read", noteArgs{"x"}); wireCode(err) != mcpsec.CodeUnavailable {
		t.Fatalf("a call behind a foreign middleware: %v", err)
	}
	if codes := r.alarms.codes(); !slices.Equal(codes, []string{"guard.outflanked"}) {
		t.Errorf("alarms %v", codes)
	}
}

// A middleware that is added after Install and answers by itself never calls the
// guard; at the frame its answers are dropped all the same.
func TestAnswersThatNeverMetTheGuard(t *testing.T) {
	t.Parallel()
	answering := func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "tools/call" {
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "evil"}}}, nil
			}
			return next(ctx, method, req)
		}
	}
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		r := bare(t, nil)
		addTool(r, &mcp.Tool{Name: "read"}, readTool)
		r.start(nil)
		r.server.AddReceivingMiddleware(answering)
		if text(r.mustCall("read", noteArgs{"x"})) != "evil" {
			t.Fatal("the SDK no longer lets later middleware answer")
		}
	})
	t.Run("over a transport", func(t *testing.T) {
		t.Parallel()
		var rec recorder
		r := guarded(t, nil, rec.at(mcpsec.StageAudit))
		addTool(r, &mcp.Tool{Name: "read"}, readTool)
		r.start(nil)
		r.server.AddReceivingMiddleware(answering)
		for range 2 {
			if res, err := r.call("read", noteArgs{"x"}); wireCode(err) != mcpsec.CodeUnavailable {
				t.Fatalf("answered %v, %v", text(res), err)
			}
		}
		if codes := r.alarms.codes(); !slices.Equal(codes, []string{"guard.outflanked"}) {
			t.Errorf("alarms %v", codes)
		}
		if codes := rec.denials("tools/call"); !slices.Equal(codes, []string{"guard.outflanked", "guard.outflanked"}) {
			t.Errorf("recorded %v", codes)
		}
	})
	t.Run("over HTTP", func(t *testing.T) {
		t.Parallel()
		r := guarded(t, nil)
		addTool(r, &mcp.Tool{Name: "read"}, readTool)
		r.install()
		web := httptest.NewServer(r.guard.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return r.server }, nil)))
		defer web.Close()
		cs, err := mcp.NewClient(implementation, nil).Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: web.URL, DisableStandaloneSSE: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer cs.Close()
		r.client = cs
		r.mustCall("read", noteArgs{"x"})
		r.server.AddReceivingMiddleware(answering)
		if res, err := r.call("read", noteArgs{"x"}); err == nil {
			t.Fatalf("answered %v", text(res))
		}
		if codes := r.alarms.codes(); !slices.Equal(codes, []string{"guard.outflanked"}) {
			t.Errorf("alarms %v", codes)
		}
	})
}

// A frame in front of a server on which nobody installed the guard lets nothing out.
func TestFrameWithoutInstall(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil)
	mcp.AddTool(r.server, &mcp.Tool{Name: "bare"}, readTool)
	if err := r.rawUninitialized().call("initialize", `{"protocolVersion":"2025-11-25","capabilities":{}}`); wireCode(err) != mcpsec.CodeUnavailable {
		t.Fatalf("answered %v", err)
	}
	if codes := r.alarms.codes(); len(codes) != 0 {
		t.Errorf("alarms %v", codes)
	}
}

// A server whose Install failed refuses every call, whoever's server it is.
func TestFailedInstallLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	first := guarded(t, nil)
	addTool(first, &mcp.Tool{Name: "read"}, readTool)
	first.install()
	second := bare(t, nil)
	addTool(second, &mcp.Tool{Name: "read"}, readTool)
	if err := first.guard.Install(second.server); err == nil {
		t.Fatal("one guard on two servers")
	}
	if err := second.rawUninitialized().call("initialize", `{"protocolVersion":"2025-11-25","capabilities":{}}`); wireCode(err) != mcpsec.CodeUnavailable {
		t.Fatalf("the second server answered %v", err)
	}
	first.connect(nil)
	first.mustCall("read", noteArgs{"x"})
	if err := first.guard.Install(first.server); !errors.Is(err, mcpsec.ErrSealed) {
		t.Fatalf("Install twice: %v", err)
	}
	first.mustCall("read", noteArgs{"x"})
}

func TestMiddlewareBeforeInstallIsInside(t *testing.T) {
	t.Parallel()
	r := guarded(t, nil, refuseName("read"))
	var mw counting
	r.server.AddReceivingMiddleware(mw.middleware)
	addTool(r, &mcp.Tool{Name: "read"}, readTool)
	r.start(nil)
	if _, err := r.call("read", noteArgs{"x"}); err == nil {
		t.Fatal("the call passed")
	}
	if mw.count("tools/call") != 0 {
		t.Fatal("a refused call reached the middleware inside")
	}
}

func TestOrderIsTheGuards(t *testing.T) {
	t.Parallel()
	var order []string
	note := func(stage mcpsec.Stage, name string) mcpsec.Control {
		return at(stage, name, func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			if call.Method == "tools/call" {
				order = append(order, name)
			}
			return next(ctx, call)
		})
	}
	r := guarded(t, nil,
		note(mcpsec.StageCreds, "creds"), note(mcpsec.StageBudget, "budget"), note(mcpsec.StageAudit, "audit"),
		note(mcpsec.StageAttest, "attest"), note(mcpsec.StageAllow, "allow 1"), note(mcpsec.StageInspect, "inspect"),
		note(mcpsec.StageAllow, "allow 2"), note(mcpsec.StageLimit, "limit"))
	addTool(r, &mcp.Tool{Name: "read"}, readTool)
	r.start(nil).mustCall("read", noteArgs{"x"})
	want := []string{"audit", "limit", "allow 1", "allow 2", "inspect", "budget", "attest", "creds"}
	if !slices.Equal(order, want) {
		t.Fatalf("order %v, want %v", order, want)
	}
	var names []string
	for _, p := range r.guard.Postures() {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, want) {
		t.Fatalf("postures %v", names)
	}
}

func TestObserveAndFailOpen(t *testing.T) {
	t.Parallel()
	var runs int
	refusing := at(mcpsec.StageAllow, "c", func(mcpsec.Handler, context.Context, *mcpsec.Call) (mcp.Result, error) {
		return nil, codeTest.Deny("no")
	})
	refusingAfter := at(mcpsec.StageAllow, "c", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if _, err := next(ctx, call); err != nil {
			return nil, err
		}
		return nil, codeTest.Deny("no")
	})
	failing := at(mcpsec.StageAllow, "c", func(mcpsec.Handler, context.Context, *mcpsec.Call) (mcp.Result, error) {
		return nil, errors.New("store down")
	})
	failingAfter := at(mcpsec.StageAllow, "c", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		_, _ = next(ctx, call)
		return nil, errors.New("store down")
	})
	panicking := at(mcpsec.StageAllow, "c", func(mcpsec.Handler, context.Context, *mcpsec.Call) (mcp.Result, error) { panic("bug") })
	panickingAfter := at(mcpsec.StageAllow, "c", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		_, _ = next(ctx, call)
		panic("bug")
	})
	swallowing := at(mcpsec.StageAllow, "c", func(mcpsec.Handler, context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, nil })
	fresh := at(mcpsec.StageAllow, "c", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		return next(ctx, &mcpsec.Call{Method: call.Method, Name: call.Name})
	})
	otherContext := at(mcpsec.StageAllow, "c", func(next mcpsec.Handler, _ context.Context, call *mcpsec.Call) (mcp.Result, error) {
		return next(context.Background(), call)
	})
	const closed, failed, noted = "guard.control_failed", true, true
	tests := []struct {
		name    string
		control mcpsec.Control
		code    string // of the refusal; "" if the call passes
		runs    int
		finding bool
		failed  bool
	}{
		{"a refusal refuses", refusing, "test.refused", 0, false, false},
		{"a refusal observed", mcpsec.InMode(mcpsec.Observe, refusing), "", 1, noted, false},
		{"a refusal after the handler", refusingAfter, "test.refused", 1, false, false},
		{"a refusal after the handler observed runs it once", mcpsec.InMode(mcpsec.Observe, refusingAfter), "", 1, noted, false},
		{"fail open does not excuse a refusal", mcpsec.FailOpen(refusing), "test.refused", 0, false, false},
		{"a failure refuses", failing, closed, 0, false, false},
		{"a failure that opens", mcpsec.FailOpen(failing), "", 1, noted, failed},
		{"a failure observed", mcpsec.InMode(mcpsec.Observe, failing), "", 1, noted, failed},
		{"a failure after the handler withholds the result", failingAfter, closed, 1, false, false},
		{"a failure after the handler that opens runs it once", mcpsec.FailOpen(failingAfter), "", 1, noted, failed},
		{"a panic refuses", panicking, closed, 0, false, false},
		{"a panic that opens", mcpsec.FailOpen(panicking), "", 1, noted, failed},
		{"a panic after the handler withholds the result", panickingAfter, closed, 1, false, false},
		{"a panic after the handler that opens runs it once", mcpsec.FailOpen(panickingAfter), "", 1, noted, failed},
		{"swallowing the call refuses", swallowing, closed, 0, false, false},
		{"a call made up refuses", fresh, closed, 0, false, false},
		{"a context made up refuses", otherContext, closed, 0, false, false},
		{"both modifiers, either way round", mcpsec.FailOpen(mcpsec.InMode(mcpsec.Observe, failing)), "", 1, noted, failed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			runs = 0
			var findings []mcpsec.Finding
			watch := at(mcpsec.StageAudit, "watch", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
				res, err := next(ctx, call)
				findings = call.Findings()
				return res, err
			})
			g, err := mcpsec.New(watch, test.control)
			if err != nil {
				t.Fatal(err)
			}
			h, err := mcpsec.Wrap(g, "t", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				runs++
				return &mcp.CallToolResult{}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			res, err := h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "t"}})
			if (err == nil) != (test.code == "") || (res != nil) != (test.code == "") {
				t.Errorf("answered %v, %v", res, err)
			}
			if runs != test.runs {
				t.Errorf("the handler ran %d times, want %d", runs, test.runs)
			}
			if (len(findings) == 1) != test.finding || test.finding && (findings[0].Failed != test.failed || findings[0].Control != "c") {
				t.Errorf("findings %+v", findings)
			}
		})
	}
}

func TestArgumentsChangedByAControl(t *testing.T) {
	t.Parallel()
	redact := at(mcpsec.StageInspect, "redact", func(next mcpsec.Handler, ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Method == "tools/call" {
			own := *call
			own.Arguments = json.RawMessage(`{"path":"clean"}`)
			call = &own
		}
		return next(ctx, call)
	})
	r := guarded(t, nil, redact)
	addTool(r, &mcp.Tool{Name: "typed"}, readTool)
	r.addRaw("raw", func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(req.Params.Arguments)}}}, nil
	})
	r.start(nil)
	for _, name := range []string{"typed", "raw"} {
		if got := text(r.mustCall(name, noteArgs{"dirty"})); got != `{"path":"clean"}` {
			t.Errorf("%s ran with %s", name, got)
		}
	}
}

func TestContextIsPassedThrough(t *testing.T) {
	t.Parallel()
	type key struct{}
	g, err := mcpsec.New(mcpsec.Settings{CallTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var got context.Context
	inside := func() {}
	h, _ := mcpsec.Wrap(g, "t", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		got = ctx
		inside()
		return &mcp.CallToolResult{}, nil
	})
	call := func(ctx context.Context) {
		t.Helper()
		if _, err := h(ctx, &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "t"}}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "v"))
	inside = func() {
		if got.Value(key{}) != "v" || got.Err() != nil {
			t.Error("value lost")
		}
		child, stop := context.WithCancel(got)
		defer stop()
		cancel(errors.New("why"))
		<-child.Done()
		if !errors.Is(got.Err(), context.Canceled) || context.Cause(got).Error() != "why" {
			t.Errorf("cancellation arrived as %v because %v", got.Err(), context.Cause(got))
		}
	}
	call(ctx)
	inside = func() {}
	kept, stop := context.WithCancel(got) // kept beyond the call: over, and no timer runs on
	defer stop()
	if kept.Err() == nil {
		t.Error("a context outlives its call")
	}

	soon, cancelSoon := context.WithTimeout(t.Context(), time.Minute)
	defer cancelSoon()
	call(soon)
	want, _ := soon.Deadline()
	if d, ok := got.Deadline(); !ok || !d.Equal(want) {
		t.Errorf("the caller's earlier deadline became %v", d)
	}
	call(t.Context())
	if d, ok := got.Deadline(); !ok || time.Until(d) > time.Hour {
		t.Errorf("the guard's own deadline is %v", d)
	}

	late, _ := mcpsec.New(mcpsec.Settings{CallTimeout: time.Nanosecond})
	h, _ = mcpsec.Wrap(late, "t", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if _, err := h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "t"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	free, _ := mcpsec.New(mcpsec.Settings{CallTimeout: -1})
	h, _ = mcpsec.Wrap(free, "t", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		got = ctx
		return &mcp.CallToolResult{}, nil
	})
	call(context.Background())
	if _, ok := got.Deadline(); ok || got.Done() != nil {
		t.Error("an unbounded call has a deadline")
	}
}

func TestNestedHandlersAreCallsOfTheirOwn(t *testing.T) {
	t.Parallel()
	var rec recorder
	g, err := mcpsec.New(rec.at(mcpsec.StageLimit))
	if err != nil {
		t.Fatal(err)
	}
	request := func(name string) *mcp.CallToolRequest {
		return &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: name}}
	}
	inner, _ := mcpsec.Wrap(g, "inner", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	})
	outer, _ := mcpsec.Wrap(g, "outer", func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return inner(ctx, request("inner"))
	})
	if _, err := outer(t.Context(), request("outer")); err != nil {
		t.Fatal(err)
	}
	calls := rec.of("tools/call")
	if len(calls) != 2 || calls[0].Name != "inner" || calls[0].Parent != calls[1].ID {
		t.Fatalf("charged %+v", calls)
	}
	if _, err := inner(t.Context(), request("outer")); wireCode(err) != mcpsec.CodeUnavailable {
		t.Errorf("a handler that is called by another tool's name: %v", err)
	}
}

func TestDenialFromAHandlerIsARefusal(t *testing.T) {
	t.Parallel()
	var rec recorder
	denied := mcpsec.Code{Name: "test.denied", Kind: mcpsec.Unavailable}
	r := guarded(t, nil, rec.at(mcpsec.StageAudit))
	addTool(r, &mcp.Tool{Name: "typed"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, none, error) {
		return nil, none{}, denied.Deny("not yours").Because(errors.New("secret detail"))
	})
	r.addRaw("raw", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, denied.Deny("not yours").Because(errors.New("secret detail"))
	})
	r.start(nil)
	for _, name := range []string{"typed", "raw"} {
		_, err := r.call(name, nil)
		wire, _ := errors.AsType[*jsonrpc.Error](err)
		if wire == nil || wire.Code != mcpsec.CodeUnavailable || !strings.Contains(string(wire.Data), `"test.denied"`) || strings.Contains(err.Error()+string(wire.Data), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if codes := rec.denials("tools/call"); !slices.Equal(codes, []string{"test.denied", "test.denied"}) {
		t.Errorf("recorded %v", codes)
	}
}

func TestHandlerErrorsPassUnchanged(t *testing.T) {
	t.Parallel()
	build := func(r *rig) {
		addTool(r, &mcp.Tool{Name: "plain"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, none, error) {
			return nil, none{}, errors.New("file not found")
		})
		addTool(r, &mcp.Tool{Name: "wire"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, none, error) {
			return nil, none{}, &jsonrpc.Error{Code: -32005, Message: "custom"}
		})
		addTool(r, &mcp.Tool{Name: "pointer"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, *noteArgs, error) {
			return nil, nil, nil
		})
		r.addRaw("raw", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return nil, errors.New("raw failure")
		})
		r.server.AddPrompt(&mcp.Prompt{Name: "p"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return nil, errors.New("no prompt")
		})
		r.start(nil)
	}
	answers := func(r *rig) (out []string) {
		build(r)
		for _, name := range []string{"plain", "wire", "pointer", "raw", "unknown"} {
			res, err := r.call(name, nil)
			b, _ := json.Marshal(res)
			out = append(out, name+": "+string(b)+" "+errorText(err))
		}
		for _, args := range []any{map[string]any{"extra": 1}, map[string]any{}} {
			res, err := r.call("plain", args)
			b, _ := json.Marshal(res)
			out = append(out, string(b)+errorText(err))
		}
		_, err := r.client.GetPrompt(r.t.Context(), &mcp.GetPromptParams{Name: "p"})
		out = append(out, errorText(err))
		_, err = r.client.GetPrompt(r.t.Context(), &mcp.GetPromptParams{Name: "nowhere"})
		out = append(out, errorText(err))
		_, err = r.client.ReadResource(r.t.Context(), &mcp.ReadResourceParams{URI: "x://nowhere"})
		return append(out, errorText(err))
	}
	b, g := answers(bare(t, nil)), answers(guarded(t, nil))
	for i := range b {
		got := g[i]
		if at := strings.Index(got, `"io.github.mcpsec/denial":{`); at >= 0 { // the one addition: code and call id of refused arguments
			end := at + strings.Index(got[at:], "},") + 2
			got = got[:at] + got[end:]
		}
		if b[i] != got {
			t.Errorf("bare    %s\nguarded %s", b[i], got)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return "<nil>"
	}
	return err.Error()
}

// A refusal of each method looks like the answer for what does not exist.
func TestRefusedLooksUnknown(t *testing.T) {
	t.Parallel()
	r := guarded(t, &mcp.ServerOptions{CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
		return &mcp.CompleteResult{}, nil
	}}, refuse{func(c *mcpsec.Call) bool { return strings.Contains(c.Name, "hidden") || c.Method == "acme/hidden" }})
	addTool(r, &mcp.Tool{Name: "hidden"}, readTool)
	r.server.AddPrompt(&mcp.Prompt{Name: "hidden"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) { return nil, nil })
	r.server.AddResource(&mcp.Resource{URI: "x://hidden", Name: "hidden"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) { return nil, nil })
	if err := mcp.AddReceivingCustomMethod(r.server, "acme/hidden", func(context.Context, *mcp.ServerSession, *customParams) (*customResult, error) {
		return &customResult{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	r.install()
	raw := r.rawClient()
	for method, params := range map[string]string{
		"tools/call":     `{"name":"NAME"}`,
		"prompts/get":    `{"name":"NAME"}`,
		"resources/read": `{"uri":"x://NAME"}`,
	} {
		hidden := raw.call(method, strings.ReplaceAll(params, "NAME", "hidden"))
		absent := raw.call(method, strings.ReplaceAll(params, "NAME", "absent"))
		if hidden == nil || absent == nil || wireCode(hidden) != wireCode(absent) || strings.ReplaceAll(hidden.Error(), "hidden", "absent") != absent.Error() || wireData(hidden) != "" && method != "resources/read" {
			t.Errorf("%s: hidden %v, absent %v", method, hidden, absent)
		}
	}
	if h, a := raw.call("acme/hidden", `{}`), raw.call("acme/absent", `{}`); wireCode(h) != wireCode(a) {
		t.Errorf("hidden method %v, absent %v", h, a)
	}
	for _, list := range []string{"tools/list", "prompts/list", "resources/list"} {
		body, err := raw.answer(raw.send(list, `{}`))
		if err != nil || strings.Contains(string(body), "hidden") {
			t.Errorf("%s: %s, %v", list, body, err)
		}
	}
}
