package mcpsec_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a server, bare or behind a guard, with a client on an in-memory
// connection, so that one test body shows an edge and its absence.
type rig struct {
	t      *testing.T
	server *mcp.Server
	guard  *mcpsec.Guard // nil on a bare server
	client *mcp.ClientSession
	alarms *alarms
}

type alarms struct {
	mu   sync.Mutex
	seen []mcpsec.Alarm
}

func (a *alarms) add(al mcpsec.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, al)
}

func (a *alarms) codes() (codes []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, al := range a.seen {
		codes = append(codes, al.Code)
	}
	return codes
}

var implementation = &mcp.Implementation{Name: "rig", Version: "1"}

// bare returns a rig without a guard.
func bare(t *testing.T, opts *mcp.ServerOptions) *rig {
	t.Helper()
	return &rig{t: t, server: mcp.NewServer(implementation, opts)}
}

// guarded returns a rig whose guard holds the controls; Settings may be among them.
func guarded(t *testing.T, opts *mcp.ServerOptions, controls ...mcpsec.Control) *rig {
	t.Helper()
	r := bare(t, opts)
	r.alarms = &alarms{}
	settings := mcpsec.Settings{}
	var rest []mcpsec.Control
	for _, c := range controls {
		if s, ok := c.(mcpsec.Settings); ok {
			settings = s
			continue
		}
		rest = append(rest, c)
	}
	settings.OnAlarm = r.alarms.add
	var err error
	if r.guard, err = mcpsec.New(append(rest, settings)...); err != nil {
		t.Fatal(err)
	}
	return r
}

// addTool adds a typed tool the bare way or behind the guard.
func addTool[In, Out any](r *rig, tool *mcp.Tool, h mcp.ToolHandlerFor[In, Out]) {
	r.t.Helper()
	if r.guard == nil {
		mcp.AddTool(r.server, tool, h)
		return
	}
	if err := mcpsec.AddTool(r.guard, r.server, tool, h); err != nil {
		r.t.Fatal(err)
	}
}

// addRaw adds a raw tool.
func (r *rig) addRaw(name string, h mcp.ToolHandler) {
	r.t.Helper()
	if r.guard != nil {
		var err error
		if h, err = mcpsec.Wrap(r.guard, name, h); err != nil {
			r.t.Fatal(err)
		}
	}
	r.server.AddTool(&mcp.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, h)
}

// install puts the guard in force, if there is one.
func (r *rig) install() {
	r.t.Helper()
	if r.guard != nil {
		if err := r.guard.Install(r.server); err != nil {
			r.t.Fatal(err)
		}
	}
}

// start installs the guard, if any, and connects the client.
func (r *rig) start(opts *mcp.ClientOptions) *rig {
	r.t.Helper()
	r.install()
	return r.connect(opts)
}

// connect connects a client.
func (r *rig) connect(opts *mcp.ClientOptions) *rig {
	r.t.Helper()
	near := r.wire()
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, opts).Connect(r.t.Context(), near, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.client = cs
	r.t.Cleanup(func() { _ = cs.Close() })
	return r
}

// wire connects the server and returns the client's end.
func (r *rig) wire() mcp.Transport {
	r.t.Helper()
	near, far := mcp.NewInMemoryTransports()
	var transport mcp.Transport = far
	if r.guard != nil {
		transport = r.guard.Transport(far, mcpsec.Peer{Process: "uid:1000"})
	}
	ss, err := r.server.Connect(context.WithoutCancel(r.t.Context()), transport, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = ss.Wait()
		_ = ss.Close() // ends the SDK's keep-alive
	})
	return near
}

func (r *rig) call(name string, args any) (*mcp.CallToolResult, error) {
	return r.client.CallTool(r.t.Context(), &mcp.CallToolParams{Name: name, Arguments: args})
}

func (r *rig) mustCall(name string, args any) *mcp.CallToolResult {
	r.t.Helper()
	res, err := r.call(name, args)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// old makes a client speak the last revision with sessions.
func (r *rig) old(opts *mcp.ClientOptions) *rig {
	r.t.Helper()
	r.install()
	near := r.wire()
	cs, err := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, opts).
		Connect(r.t.Context(), near, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.client = cs
	r.t.Cleanup(func() { _ = cs.Close() })
	return r
}

// A recorder is a control that notes the calls that pass it and how they ended.
type recorder struct {
	mu    sync.Mutex
	calls []mcpsec.Call
	ends  []error
}

func (rec *recorder) at(stage mcpsec.Stage) mcpsec.Control {
	return mcpsec.At(stage, "recorder "+stage.String(), mcpsec.ControlFunc(func(next mcpsec.Handler) mcpsec.Handler {
		return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
			res, err := next(ctx, call)
			rec.mu.Lock()
			defer rec.mu.Unlock()
			rec.calls = append(rec.calls, *call)
			rec.ends = append(rec.ends, err)
			return res, err
		}
	}))
}

// of returns the recorded calls of a method.
func (rec *recorder) of(method string) (calls []mcpsec.Call) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, c := range rec.calls {
		if c.Method == method {
			calls = append(calls, c)
		}
	}
	return calls
}

// denials returns the codes of the refusals of a method.
func (rec *recorder) denials(method string) (codes []string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for i, c := range rec.calls {
		if d := mcpsec.AsDenial(rec.ends[i]); d != nil && c.Method == method {
			codes = append(codes, d.Code)
		}
	}
	return codes
}

var codeTest = mcpsec.Code{Name: "test.refused", Kind: mcpsec.NotFound, Meaning: "A test refused it.", Remedy: "None."}

// refuse is an authoriser that refuses what match finds.
type refuse struct {
	match func(*mcpsec.Call) bool
}

func (refuse) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "refuse", Stage: mcpsec.StageAllow}
}

func (c refuse) Authorize(_ context.Context, call *mcpsec.Call) error {
	if c.match(call) {
		return codeTest.Deny("refused")
	}
	return nil
}

func (c refuse) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if err := c.Authorize(ctx, call); err != nil {
			return nil, err
		}
		return next(ctx, call)
	}
}

func refuseName(names ...string) refuse {
	return refuse{func(c *mcpsec.Call) bool {
		return slices.Contains(names, c.Name)
	}}
}

// wireData returns the data of a JSON-RPC error as text; empty if it has none.
func wireData(err error) string {
	if wire, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return string(wire.Data)
	}
	return ""
}

// wireCode returns the JSON-RPC code of an error; 0 if it has none.
func wireCode(err error) int64 {
	if wire, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return wire.Code
	}
	return 0
}

type none struct{}

type noteArgs struct {
	Path string `json:"path"`
}

// readTool is a tool that works.
func readTool(_ context.Context, _ *mcp.CallToolRequest, in noteArgs) (*mcp.CallToolResult, noteArgs, error) {
	return nil, in, nil
}
