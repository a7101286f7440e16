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

func BenchmarkRate(b *testing.B) {
	const much = 1_000_000_000
	for name, opts := range map[string][]Option{
		"1limit":  {PerPrincipalAndTool(much, time.Second)},
		"3limits": {PerPrincipalAndTool(much, time.Second), PerPrincipal(much, time.Second), PerTool(much, time.Second)},
	} {
		for _, n := range []int{1, 10_000} {
			calls := principals(n)
			b.Run(fmt.Sprintf("%s/%dkeys", name, n), func(b *testing.B) {
				h := part[*rate](b, opts...).Wrap(done)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					_, _ = h(context.Background(), calls[i%n])
				}
			})
			b.Run(fmt.Sprintf("%s/%dkeys/parallel", name, n), func(b *testing.B) {
				h := part[*rate](b, opts...).Wrap(done)
				var start atomic.Int64
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for i := int(start.Add(7919)); pb.Next(); i++ {
						_, _ = h(context.Background(), calls[i%n])
					}
				})
			})
		}
	}
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
