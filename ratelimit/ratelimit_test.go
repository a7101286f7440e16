package ratelimit

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func withClock(c *clock) Option {
	return option{"clock", "clock", func(cfg *config) error { cfg.clock = c.now; return nil }}
}

func from(address string) mcpsec.Principal {
	if address == "" {
		return mcpsec.Principal{}
	}
	return mcpsec.Principal{Rung: mcpsec.Address, Subject: address}
}

func toolCall(address, tool string) *mcpsec.Call {
	return &mcpsec.Call{Method: "tools/call", Name: tool, Principal: from(address), Tool: &mcpsec.Tool{Name: tool}}
}

var success = &mcp.CallToolResult{}

func done(context.Context, *mcpsec.Call) (mcp.Result, error) { return success, nil }

// limited is a Limiter's chain around a handler that always succeeds.
func limited(t *testing.T, opts ...Option) mcpsec.Handler {
	t.Helper()
	l := New(opts...)
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	return l.Wrap(done)
}

// pass reports whether a call passes; refused with anything but the code it fails.
func pass(t *testing.T, h mcpsec.Handler, call *mcpsec.Call, code string) (bool, *mcpsec.Denial) {
	t.Helper()
	_, err := h(t.Context(), call)
	if err == nil {
		return true, nil
	}
	d := mcpsec.AsDenial(err)
	if d == nil || d.Code != code || d.Kind != mcpsec.Throttled {
		t.Fatalf("got %v, want a refusal with %s", err, code)
	}
	return false, d
}

func tooFast(t *testing.T, h mcpsec.Handler, call *mcpsec.Call) *mcpsec.Denial {
	t.Helper()
	ok, d := pass(t, h, call, "ratelimit.exceeded")
	if ok {
		t.Fatalf("a call of %s passed that is over the limit", call.Principal)
	}
	return d
}

func mustPass(t *testing.T, h mcpsec.Handler, call *mcpsec.Call) {
	t.Helper()
	if _, err := h(t.Context(), call); err != nil {
		t.Fatalf("%s %s of %s: %v", call.Method, call.Name, call.Principal, err)
	}
}

func TestDefaultsAreInForceAndInOrder(t *testing.T) {
	g, err := mcpsec.New(New())
	if err != nil {
		t.Fatal(err)
	}
	want := []mcpsec.Posture{
		{Name: "ratelimit", Stage: mcpsec.StageLimit},
		{Name: "ratelimit.freeze", Stage: mcpsec.StageAllow},
		{Name: "ratelimit.inflight", Stage: mcpsec.StageBudget},
		{Name: "ratelimit.breaker", Stage: mcpsec.StageBudget},
	}
	if got := g.Postures(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	h, err := mcpsec.Wrap(g, "tool", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	req := func() *mcp.CallToolRequest {
		return &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "tool"}}
	}
	for i := range DefaultBurst {
		if _, err := h(t.Context(), req()); err != nil {
			t.Fatalf("call %d: %v", i+1, err)
		}
	}
	// A slow machine may refill one or two of them meanwhile, but not thirty.
	for range DefaultBurst {
		if _, err = h(t.Context(), req()); err != nil {
			break
		}
	}
	wantThrottled(t, err)
}

// wantThrottled checks a refusal as a client sees it.
func wantThrottled(t *testing.T, err error) {
	t.Helper()
	wire, ok := errors.AsType[*jsonrpc.Error](err)
	if !ok || wire.Code != mcpsec.CodeThrottled {
		t.Fatalf("got %v, want JSON-RPC error %d", err, mcpsec.CodeThrottled)
	}
	var data struct {
		Code         string `json:"code"`
		RetryAfterMs int64  `json:"retryAfterMs"`
	}
	if err := json.Unmarshal(wire.Data, &data); err != nil {
		t.Fatal(err)
	}
	if data.Code != "ratelimit.exceeded" || data.RetryAfterMs < 1 {
		t.Errorf("got data %s", wire.Data)
	}
}

func TestFloodOnOneConnectionDoesNotStarveAnother(t *testing.T) {
	g, err := mcpsec.New(New(PerPrincipal(40, time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "test"}, nil)
	tool := func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	}
	if err := mcpsec.AddTool(g, s, &mcp.Tool{Name: "tool"}, tool); err != nil {
		t.Fatal(err)
	}
	if err := g.Install(s); err != nil {
		t.Fatal(err)
	}
	connect := func(process string) *mcp.ClientSession {
		near, far := mcp.NewInMemoryTransports()
		ss, err := s.Connect(t.Context(), g.Transport(far, mcpsec.Peer{Process: process}), nil)
		if err != nil {
			t.Fatal(err)
		}
		cs, err := mcp.NewClient(&mcp.Implementation{Name: "client"}, nil).Connect(t.Context(), near, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cs.Close()
			_ = ss.Wait()
		})
		return cs
	}
	params := &mcp.CallToolParams{Name: "tool"}
	flooder, other := connect("uid:1"), connect("uid:2")
	for range 41 {
		if _, err = flooder.CallTool(t.Context(), params); err != nil {
			break
		}
	}
	wantThrottled(t, err)
	if _, err := flooder.ListTools(t.Context(), nil); err == nil {
		t.Error("the flooder may still list tools")
	}
	if err := flooder.Ping(t.Context(), nil); err != nil {
		t.Errorf("ping was refused: %v", err)
	}
	if _, err := other.CallTool(t.Context(), params); err != nil {
		t.Errorf("the other principal was refused: %v", err)
	}
}

func TestCodesAreThrottledNamedAndSorted(t *testing.T) {
	codes := Codes()
	if !slices.IsSortedFunc(codes, func(a, b mcpsec.Code) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted")
	}
	for _, c := range codes {
		if !strings.HasPrefix(c.Name, "ratelimit.") || c.Kind != mcpsec.Throttled && c.Kind != mcpsec.Unavailable || c.Meaning == "" || c.Remedy == "" {
			t.Errorf("incomplete: %+v", c)
		}
	}
	if !slices.ContainsFunc(mcpsec.Codes(), func(c mcpsec.Code) bool { return c.Name == handlerPanic }) {
		t.Errorf("the guard has no code %s any more", handlerPanic)
	}
}
