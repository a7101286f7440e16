package creds_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

type in struct {
	Ask string `json:"ask"`
}

// body is what a handler does in a test.
type body func(ctx context.Context, ask string) (string, error)

func (b body) handle(ctx context.Context, _ *mcp.CallToolRequest, i in) (*mcp.CallToolResult, any, error) {
	text, err := b(ctx, i.Ask)
	if err != nil {
		return nil, nil, err
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
}

// reveal answers with the secret that the call asks for.
func reveal(ctx context.Context, ask string) (string, error) {
	v, err := creds.Secret(ctx, ask)
	if err != nil {
		return "", err
	}
	return string(v.Reveal()), nil
}

// record keeps what the audit record would.
type record struct {
	mu      sync.Mutex
	notes   [][]mcpsec.Note
	denials []*mcpsec.Denial
}

func (r *record) control() mcpsec.Control {
	return mcpsec.At(mcpsec.StageAudit, "record", mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			res, err := next(ctx, call)
			r.mu.Lock()
			defer r.mu.Unlock()
			if call.Method == "tools/call" {
				r.notes = append(r.notes, call.Notes())
			}
			if d := mcpsec.AsDenial(err); d != nil {
				r.denials = append(r.denials, d)
			}
			return res, err
		}
	}))
}

func (r *record) last() ([]mcpsec.Note, *mcpsec.Denial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var d *mcpsec.Denial
	if len(r.denials) > 0 {
		d = r.denials[len(r.denials)-1]
	}
	return r.notes[len(r.notes)-1], d
}

// serve starts a guarded server with these tools and returns a client of it.
func serve(t *testing.T, injector *creds.Injector, tools map[string]body) (*mcp.ClientSession, *record) {
	t.Helper()
	r := &record{}
	guard, err := mcpsec.New(injector, r.control())
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes"}, nil)
	for name, b := range tools {
		if err := mcpsec.AddTool(guard, server, &mcp.Tool{Name: name}, b.handle); err != nil {
			t.Fatal(err)
		}
	}
	if err := guard.Install(server); err != nil {
		t.Fatal(err)
	}
	near, far := mcp.NewInMemoryTransports()
	ss, err := server.Connect(t.Context(), guard.Transport(far, mcpsec.Peer{Process: "uid:1000"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cs.Close(); ss.Wait() })
	return cs, r
}

func call(t *testing.T, cs *mcp.ClientSession, tool, ask string) (string, error) {
	t.Helper()
	res, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: map[string]any{"ask": ask}})
	if err != nil {
		return "", err
	}
	text := res.Content[0].(*mcp.TextContent).Text
	if res.IsError {
		return "", errors.New(text)
	}
	return text, nil
}

// denied asserts a refusal on the wire with this code, and that nothing is learnt
// from it.
func denied(t *testing.T, err error, code string) {
	t.Helper()
	var wire *jsonrpc.Error
	if !errors.As(err, &wire) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if wire.Code != mcpsec.CodeUnavailable || !strings.Contains(string(wire.Data), `"`+code+`"`) {
		t.Fatalf("refused with %d %s, want %s", wire.Code, wire.Data, code)
	}
	if wire.Message != "refused" {
		t.Errorf("the refusal says %q", wire.Message)
	}
}

func TestEachToolGetsItsOwn(t *testing.T) {
	expires := time.Now().Add(time.Hour)
	var got creds.Request
	issuer := creds.ProviderFunc(func(_ context.Context, s creds.Spec, r creds.Request) (creds.Material, error) {
		got = r
		role, _ := s.Param("role")
		return creds.Material{Secret: creds.NewValue([]byte("of " + role)), Expires: expires, Version: "v 1", Public: map[string]string{"key_id": "AKIA1"}}, nil
	})
	cs, r := serve(t, creds.New(
		creds.ForTool("list", creds.Named("store", creds.Static([]byte("list-key")))),
		creds.ForTool("write", creds.Named("store", creds.Static([]byte("write-key"))), creds.Named("role", issuer, creds.With("role", "writer"))),
	), map[string]body{"list": reveal, "write": reveal, "other": reveal})
	for _, want := range []struct{ tool, ask, text string }{
		{"list", "store", "list-key"}, {"write", "store", "write-key"}, {"write", "role", "of writer"}, {"list", "store", "list-key"},
	} {
		if text, err := call(t, cs, want.tool, want.ask); err != nil || text != want.text {
			t.Errorf("%s of %s: %q, %v", want.ask, want.tool, text, err)
		}
	}
	if _, err := call(t, cs, "write", "role"); err != nil {
		t.Fatal(err)
	}
	notes, _ := r.last()
	if want := `version="v 1" expires=` + expires.UTC().Format(time.RFC3339) + " key_id=AKIA1"; len(notes) != 1 || notes[0] != (mcpsec.Note{Key: "creds.role", Value: want}) {
		t.Errorf("noted %v, want %s", notes, want)
	}
	if got.Tool != "write" || got.CallID == "" || got.Principal.Subject != "uid:1000" {
		t.Errorf("the provider was asked with %+v", got)
	}
}

func TestToolAsksForAnothersCredential(t *testing.T) {
	cs, r := serve(t, creds.New(
		creds.ForTool("list", creds.Named("store", creds.Static([]byte("list-key")))),
		creds.ForTool("admin", creds.Named("root", creds.Static([]byte("root-key")))),
	), map[string]body{"list": reveal, "admin": reveal, "unbound": reveal})
	var answers []string
	for _, ask := range []struct{ tool, name string }{
		{"list", "root"}, {"list", "no_such_thing"}, {"unbound", "root"}, {"unbound", "store"}, {"list", ""}, {"list", "Store"}, {"list", "admin"},
	} {
		_, err := call(t, cs, ask.tool, ask.name)
		denied(t, err, "creds.not_bound")
		notes, d := r.last()
		if len(notes) != 0 || d.Control != "creds" || !strings.Contains(d.Detail, ask.tool) {
			t.Errorf("recorded %v, %+v", notes, d)
		}
		answers = append(answers, d.Error())
	}
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("what exists elsewhere can be told from what does not: %q, %q", a, answers[0])
		}
	}
}

func TestHandlerSeesTheSameForHiddenAndMissing(t *testing.T) {
	var texts []string
	cs, _ := serve(t, creds.New(
		creds.ForTool("list", creds.Named("store", creds.Static([]byte("k")))),
		creds.ForTool("admin", creds.Named("root", creds.Static([]byte("k")))),
	), map[string]body{"admin": reveal, "list": func(ctx context.Context, ask string) (string, error) {
		_, err := creds.Secret(ctx, ask)
		texts = append(texts, fmt.Sprintf("%v %s", err, strings.ReplaceAll(mcpsec.AsDenial(err).Detail, ask, "NAME")))
		return "swallowed", nil
	}})
	for _, ask := range []string{"root", "nope"} {
		if text, err := call(t, cs, "list", ask); err != nil || text != "swallowed" {
			t.Fatal(text, err)
		}
	}
	if texts[0] != texts[1] {
		t.Errorf("%q, %q", texts[0], texts[1])
	}
}

func TestGoroutineLeftBehind(t *testing.T) {
	type late struct {
		handle *creds.Handle
		ctx    context.Context
		value  creds.Value
	}
	left := make(chan late, 1)
	cs, r := serve(t, creds.New(creds.ForTool("list", creds.Named("a", creds.Static([]byte("key"))), creds.Named("b", creds.Static([]byte("key"))))),
		map[string]body{"list": func(ctx context.Context, _ string) (string, error) {
			h, err := creds.From(ctx)
			if err != nil {
				return "", err
			}
			v, err := creds.Secret(ctx, "a")
			left <- late{h, context.WithoutCancel(ctx), v}
			return "done", err
		}})
	if _, err := call(t, cs, "list", ""); err != nil {
		t.Fatal(err)
	}
	l := <-left
	for _, name := range []string{"a", "b", "none"} {
		_, byHandle := l.handle.Get(t.Context(), name)
		_, byContext := creds.Secret(l.ctx, name)
		for _, err := range []error{byHandle, byContext} {
			if d := mcpsec.AsDenial(err); d == nil || d.Code != "creds.closed" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if b := l.value.Reveal(); b != nil {
		t.Errorf("the secret outlived the call: %q", b)
	}
	if notes, _ := r.last(); len(notes) != 1 {
		t.Errorf("notes: %v", notes)
	}
}

func TestNestedTool(t *testing.T) {
	var inner mcp.ToolHandler
	outer := func(ctx context.Context, ask string) (string, error) {
		before, err := reveal(ctx, "outer_key")
		if err != nil {
			return "", err
		}
		req := &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "inner", Arguments: []byte(`{"ask":"` + ask + `"}`)}}
		res, err := inner(ctx, req)
		if err != nil {
			return "", err
		}
		after, err := reveal(ctx, "outer_key") // the inner run closed its own handle only
		return before + " " + res.Content[0].(*mcp.TextContent).Text + " " + after, err
	}
	injector := creds.New(
		creds.ForTool("outer", creds.Named("outer_key", creds.Static([]byte("O")))),
		creds.ForTool("inner", creds.Named("inner_key", creds.Static([]byte("I")))),
	)
	guard, err := mcpsec.New(injector)
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(name string, b body) mcp.ToolHandler {
		h, err := mcpsec.Wrap(guard, name, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var ask string
			_, _ = fmt.Sscanf(string(req.Params.Arguments), `{"ask":%q}`, &ask)
			res, _, err := b.handle(ctx, req, in{ask})
			return res, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	inner = wrap("inner", reveal)
	h := wrap("outer", outer)
	run := func(ask string) (string, error) {
		res, err := h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "outer", Arguments: []byte(`{"ask":"` + ask + `"}`)}})
		if err != nil {
			return "", err
		}
		return res.Content[0].(*mcp.TextContent).Text, nil
	}
	if text, err := run("inner_key"); err != nil || text != "O I O" {
		t.Errorf("%q, %v", text, err)
	}
	_, err = run("outer_key")
	denied(t, err, "creds.not_bound")
}

func TestOutsideAGuardedTool(t *testing.T) {
	for name, ctx := range map[string]context.Context{"background": context.Background(), "test": t.Context()} {
		if _, err := creds.From(ctx); mcpsec.AsDenial(err) == nil || mcpsec.AsDenial(err).Code != "creds.no_handle" {
			t.Errorf("%s: %v", name, err)
		}
		if v, err := creds.Secret(ctx, "store"); mcpsec.AsDenial(err) == nil || !v.Empty() {
			t.Errorf("%s: %v", name, err)
		}
	}
	var h *creds.Handle
	if _, err := h.Get(t.Context(), "x"); mcpsec.AsDenial(err) == nil {
		t.Errorf("nil handle: %v", err)
	}
	if _, err := new(creds.Handle).Get(t.Context(), "x"); mcpsec.AsDenial(err) == nil {
		t.Errorf("zero handle: %v", err)
	}
	// A resource handler of the same server has none either.
	injector := creds.New(creds.ForTool("list", creds.Named("store", creds.Static([]byte("k")))))
	h2 := injector.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		_, err := creds.From(ctx)
		return nil, err
	})
	for _, c := range []*mcpsec.Call{{Method: "resources/read", Name: "list"}, {Method: "tools/call", Outgoing: true}} {
		if _, err := h2(t.Context(), c); mcpsec.AsDenial(err) == nil || mcpsec.AsDenial(err).Code != "creds.no_handle" {
			t.Errorf("%s: %v", c.Method, err)
		}
	}
	h3 := injector.Wrap(func(ctx context.Context, _ *mcpsec.Call) (mcp.Result, error) {
		_, err := creds.Secret(ctx, "store")
		return nil, err
	})
	if _, err := h3(t.Context(), &mcpsec.Call{Method: "tools/call", Name: "list"}); mcpsec.AsDenial(err) == nil || mcpsec.AsDenial(err).Code != "creds.not_bound" {
		t.Errorf("a call that is for no known tool: %v", err)
	}
}

func TestParallelToolsNeverShare(t *testing.T) {
	names := []string{"tool_a", "tool_b", "tool_c", "tool_d"}
	var bindings []creds.Binding
	tools := map[string]body{}
	var mu sync.Mutex
	seen := map[*creds.Handle]string{}
	for _, name := range names {
		bindings = append(bindings, creds.ForTool(name, creds.Named("key", creds.Static([]byte("of "+name)))))
		tools[name] = func(ctx context.Context, ask string) (string, error) {
			h, err := creds.From(ctx)
			if err != nil {
				return "", err
			}
			mu.Lock()
			if of, twice := seen[h]; twice {
				t.Errorf("a handle of %s came back in %s", of, name)
			}
			seen[h] = name
			mu.Unlock()
			return reveal(ctx, ask)
		}
	}
	cs, _ := serve(t, creds.New(bindings...), tools)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 25 {
				name := names[(i+j)%len(names)]
				if text, err := call(t, cs, name, "key"); err != nil || text != "of "+name {
					t.Errorf("%s got %q, %v", name, text, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestNewRefuses(t *testing.T) {
	ok := creds.Static([]byte("k"))
	dir := t.TempDir()
	for fault, test := range map[string]struct {
		bindings []creds.Binding
		want     string
	}{
		"no tool":            {[]creds.Binding{creds.ForTool("", creds.Named("a", ok))}, "has no tool"},
		"zero binding":       {[]creds.Binding{{}}, "has no tool"},
		"tool twice":         {[]creds.Binding{creds.ForTool("t", creds.Named("a", ok)), creds.ForTool("t", creds.Named("b", ok))}, "bound twice"},
		"bound to nothing":   {[]creds.Binding{creds.ForTool("t")}, "bound to nothing"},
		"no name":            {[]creds.Binding{creds.ForTool("t", creds.Named("", ok))}, "1 to 64"},
		"long name":          {[]creds.Binding{creds.ForTool("t", creds.Named(strings.Repeat("n", 65), ok))}, "1 to 64"},
		"strange name":       {[]creds.Binding{creds.ForTool("t", creds.Named("a b", ok))}, "has only"},
		"inner strange":      {[]creds.Binding{creds.ForTool("t", creds.Named("a\nb", ok))}, "has only"},
		"name twice":         {[]creds.Binding{creds.ForTool("t", creds.Named("a", ok), creds.Named("a", ok))}, "granted twice"},
		"nil provider":       {[]creds.Binding{creds.ForTool("t", creds.Named("a", nil))}, "no provider"},
		"typed nil":          {[]creds.Binding{creds.ForTool("t", creds.Named("a", (*broken)(nil)))}, "panicked"},
		"zero grant":         {[]creds.Binding{creds.ForTool("t", creds.Grant{})}, "1 to 64"},
		"parameter twice":    {[]creds.Binding{creds.ForTool("t", creds.Named("a", ok, creds.With("k", "1"), creds.With("k", "2")))}, "given twice"},
		"empty static":       {[]creds.Binding{creds.ForTool("t", creds.Named("a", creds.Static(nil)))}, "empty"},
		"missing file":       {[]creds.Binding{creds.ForTool("t", creds.Named("a", creds.File(dir+"/none")))}, "no such file"},
		"second is at fault": {[]creds.Binding{creds.ForTool("u", creds.Named("a", ok)), creds.ForTool("t", creds.Named("a", ok), creds.Named("b", nil))}, `tool "t", credential "b"`},
	} {
		if _, err := mcpsec.New(creds.New(test.bindings...)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", fault, err, test.want)
		}
	}
	if _, err := mcpsec.New(creds.New(), creds.New()); err == nil {
		t.Error("two Injectors were accepted")
	}
	if _, err := mcpsec.New((*creds.Injector)(nil)); err == nil {
		t.Error("a nil Injector was accepted")
	}
	if _, err := mcpsec.New(creds.New()); err != nil {
		t.Errorf("no bindings: %v", err)
	}
}

type broken struct{ path string }

func (b *broken) Issue(context.Context, creds.Spec, creds.Request) (creds.Material, error) {
	return creds.Material{Version: b.path}, nil
}
func (b *broken) Check(creds.Spec) error { return errors.New(b.path) }

func TestInstallRefuses(t *testing.T) {
	injector := func() *creds.Injector {
		return creds.New(creds.ForTool("list_notes", creds.Named("store", creds.Static([]byte("k")))))
	}
	for fault, test := range map[string]struct {
		add  func(*mcpsec.Guard, *mcp.Server)
		want string
	}{
		"binding for a tool that is not there": {func(g *mcpsec.Guard, s *mcp.Server) {
			_ = mcpsec.AddTool(g, s, &mcp.Tool{Name: "list_note"}, body(reveal).handle)
		}, "does not offer it"},
		"binding for a handler without guard": {func(_ *mcpsec.Guard, s *mcp.Server) {
			mcp.AddTool(s, &mcp.Tool{Name: "list_notes"}, body(reveal).handle)
		}, "no guard of its own"},
	} {
		guard, err := mcpsec.New(injector())
		if err != nil {
			t.Fatal(err)
		}
		server := mcp.NewServer(&mcp.Implementation{Name: "notes"}, nil)
		test.add(guard, server)
		if err := guard.Install(server); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", fault, err, test.want)
		}
	}
}

func TestClosedGuard(t *testing.T) {
	injector := creds.New(creds.ForTool("list", creds.Named("store", creds.Static([]byte("k")))))
	cs, _ := serve(t, injector, map[string]body{"list": reveal})
	if err := injector.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := call(t, cs, "list", "store")
	denied(t, err, "creds.closed")
}

// closing is a provider that notes when it is closed.
type closing struct {
	creds.Provider
	n   *int
	err error
}

func (c closing) Close() error {
	if *c.n++; c.err == nil {
		panic("close")
	}
	return c.err
}

func TestCloseClosesProviders(t *testing.T) {
	closed, busy := 0, errors.New("busy")
	in := creds.New(
		creds.ForTool("a", creds.Named("x", closing{creds.Static([]byte("k")), &closed, busy})),
		creds.ForTool("b", creds.Named("x", closing{creds.Static([]byte("k")), &closed, nil}), creds.Named("y", creds.Static([]byte("k")))),
	)
	if err := in.Close(); closed != 2 || !errors.Is(err, busy) || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("closed %d, %v", closed, err)
	}
}

func TestSpec(t *testing.T) {
	params := map[string]string{"b": "2", "a": "1"}
	s := creds.NewSpec("name", params)
	params["a"] = "changed"
	var got []string
	for k, v := range s.Params() {
		got = append(got, k+v)
	}
	for range s.Params() {
		break
	}
	if v, ok := s.Param("a"); v != "1" || !ok || fmt.Sprint(got) != "[a1 b2]" || s.Name() != "name" {
		t.Errorf("%v %v %v", v, ok, got)
	}
	keys := map[string]bool{}
	for _, s := range []creds.Spec{s, creds.NewSpec("name", nil), creds.NewSpec(`name" "a"="1`, nil), creds.NewSpec("name", map[string]string{"a": `1" "b"="2`})} {
		keys[s.Key()] = true
	}
	if len(keys) != 4 {
		t.Errorf("two specs share a key: %v", keys)
	}
}

func TestCodesAreComplete(t *testing.T) {
	last := ""
	for _, c := range creds.Codes() {
		if !strings.HasPrefix(c.Name, "creds.") || c.Meaning == "" || c.Remedy == "" || c.Name <= last || c.Kind != mcpsec.Unavailable {
			t.Errorf("%+v", c)
		}
		last = c.Name
	}
}
