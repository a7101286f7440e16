package ratelimit

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// waiting is a tool call that waits for answers, with the questions it has asked.
type waiting struct {
	questions *atomic.Int64
	since     time.Time
}

// A fan is the context of a tool call, which counts its questions.
type fan struct {
	context.Context //nolint:containedctx // it is one

	questions *atomic.Int64 // of all rounds
}

// fan returns the count of a call's questions, which goes on from round to round.
func (l *loops) fan(call *mcpsec.Call) *atomic.Int64 {
	if call.Round == 0 {
		return new(atomic.Int64)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, ok := l.fans[call.ID]; ok {
		return w.questions
	}
	return new(atomic.Int64) // another process has counted, or it is long ago
}

// wait keeps the count of a call that will come back with answers, and drops that of
// any other.
func (l *loops) wait(call *mcpsec.Call, f *fan, res mcp.Result) {
	r, _ := res.(*mcp.CallToolResult)
	asks := r != nil && r.InputRequests != nil
	if !asks && call.Round == 0 {
		return
	}
	now := l.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !asks {
		delete(l.fans, call.ID)
		return
	}
	if len(l.fans) >= maxFans && !now.Before(l.clear) {
		l.clear = now.Add(time.Second)
		maps.DeleteFunc(l.fans, func(_ string, w waiting) bool { return now.Sub(w.since) > fanLife })
	}
	if _, known := l.fans[call.ID]; known || len(l.fans) < maxFans {
		l.fans[call.ID] = waiting{f.questions, now}
	}
}

type fanKey struct{}

// Value finds the fan of this context, and everything else outside it.
func (f *fan) Value(key any) any {
	if key == (fanKey{}) {
		return f
	}
	return f.Context.Value(key)
}
