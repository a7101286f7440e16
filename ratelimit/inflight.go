package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// slots are how many calls may run at the same time.
type slots struct{ perPrincipal, perTool, total int }

func (s slots) check(instead string) error {
	if s.perPrincipal < 1 || s.total < 1 {
		return fmt.Errorf("allow at least 1; for no limit use %s", instead)
	}
	if s.perPrincipal > s.total {
		return errors.New("one principal cannot have more than all together: the order is perPrincipal, total")
	}
	return nil
}

// queueing is how many calls may wait for a slot, and how long. The zero value lets
// none wait.
type queueing struct {
	perPrincipal, total int
	wait                time.Duration
}

// maxQueue bounds what a call that ends has to look through.
const maxQueue = 4096

func (q queueing) check() error {
	switch {
	case q.perPrincipal < 1 || q.total < q.perPrincipal:
		return errors.New("let at least 1 wait, and all together no fewer than one principal: the order is perPrincipal, total")
	case q.total > maxQueue:
		return fmt.Errorf("let at most %d wait", maxQueue)
	case q.wait <= 0:
		return errors.New("the longest wait must be positive; without Queue nothing waits")
	}
	return nil
}

// inFlight is the control of StageBudget that counts running calls. A call that
// finds no slot waits in the queue, if there is one, or is refused at once. Its slot
// is given back when the call has ended, however it ends; a handler that ignores its
// context keeps it, because what it uses is still in use.
//
// It asks the switch once more behind the queue: a call may have waited, there or for
// somebody's approval, since before the freeze.
type inFlight struct {
	calls, listeners *gate
	stop             *Switch
}

var _ mcpsec.Declarer = (*inFlight)(nil)

func newInFlight(calls, listeners slots, q queueing, stop *Switch) *inFlight {
	return &inFlight{newGate("calls at once", calls, q), newGate("open subscription streams", listeners, queueing{}), stop}
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
		key, tool := call.Principal.Key(), ""
		if call.Method == methodCallTool && call.Tool != nil {
			tool = call.Tool.Name
		}
		if d := g.enter(ctx, key, tool); d != nil {
			return nil, d
		}
		defer g.leave(key, tool)
		if d := f.stop.refuse(call); d != nil {
			return nil, d
		}
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
	case call.Method == methodListen:
		return f.listeners
	}
	return f.calls
}
