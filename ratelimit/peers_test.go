package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sethvargo/go-limiter/memorystore"
	xrate "golang.org/x/time/rate"
)

// What others do for one limit and one key, beside what this package does for one.
func BenchmarkPeers(b *testing.B) {
	for _, n := range []int{1, 10_000, 1_000_000} {
		calls := principals(n)
		keys := make([]string, n)
		for i := range keys {
			keys[i] = calls[i].Principal.Key()
		}
		b.Run(fmt.Sprintf("mcpsec/%dkeys", n), func(b *testing.B) {
			r := part[*rate](b, generous(PerPrincipal), MaxKeys(1<<22))
			decide := func(i int) bool { return r.decide(calls[i%n]) == nil }
			fill(decide, n)
			compare(b, decide)
		})
		b.Run(fmt.Sprintf("x-time-rate/%dkeys", n), func(b *testing.B) {
			var mu sync.Mutex
			all := make(map[string]*xrate.Limiter, n)
			decide := func(i int) bool {
				mu.Lock()
				l := all[keys[i%n]]
				if l == nil {
					l = xrate.NewLimiter(0.1, 100_000_000)
					all[keys[i%n]] = l
				}
				mu.Unlock()
				return l.Allow()
			}
			fill(decide, n)
			compare(b, decide)
		})
		b.Run(fmt.Sprintf("go-limiter/%dkeys", n), func(b *testing.B) {
			s, err := memorystore.New(&memorystore.Config{Tokens: 100_000_000, Interval: time.Hour, SweepInterval: time.Hour})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close(context.Background())
			decide := func(i int) bool {
				_, _, _, ok, err := s.Take(context.Background(), keys[i%n])
				return ok && err == nil
			}
			fill(decide, n)
			compare(b, decide)
		})
	}
}

// fill makes every key known before the measurement.
func fill(decide func(i int) bool, n int) {
	for i := range n {
		decide(i)
	}
}
