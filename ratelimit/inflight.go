package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// slots are how many calls may run at the same time.
type slots struct{ perPrincipal, total int }

func (s slots) check(instead string) error {
	if s.perPrincipal < 1 || s.total < 1 {
		return fmt.Errorf("allow at least 1; for no limit use %s", instead)
	}
	if s.perPrincipal > s.total {
		return errors.New("one principal cannot have more than all together: the order is perPrincipal, total")
	}
	return nil
}

// inFlight is the control of StageBudget that counts running calls. A call that
// finds no slot is refused at once. Its slot is given back when the call has ended,
// however it ends; a handler that ignores its context keeps it, because what it
// uses is still in use.
type inFlight struct{ calls, listeners gate }

var _ mcpsec.Declarer = (*inFlight)(nil)

func newInFlight(calls, listeners slots) *inFlight {
	return &inFlight{
		calls:     gate{max: calls, what: "calls at once", busy: make(map[string]int)},
		listeners: gate{max: listeners, what: "open subscription streams", busy: make(map[string]int)},
	}
}

func (f *inFlight) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit.inflight", Stage: mcpsec.StageBudget}
}

func (f *inFlight) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		g := f.gate(call)
		if g == nil {
			return next(ctx, call)
		}
		key := call.Principal.Key()
		if d := g.enter(key); d != nil {
			return nil, d
		}
		defer g.leave(key)
		return next(ctx, call)
	}
}

// gate returns where the call needs a slot; nil if nowhere. What a call causes runs
// in the slot of that call, or else many calls that each ask for a sample would
// shut themselves out. A ping or a cancellation must get through most of all when
// everything is busy.
func (f *inFlight) gate(call *mcpsec.Call) *gate {
	switch {
	case call.Outgoing, call.Parent != "", call.Method == "ping", strings.HasPrefix(call.Method, "notifications/"):
		return nil
	case call.Method == "subscriptions/listen":
		return &f.listeners
	}
	return &f.calls
}

// A gate counts those inside. Its memory is bounded by their number.
type gate struct {
	max  slots
	what string

	mu    sync.Mutex
	total int
	busy  map[string]int // by principal; no entry is 0
}

func (g *gate) enter(key string) *mcpsec.Denial {
	g.mu.Lock()
	mine, total := g.busy[key], g.total
	free := mine < g.max.perPrincipal && total < g.max.total
	if free {
		g.busy[key]++
		g.total++
	}
	g.mu.Unlock()
	switch {
	case free:
		return nil
	case mine >= g.max.perPrincipal:
		return codeInFlight.Deny(fmt.Sprintf("too many %s: at most %d for one principal", g.what, g.max.perPrincipal))
	}
	return codeInFlight.Deny(fmt.Sprintf("the server is busy: at most %d %s", g.max.total, g.what))
}

func (g *gate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.busy[key]--; g.busy[key] == 0 {
		delete(g.busy, key)
	}
}
