package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// Over 10 000 schedules of calls at random times, on several limits at once, no
// stretch of time lets more pass than burst + t·n/per, for any bucket.
func TestTenThousandRandomSchedulesKeepEveryLimit(t *testing.T) {
	t.Parallel()
	const schedules, calls = 10_000, 120
	for seed := range uint64(schedules) {
		r := rand.New(rand.NewPCG(seed, 3))
		var limits []limit
		for range 1 + r.IntN(3) {
			rate := PerPrincipal(1+r.IntN(20), time.Duration(1+r.IntN(10_000))).Burst(1 + r.IntN(10))
			l, err := rate.limit()
			if err != nil {
				t.Fatal(err)
			}
			l.spill = spill(len(limits))
			limits = append(limits, l)
		}
		table := newTable(1 + r.IntN(4)) // some find no room and share
		keys := 1 + r.IntN(3)
		passed := make(map[[2]int][]int64)
		now := int64(0)
		for range calls {
			now += r.Int64N(2000)
			key := r.IntN(keys)
			charges := make([]charge, len(limits))
			for i := range limits {
				k := digest{uint64(key) + 1, uint64(i+1) << 60}
				charges[i] = charge{k, &limits[i], table.shard(uint64(key))}
			}
			if table.take(now, charges).refused == nil {
				for i := range limits {
					passed[[2]int{key, i}] = append(passed[[2]int{key, i}], now)
				}
			}
		}
		for at, times := range passed {
			check(t, seed, &limits[at[1]], times)
		}
	}
}

func check(t *testing.T, seed uint64, l *limit, times []int64) {
	t.Helper()
	for i := range times {
		for j := i; j < len(times); j++ {
			stretch := times[j] - times[i]
			// n/per is at most 1/interval, since the interval is rounded up.
			if got, most := int64(j-i+1), int64(l.burst)+stretch/l.interval; got > most {
				t.Fatalf("seed %d: %d calls in %d ns, promised are %d (%s)", seed, got, stretch, most, l.name)
			}
		}
	}
}

func TestMillionKeysTakeAtMost64Megabytes(t *testing.T) {
	if testing.Short() {
		t.Skip("reason: takes a second; leave -short out")
	}
	const keys = 1_000_000
	l, err := PerPrincipal(1, time.Hour).limit()
	if err != nil {
		t.Fatal(err)
	}
	table, ds := newTable(keys+keys/8), newDigester()
	before := heap()
	for i := range keys {
		k := ds.of(ofPrincipal, fmt.Sprint(i))
		if v := table.take(1, []charge{{k, &l, table.shard(k[0])}}); v.refused != nil || v.shared {
			t.Fatalf("key %d: %+v", i, v)
		}
	}
	used := int64(heap()) - int64(before)
	t.Logf("%d keys take %.1f MB, %.1f bytes each", table.count(), float64(used)/1e6, float64(used)/keys)
	if used > 64_000_000 {
		t.Errorf("%d bytes for %d keys", used, keys)
	}
	for i := range keys { // nobody lost a bucket
		k := ds.of(ofPrincipal, fmt.Sprint(i))
		if table.take(1, []charge{{k, &l, table.shard(k[0])}}).refused == nil {
			t.Fatalf("key %d has a fresh bucket", i)
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestDecisionOverThreeLimitsAllocatesNothing(t *testing.T) {
	l := New(generous(PerPrincipal), generous(PerTool), generous(PerPrincipalAndTool))
	r, ok := l.parts[0].(*rate)
	if !ok {
		t.Fatal("no rate")
	}
	calls := principals(64)
	for _, c := range calls {
		_ = r.decide(c)
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		_ = r.decide(calls[i%len(calls)])
		i++
	}); n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
}

// A table that grows, is swept and grows again never loses a bucket in use.
func TestBucketsInUseSurviveEverySweepAndGrowth(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 4))
		table := newTable(1 + r.IntN(500))
		model := make(map[digest]int64)
		now := int64(0)
		for range 5000 {
			now += r.Int64N(int64(20 * time.Millisecond))
			k := digest{r.Uint64N(400) + 1, 0}
			k[1] = k[0] * 0x9e3779b97f4a7c15
			l := limit{interval: 1 + r.Int64N(int64(time.Second)), tolerance: 0}
			v := table.take(now, []charge{{k, &l, table.shard(k[0])}})
			if v.shared {
				continue
			}
			want := model[k] - now
			switch {
			case v.refused != nil && int64(v.wait) != want:
				t.Fatalf("seed %d: refused for %d, the model says %d", seed, v.wait, want)
			case v.refused == nil && want > 0:
				// Passed although its bucket is in use: only by the shared bucket, and then it
				// never had one of its own.
				t.Fatalf("seed %d: passed, the model says %d", seed, want)
			case v.refused == nil:
				if _, known := table.shards[table.shard(k[0])].find(k); known {
					model[k] = now + l.interval
				}
			}
		}
	}
}
