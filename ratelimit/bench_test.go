package ratelimit

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// principals have their keys made, as those that a guard passes on.
func principals(n int) []*mcpsec.Call {
	calls := make([]*mcpsec.Call, n)
	tool := &mcpsec.Tool{Name: "list_bucket"}
	for i := range calls {
		p := mcpsec.Peer{Process: fmt.Sprintf("uid:%d", i)}.Principal()
		calls[i] = &mcpsec.Call{Method: "tools/call", Name: tool.Name, Principal: p, Tool: tool}
	}
	return calls
}

func part[T mcpsec.Control](b *testing.B, opts ...Option) T {
	b.Helper()
	for _, c := range New(opts...).Controls() {
		if c, ok := c.(T); ok {
			return c
		}
	}
	panic("no such part")
}

// generous is a rate that refuses nothing in a benchmark, and whose buckets stay in
// use for its whole length, so that nothing is swept.
func generous(r func(int, time.Duration) Rate) Rate { return r(360, time.Hour).Burst(100_000_000) }

// Three limits, decided about in one step: the bound is 400 ns on one core, 1 µs with
// two, and no allocation.
func BenchmarkRate(b *testing.B) {
	for name, opts := range map[string][]Option{
		"1limit":  {generous(PerPrincipalAndTool), MaxKeys(1 << 22)},
		"3limits": {generous(PerPrincipalAndTool), generous(PerPrincipal), generous(PerTool), MaxKeys(1 << 22)},
	} {
		for _, n := range []int{1, 10_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%dkeys", name, n), func(b *testing.B) {
				calls := principals(n)
				r := part[*rate](b, opts...)
				decide := func(i int) bool { return r.decide(calls[i%n]) == nil }
				fill(decide, n)
				compare(b, decide)
			})
		}
	}
}

// compare runs a decision on one core and on all.
func compare(b *testing.B, decide func(i int) bool) {
	b.Helper()
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		cpu := cpuTime()
		for i := 0; b.Loop(); i++ {
			if !decide(i) {
				b.Fatal("refused")
			}
		}
		b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
	})
	b.Run("parallel", func(b *testing.B) {
		var start atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := int(start.Add(7919)); pb.Next(); i++ {
				if !decide(i) {
					b.Error("refused")
				}
			}
		})
	})
}

func BenchmarkRateRefused(b *testing.B) {
	h := part[*rate](b, PerPrincipal(1, 1000*time.Hour)).Wrap(done)
	call := principals(1)[0]
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h(context.Background(), call)
	}
}

// A flood of fresh keys against a full table.
func BenchmarkRateFullTable(b *testing.B) {
	h := part[*rate](b, PerPrincipal(10, time.Minute), MaxKeys(10_000)).Wrap(done)
	calls := principals(100_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _ = h(context.Background(), calls[i%len(calls)])
	}
}

func BenchmarkInFlight(b *testing.B) {
	h := part[*inFlight](b, InFlight(1000, 1000)).Wrap(done)
	call := principals(1)[0]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = h(context.Background(), call)
		}
	})
}

func BenchmarkBudget(b *testing.B) {
	h := part[*budgets](b, Budget("$4000000000/day"), Budget("$4000000000/24h").PerPrincipal(), Price(AnyTool, "$0.000001")).Wrap(done)
	call := principals(1)[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h(context.Background(), call); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFreeze(b *testing.B) {
	h := part[freezer](b, StateDir(b.TempDir())).Wrap(done)
	call := principals(1)[0]
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h(context.Background(), call)
	}
}

func BenchmarkBreaker(b *testing.B) {
	h := part[*breakers](b).Wrap(done)
	call := principals(1)[0]
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h(context.Background(), call)
	}
}

// All three through a guard, against a guard without controls.
func BenchmarkGuard(b *testing.B) {
	for name, controls := range map[string][]mcpsec.Control{
		"bare":    nil,
		"limited": {New(PerPrincipalAndTool(1_000_000_000, time.Second))},
	} {
		b.Run(name, func(b *testing.B) {
			g, err := mcpsec.New(controls...)
			if err != nil {
				b.Fatal(err)
			}
			h, err := mcpsec.Wrap(g, "tool", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return &mcp.CallToolResult{}, nil
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h(context.Background(), &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "tool"}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
