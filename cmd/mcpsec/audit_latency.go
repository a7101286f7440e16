package main

import (
	"math"
	"time"
)

// Latencies are counted in buckets that grow by a sixteenth of a doubling, from
// 1 µs to about 19 hours: a percentile is right to 3 %, in memory that does not grow.
const (
	bucketsPerDoubling = 16
	latencyBuckets     = 36*bucketsPerDoubling + 2
)

type latencies struct {
	count   uint64
	buckets [latencyBuckets]uint32
}

func (l *latencies) add(d time.Duration) {
	i := 0
	if us := d.Microseconds(); us > 0 {
		i = min(1+int(math.Log2(float64(us))*bucketsPerDoubling), latencyBuckets-1)
	}
	l.count++
	l.buckets[i] += min(1, math.MaxUint32-l.buckets[i])
}

func (l *latencies) merge(other *latencies) {
	l.count += other.count
	for i, n := range &other.buckets {
		l.buckets[i] += min(n, math.MaxUint32-l.buckets[i])
	}
}

// percentile returns the latency that p of a hundred calls did not exceed.
func (l *latencies) percentile(p float64) time.Duration {
	rank := uint64(math.Ceil(float64(l.count) * p / 100))
	var seen uint64
	for i, n := range &l.buckets {
		if seen += uint64(n); seen >= rank && n > 0 {
			return bucketLatency(i)
		}
	}
	return 0
}

// bucketLatency is the middle of a bucket.
func bucketLatency(i int) time.Duration {
	if i == 0 {
		return 0
	}
	return time.Duration(math.Exp2((float64(i)-0.5)/bucketsPerDoubling) * float64(time.Microsecond))
}
