package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	redisrate "github.com/go-redis/redis_rate/v10"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// Enough never to refuse.
const plenty = 100_000_000

func benchBuckets(n int) *ratelimit.Request {
	req := &ratelimit.Request{}
	for i := range n {
		req.Buckets = append(req.Buckets, bucket(fmt.Sprint(i), plenty, time.Second))
	}
	return req
}

// A decision as the store makes it, beside redis_rate on the same server. redis_rate
// decides about one limit a round trip.
func BenchmarkDecision(b *testing.B) {
	srv := start(b)
	b.Run("redis_rate/1limit", func(b *testing.B) {
		l := redisrate.NewLimiter(srv.client())
		for b.Loop() {
			if _, err := l.Allow(context.Background(), "0", redisrate.PerSecond(plenty)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("redis_rate/3limits", func(b *testing.B) {
		l := redisrate.NewLimiter(srv.client())
		for b.Loop() {
			for _, key := range [...]string{"0", "1", "2"} {
				if _, err := l.Allow(context.Background(), key, redisrate.PerSecond(plenty)); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	for _, n := range []int{1, 3} {
		for name, c := range map[string]Config{"asked": {Lease: 1}, "leased": {}} {
			b.Run(fmt.Sprintf("mcpsec/%dlimits/%s", n, name), func(b *testing.B) {
				s := open(b, srv, c)
				req := benchBuckets(n)
				b.ReportAllocs()
				for b.Loop() {
					mustTake(b, s, req)
				}
			})
		}
	}
	b.Run("mcpsec/3limits/asked/parallel", func(b *testing.B) {
		s := open(b, srv, Config{Lease: 1})
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			req := benchBuckets(3)
			for pb.Next() {
				mustTake(b, s, req)
			}
		})
	})
	b.Run("mcpsec/3limits/leased/parallel", func(b *testing.B) {
		s := open(b, srv, Config{})
		b.RunParallel(func(pb *testing.PB) {
			req := benchBuckets(3)
			for pb.Next() {
				mustTake(b, s, req)
			}
		})
	})
	b.Run("mcpsec/3limits/refused", func(b *testing.B) {
		s := open(b, srv, Config{})
		req := call(bucket("x", 1, 1000*time.Hour), bucket("y", plenty, time.Second), bucket("z", plenty, time.Second))
		for b.Loop() {
			mustTake(b, s, req)
		}
	})
	b.Run("mcpsec/3limits+2budgets/reserve+settle", func(b *testing.B) {
		s := open(b, srv, Config{})
		req := benchBuckets(3)
		req.Lease = time.Minute
		req.Reservations = []ratelimit.Reservation{daily("p", maxAmount, 2), daily("t", maxAmount, 2)}
		for i := 0; b.Loop(); i++ {
			req.ID = fmt.Sprint(i)
			if err := mustTake(b, s, req).Hold.Settle(context.Background(), []int64{1, 1}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The whole control, with the limits in the process and in Redis.
func BenchmarkControl(b *testing.B) {
	srv := start(b)
	tool := &mcpsec.Tool{Name: "list_bucket"}
	one := &mcpsec.Call{Method: "tools/call", Name: tool.Name, Principal: mcpsec.Peer{Process: "uid:1"}.Principal(), Tool: tool}
	for name, c := range map[string]*Config{"process": nil, "redis/asked": {Lease: 1}, "redis/leased": {}} {
		b.Run(name, func(b *testing.B) {
			var opts []ratelimit.Option
			if c != nil {
				opts = append(opts, ratelimit.Shared(open(b, srv, *c)))
			}
			l := ratelimit.New(append(opts, ratelimit.PerPrincipalAndTool(plenty, time.Second),
				ratelimit.PerPrincipal(plenty, time.Second), ratelimit.PerTool(plenty, time.Second))...)
			if err := l.Check(); err != nil {
				b.Fatal(err)
			}
			h := l.Wrap(func(context.Context, *mcpsec.Call) (mcp.Result, error) { return &mcp.CallToolResult{}, nil })
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h(context.Background(), one); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
