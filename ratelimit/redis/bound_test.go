package redis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/ratelimit"
)

// most calls that may pass in the busiest stretch of time, beyond what its length
// earns: a burst, and what the replicas held when it began.
func excess(b ratelimit.Bucket, replicas, lease int) float64 {
	held := min(lease-1, b.Burst/50)
	return float64(b.Burst + replicas*held)
}

// busiest returns the largest number of calls in any stretch of time, beyond what
// its length earns.
func busiest(at []time.Time, interval time.Duration) float64 {
	low, worst := math.Inf(1), 0.0
	for i, t := range at {
		earned := float64(t.Sub(at[0])) / float64(interval)
		low = min(low, float64(i)-earned)
		worst = max(worst, float64(i)-earned-low+1)
	}
	return worst
}

func TestNoStretchOfTimeHoldsMoreThanDocumented(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 3))
		lease := []int{1, 8, 64}[seed%3]
		var stores []*Store
		for range 4 {
			stores = append(stores, w.replica(Config{Lease: lease}, time.Duration(r.Int64N(int64(time.Hour)))))
		}
		b := ratelimit.Bucket{Key: fmt.Sprint(seed), Interval: time.Millisecond, Burst: 500 + r.IntN(2000)}
		var at []time.Time
		for step := range 150 {
			if step%50 == 25 { // a pause refills the bucket
				w.move(5 * time.Second)
			}
			w.move(time.Duration(r.IntN(40)) * time.Millisecond)
			for range r.IntN(160) {
				s := stores[r.IntN(1+r.IntN(4))] // some are busier
				if passes(mustTake(t, s, call(b))) {
					at = append(at, w.now())
				}
			}
			if step%70 == 69 { // a replica is restarted
				if err := stores[0].Close(); err != nil {
					t.Fatal(err)
				}
				stores[0] = w.replica(Config{Lease: lease}, 0)
			}
		}
		got, most := busiest(at, b.Interval), excess(b, 4, lease)
		t.Logf("seed %d: burst %d, lease %d, %d passed, in excess %.1f of %.0f", seed, b.Burst, lease, len(at), got, most)
		if got > most {
			t.Errorf("seed %d: %.1f more calls than earned in some stretch of time, documented are %.0f", seed, got, most)
		}
	}
}
