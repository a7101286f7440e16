package ratelimit

import (
	"context"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A scope says which calls share a bucket. It has the width of the other parts of
// a key, so that the key has no gaps and is hashed in one go.
type scope uint64

const (
	perPrincipal scope = iota
	perTool
	perPrincipalAndTool
	scopes
)

var (
	scopeNames = [scopes]string{"PerPrincipal", "PerTool", "PerPrincipalAndTool"}
	scopeTexts = [scopes]string{"for one principal", "for one tool", "for one principal and tool"}
)

// A limit is a rate in the terms of the generic cell rate algorithm (ITU-T I.371,
// annex A, virtual scheduling). Each bucket is one number, the theoretical arrival
// time (TAT): when the next call would come if calls came evenly. A call conforms
// unless it is earlier than the TAT by more than the tolerance. A TAT in the past
// means the same as none.
type limit struct {
	scope     scope
	interval  int64 // between calls, in nanoseconds
	tolerance int64 // (burst - 1) intervals
	text      string
	name      string
}

// rate is the control of StageLimit.
type rate struct {
	limits  []limit
	store   *store
	digests *digester
	clock   func() time.Time
	epoch   time.Time // time is counted from here, on the monotonic clock
}

var _ mcpsec.Declarer = (*rate)(nil)

func newRate(limits []limit, s *store, clock func() time.Time) *rate {
	return &rate{limits: limits, store: s, digests: newDigester(), clock: clock, epoch: clock()}
}

func (r *rate) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "ratelimit", Stage: mcpsec.StageLimit}
}

func (r *rate) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if d := r.decide(call); d != nil {
			return nil, d
		}
		return next(ctx, call)
	}
}

// decide charges a call to every limit that applies to it, or to none of them and
// refuses it.
func (r *rate) decide(call *mcpsec.Call) *mcpsec.Denial {
	if uncounted(call.Method) {
		return nil
	}
	who := r.digests.of(ofPrincipal, call.Principal.Key())
	in, name := operation(call)
	what := r.digests.of(in, name)

	var charges [scopes]charge
	n := 0
	for i := range r.limits {
		l := &r.limits[i]
		b := bucket{scope: l.scope}
		switch l.scope {
		case perTool:
			if in != ofTool {
				continue
			}
			b.what = what
		case perPrincipal:
			b.who = who
			if call.Outgoing {
				b.what = what
			}
		default:
			b.who, b.what = who, what
		}
		charges[n] = charge{b, l}
		n++
	}
	if n == 0 {
		return nil
	}
	v := r.store.take(int64(r.clock().Sub(r.epoch)), charges[:n])
	if v.refused == nil {
		return nil
	}
	return v.denial()
}

func (v verdict) denial() *mcpsec.Denial {
	d := codeExceeded.Deny("too many calls: " + v.refused.text + "; retry in " + inWords(v.wait)).After(v.wait)
	d.Detail = v.refused.name
	if v.shared {
		d.Detail = fmt.Sprintf("%s, in the bucket shared by all who have none while MaxKeys buckets are in use", d.Detail)
	}
	return d
}

// uncounted are the two messages without which a client loses its session. They
// cost the server next to nothing.
func uncounted(method string) bool {
	return method == "ping" || method == "notifications/initialized"
}

// operation names what a call does, so that no name from outside makes a bucket of
// its own: a tool counts by name only if the server offers it, a method only if
// MCP defines it.
func operation(call *mcpsec.Call) (domain, string) {
	switch {
	case call.Outgoing:
		return ofQuestion, knownMethod(call.Method)
	case call.Method == "tools/call" && call.Tool != nil:
		return ofTool, call.Tool.Name
	}
	return ofMethod, knownMethod(call.Method)
}

// knownMethod returns the method if MCP defines it in a revision up to 2026-07-28,
// or "" as the name of all others.
func knownMethod(method string) string {
	switch method {
	case "initialize", "server/discover", "logging/setLevel", "completion/complete",
		"tools/call", "tools/list", "prompts/get", "prompts/list",
		"resources/read", "resources/list", "resources/templates/list",
		"resources/subscribe", "resources/unsubscribe", "subscriptions/listen",
		"sampling/createMessage", "elicitation/create", "roots/list",
		"notifications/cancelled", "notifications/progress", "notifications/roots/list_changed":
		return method
	}
	return ""
}
