package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A gate lets calls in as long as there are slots, and has the others wait in a
// queue, if there is one. Its memory is bounded by the number of those inside and
// waiting.
type gate struct {
	max  slots
	what string
	line queueing

	mu    sync.Mutex
	total int
	busy  map[string]int // by principal; no entry is 0
	tools map[string]int // by tool; no entry is 0
	queue queue
}

func newGate(what string, s slots, q queueing) *gate {
	return &gate{max: s, what: what, line: q, busy: make(map[string]int), tools: make(map[string]int)}
}

// enter takes a slot, or says why there is none. tool is empty for what is no tool.
func (g *gate) enter(ctx context.Context, key, tool string) *mcpsec.Denial {
	g.mu.Lock()
	if g.free(key, tool) {
		g.take(key, tool)
		g.mu.Unlock()
		return nil
	}
	full, w := g.full(key, tool), g.wait(key, tool)
	g.mu.Unlock()
	if w == nil {
		return codeInFlight.Deny(full)
	}
	timer := time.NewTimer(g.line.wait)
	defer timer.Stop()
	select {
	case <-w.ready:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.admitted { // meanwhile; a call that was cancelled gives its slot to the next
		if ctx.Err() == nil {
			return nil
		}
		g.give(key, tool)
	} else {
		g.queue.remove(w)
	}
	return codeInFlight.Deny(full + "; waited in vain").Because(context.Cause(ctx))
}

func (g *gate) free(key, tool string) bool {
	return g.total < g.max.total && g.busy[key] < g.max.perPrincipal && (tool == "" || g.tools[tool] < g.max.perTool)
}

// full says what there are too many of.
func (g *gate) full(key, tool string) string {
	switch {
	case g.busy[key] >= g.max.perPrincipal:
		return fmt.Sprintf("too many %s: at most %d for one principal", g.what, g.max.perPrincipal)
	case tool != "" && g.tools[tool] >= g.max.perTool:
		return fmt.Sprintf("too many %s: at most %d of this tool", g.what, g.max.perTool)
	}
	return fmt.Sprintf("the server is busy: at most %d %s", g.max.total, g.what)
}

// wait puts a call into the queue; nil if there is no place.
func (g *gate) wait(key, tool string) *waiter {
	if g.queue.waiting >= g.line.total || g.queue.of(key) >= g.line.perPrincipal {
		return nil
	}
	return g.queue.add(key, tool)
}

func (g *gate) take(key, tool string) {
	g.total++
	g.busy[key]++
	if tool != "" {
		g.tools[tool]++
	}
}

func (g *gate) leave(key, tool string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.give(key, tool)
}

// give gives a slot back, and to those who wait for it.
func (g *gate) give(key, tool string) {
	g.total--
	release(g.busy, key)
	if tool != "" {
		release(g.tools, tool)
	}
	for g.total < g.max.total {
		w := g.queue.next(func(w *waiter) bool { return g.free(w.key, w.tool) })
		if w == nil {
			return
		}
		g.take(w.key, w.tool)
		w.admitted = true
		close(w.ready)
	}
}

func release(busy map[string]int, key string) {
	if busy[key]--; busy[key] == 0 {
		delete(busy, key)
	}
}
