package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A crowd is calls that stay until they are let go.
type crowd struct {
	t       *testing.T
	h       mcpsec.Handler
	entered chan struct{}
	release chan struct{}
	wg      sync.WaitGroup
}

func newCrowd(t *testing.T, opts ...Option) *crowd {
	t.Helper()
	c := &crowd{t: t, entered: make(chan struct{}), release: make(chan struct{})}
	l := New(append(opts, WithoutPrincipalRate())...)
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	c.h = l.Wrap(func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if call.Session == "passing" {
			return &mcp.CallToolResult{}, nil
		}
		c.entered <- struct{}{}
		select {
		case <-c.release:
			return &mcp.CallToolResult{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return c
}

// stay starts a call and returns when it runs.
func (c *crowd) stay(ctx context.Context, call *mcpsec.Call) {
	c.wg.Go(func() { _, _ = c.h(ctx, call) })
	<-c.entered
}

// full reports whether a call that would end at once finds no slot.
func (c *crowd) full(call *mcpsec.Call) bool {
	c.t.Helper()
	call.Session = "passing"
	ok, d := pass(c.t, c.h, call, "ratelimit.too_many_in_flight")
	if !ok && d.RetryAfter != 0 {
		c.t.Errorf("RetryAfter is %v, but nobody knows it", d.RetryAfter)
	}
	return !ok
}

func (c *crowd) end() {
	close(c.release)
	c.wg.Wait()
}

func TestOnePrincipalCannotTakeAllSlots(t *testing.T) {
	c := newCrowd(t)
	for range DefaultInFlight {
		c.stay(t.Context(), toolCall("a", "x"))
	}
	if !c.full(toolCall("a", "y")) {
		t.Error("a principal runs more calls than allowed")
	}
	if c.full(toolCall("b", "x")) {
		t.Error("another principal found no slot")
	}
	c.end()
	if c.full(toolCall("a", "x")) {
		t.Error("slots were not given back")
	}
}

func TestManyPrincipalsCannotTakeMoreThanTotal(t *testing.T) {
	c := newCrowd(t, InFlight(2, 5))
	for i := range 5 {
		c.stay(t.Context(), toolCall(fmt.Sprint(i), "x"))
	}
	if !c.full(toolCall("other", "x")) {
		t.Error("more calls run than allowed in all")
	}
	c.end()
}

func TestSlotIsReleasedOnceHoweverCallEnds(t *testing.T) {
	ends := map[string]mcpsec.Handler{
		"result":  done,
		"error":   func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, errors.New("no") },
		"panic":   func(context.Context, *mcpsec.Call) (mcp.Result, error) { panic("no") },
		"refusal": func(context.Context, *mcpsec.Call) (mcp.Result, error) { return nil, &mcpsec.Denial{Code: "x"} },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			f := newInFlight(slots{1, 1, 1}, slots{1, 1, 1}, queueing{}, newSwitch())
			h := f.Wrap(end)
			for range 3 {
				func() {
					defer func() { _ = recover() }()
					if _, err := h(t.Context(), toolCall("a", "x")); mcpsec.AsDenial(err) != nil && name != "refusal" {
						t.Errorf("the slot was kept: %v", err)
					}
				}()
				if f.calls.total != 0 || len(f.calls.busy) != 0 {
					t.Fatalf("%d slots and %d entries are left", f.calls.total, len(f.calls.busy))
				}
			}
		})
	}
}

func TestSlotIsReleasedWhenHandlerPanicsBehindGuard(t *testing.T) {
	g, err := mcpsec.New(New(InFlight(1, 1), WithoutBreaker()))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	h, err := mcpsec.Wrap(g, "tool", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if calls++; calls < 3 {
			panic("boom")
		}
		return &mcp.CallToolResult{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err = h(t.Context(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "tool"}})
	}
	if err != nil || calls != 3 {
		t.Errorf("after %d runs: %v", calls, err)
	}
}

func TestCancelledCallGivesSlotBack(t *testing.T) {
	c := newCrowd(t, InFlight(1, 1))
	ctx, cancel := context.WithCancel(t.Context())
	c.stay(ctx, toolCall("a", "x"))
	if !c.full(toolCall("a", "x")) {
		t.Fatal("the slot is free while the call runs")
	}
	cancel()
	c.wg.Wait()
	if c.full(toolCall("a", "x")) {
		t.Error("the slot of a cancelled call was kept")
	}
}

func TestListenersDoNotTakeSlotsOfCalls(t *testing.T) {
	listen := func(who string) *mcpsec.Call {
		return &mcpsec.Call{Method: "subscriptions/listen", Principal: from(who)}
	}
	c := newCrowd(t, InFlight(1, 1))
	for range DefaultListeners {
		c.stay(t.Context(), listen("a"))
	}
	if !c.full(listen("a")) {
		t.Error("a principal has more streams than allowed")
	}
	if c.full(listen("b")) {
		t.Error("another principal may not listen")
	}
	if c.full(toolCall("a", "x")) {
		t.Error("streams took the slots of calls")
	}
	c.end()
}

func TestWhatMustGetThroughNeedsNoSlot(t *testing.T) {
	c := newCrowd(t, InFlight(1, 1))
	c.stay(t.Context(), toolCall("a", "x"))
	for name, call := range map[string]*mcpsec.Call{
		"ping":                 {Method: "ping", Principal: from("a")},
		"cancellation":         {Method: "notifications/cancelled", Principal: from("a")},
		"question of the call": {Method: "sampling/createMessage", Outgoing: true, Principal: from("a")},
		"call of the handler":  {Method: "tools/call", Parent: "1", Principal: from("a")},
	} {
		if c.full(call) {
			t.Errorf("a %s was refused", name)
		}
	}
	c.end()
}
