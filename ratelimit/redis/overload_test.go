package redis

import (
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// overloadFor is how long the overload test runs: 5 seconds, or 60 where the
// environment has MCPSEC_LONG=1.
func overloadFor() time.Duration {
	if os.Getenv("MCPSEC_LONG") == "1" {
		return time.Minute
	}
	return 5 * time.Second
}

// exhaust takes all that a bucket has, and returns how much that was and a time at
// which nothing was left. On a busy machine it tries until it knows that time well.
func exhaust(tb testing.TB, s *Store, b ratelimit.Bucket) (passed int64, at time.Time) {
	tb.Helper()
	for {
		s.leases.drain(0) // so that Redis is asked
		at = time.Now()
		if passes(mustTake(tb, s, call(b))) {
			passed++
		} else if time.Since(at) < 5*time.Millisecond {
			return passed, at
		}
	}
}

// Four replicas, each of them offered several times what all may do together. The
// burst is so large, and the rate so low, that the bucket is never full, however long
// this machine keeps the test waiting: what was earned and not passed would be lost by
// the store.
func TestOverloadOfFourReplicasPassesTheRate(t *testing.T) {
	if testing.Short() {
		t.Skip("reason: five seconds of load are too long for -short")
	}
	const replicas, rate, calls = 4, 400, 5
	srv := start(t)
	b := ratelimit.Bucket{Key: "hot", Interval: time.Second / rate, Burst: 20 * rate}
	probe := open(t, srv, Config{Lease: 1})
	var stores []*Store
	for range replicas {
		stores = append(stores, open(t, srv, Config{}))
	}
	_, begin := exhaust(t, probe, b)
	var passed, offered atomic.Int64
	var wg sync.WaitGroup
	end := begin.Add(overloadFor())
	for _, s := range stores {
		wg.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for now := range tick.C {
				if now.After(end) {
					return
				}
				for range calls {
					offered.Add(1)
					if passes(mustTake(t, s, call(b))) {
						passed.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	rest, end := exhaust(t, probe, b)
	got, earned := float64(passed.Load()+rest), end.Sub(begin).Seconds()*rate
	var asked, local uint64
	for _, s := range stores {
		st := s.Stats()
		asked, local = asked+st.Asked, local+st.Leased+st.Refused
	}
	t.Logf("%v: offered %.1f times the rate, passed %.2f %% of it; %.0f %% of the decisions without a round trip",
		end.Sub(begin).Round(time.Millisecond), float64(offered.Load())/earned, 100*got/earned, 100*float64(local)/float64(asked+local))
	if got < 0.99*earned || got > 1.01*earned {
		t.Errorf("%.0f of %.0f passed, want them within 1 %%", got, earned)
	}
}
