package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

// keys counts the buckets of a Limiter.
func keys(l *Limiter) (n int) {
	t := l.parts[0].(*rate).table
	return t.count() + t.overflow.used
}

func TestFloodOfFreshKeysNeitherEvictsBusyKeyNorGrowsMemory(t *testing.T) {
	const maxKeys = 1000
	c := newClock()
	l := New(withClock(c), PerPrincipal(5, time.Hour), MaxKeys(maxKeys))
	h := l.Wrap(done)
	for range 5 {
		mustPass(t, h, toolCall("busy", "x"))
	}
	var before, after runtime.MemStats
	for i := range 200_000 {
		if i == 20_000 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		_, _ = h(t.Context(), toolCall(fmt.Sprint(i), "x"))
		if i%1000 == 0 {
			c.move(time.Millisecond)
			tooFast(t, h, toolCall("busy", "x"))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := keys(l); n > maxKeys+1 {
		t.Errorf("%d buckets, want at most %d", n, maxKeys)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func TestWhoFindsNoRoomSharesOneBucket(t *testing.T) {
	c := newClock()
	h := limited(t, withClock(c), PerPrincipal(2, time.Hour), MaxKeys(1))
	mustPass(t, h, toolCall("first", "x"))
	mustPass(t, h, toolCall("second", "x"))
	mustPass(t, h, toolCall("third", "x"))
	d := tooFast(t, h, toolCall("fourth", "x"))
	if !strings.Contains(d.Detail, "MaxKeys") {
		t.Errorf("the detail %q does not tell the operator why", d.Detail)
	}
	mustPass(t, h, toolCall("first", "x")) // who had a bucket keeps it
	tooFast(t, h, toolCall("first", "x"))
	c.move(time.Hour) // both are full again, and the place is free
	for range 2 {
		mustPass(t, h, toolCall("fourth", "x"))
	}
	if d := tooFast(t, h, toolCall("fourth", "x")); strings.Contains(d.Detail, "MaxKeys") {
		t.Error("a bucket that had refilled kept its place")
	}
}

func TestSweptBucketIsNotWonBackByTurningClock(t *testing.T) {
	l, err := PerPrincipal(2, time.Minute).limit()
	if err != nil {
		t.Fatal(err)
	}
	s := newTable(1)
	charges := []charge{{key: digest{1, 1}, limit: &l}}
	passed := 0
	high := int64(time.Hour)
	for range 10 {
		for range 10 {
			if s.take(0, charges).refused == nil {
				passed++
			}
		}
		s.shards[0].advance(high) // as another's call would
		high += int64(time.Second)
	}
	if passed != 4 { // a burst at the beginning, and one an hour later
		t.Errorf("%d calls passed, want 4", passed)
	}
}

func TestFullTableIsSweptSeldom(t *testing.T) {
	s := newTable(100)
	for i := range s.shards {
		s.shards[i].room = 0
	}
	sh := &s.shards[0]
	sh.room = 100
	fill := func(first, n int, tat int64) {
		for i := range n {
			one := limit{interval: tat + int64(i)*int64(time.Millisecond)}
			s.take(0, []charge{{key: digest{uint64(first), uint64(i) << 40}, limit: &one}})
		}
	}
	fill(1, 100, 1)
	sweepAt := func(now time.Duration) int {
		sh.advance(int64(now))
		return sh.used
	}
	if n := sweepAt(110 * time.Millisecond); n != 0 {
		t.Fatalf("%d buckets are left, want none", n)
	}
	fill(2, 100, 1)
	if n := sweepAt(150 * time.Millisecond); n != 100 {
		t.Errorf("swept again after 40 ms: %d buckets", n)
	}
	if n := sweepAt(220 * time.Millisecond); n != 0 {
		t.Errorf("%d refilled buckets are left", n)
	}
}

func limitsOf(l *Limiter) []limit { return l.parts[0].(*rate).limits }

// A model decides as the continuous-state leaky bucket of ITU-T I.371 does: a
// different formulation of the same rule, with a bucket for every name there is
// and with no table that can be full.
type model struct {
	limits []limit
	at     int64
	level  map[string]int64 // what has still to drain, in nanoseconds
}

func (m *model) take(now int64, who, tool string) (wait int64) {
	for name, level := range m.level {
		m.level[name] = max(0, level-(now-m.at))
	}
	m.at = now
	names := make([]string, len(m.limits))
	for i, l := range m.limits {
		names[i] = [scopes]string{who, "|" + tool, who + "|" + tool}[l.scope]
		wait = max(wait, m.level[names[i]]-l.tolerance)
	}
	if wait == 0 {
		for i, l := range m.limits {
			m.level[names[i]] += l.interval
		}
	}
	return wait
}

func TestDecisionsEqualThoseOfReferenceModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var opts []Option
		for _, rate := range []func(int, time.Duration) Rate{PerPrincipal, PerTool, PerPrincipalAndTool} {
			if r.IntN(2) == 0 {
				opts = append(opts, rate(1+r.IntN(20), time.Duration(1+r.IntN(1000))).Burst(1+r.IntN(8)))
			}
		}
		c := newClock()
		l := New(append(opts, withClock(c), WithoutInFlight(), WithoutBreaker())...)
		h := l.Wrap(done)
		m := &model{limits: limitsOf(l), level: make(map[string]int64)}
		for step := range 500 {
			c.move(time.Duration(r.IntN(80)))
			who, tool := fmt.Sprint(r.IntN(3)), fmt.Sprint(r.IntN(2))
			want := m.take(int64(c.now().Sub(newClock().now())), who, tool)
			ok, d := pass(t, h, toolCall(who, tool), "ratelimit.exceeded")
			if ok != (want == 0) || !ok && d.RetryAfter != time.Duration(want) {
				t.Fatalf("seed %d, step %d, %v: passed %v, refused %+v, the model waits %d", seed, step, opts, ok, d, want)
			}
		}
	}
}

func TestNoStretchOfTimeHoldsMoreThanPromised(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		n, per, burst := 1+r.IntN(50), time.Duration(1+r.IntN(100_000)), 1+r.IntN(20)
		c := newClock()
		h := limited(t, withClock(c), PerPrincipal(n, per).Burst(burst), WithoutBreaker())
		var passed []time.Time
		for range 1000 {
			c.move(time.Duration(r.Int64N(int64(per)/int64(n) + 2)))
			if _, err := h(t.Context(), toolCall("a", "x")); err == nil {
				passed = append(passed, c.now())
			}
		}
		for i := range passed {
			for j := i; j < min(len(passed), i+100); j++ {
				stretch := passed[j].Sub(passed[i])
				if got, most := j-i+1, float64(burst)+float64(stretch)*float64(n)/float64(per); float64(got) > most+1e-9 {
					t.Fatalf("seed %d: %d calls in %v, promised are %.2f", seed, got, stretch, most)
				}
			}
		}
	}
}

func TestDigestsDifferBetweenLimitersAndDomains(t *testing.T) {
	a, b := newDigester(), newDigester()
	if a.of(ofTool, "x") == b.of(ofTool, "x") || a.of(ofTool, "x") == a.of(ofMethod, "x") {
		t.Error("digests can be predicted")
	}
	if first := a.of(ofTool, "x"); a.of(ofTool, "x") != first {
		t.Error("digests change")
	}
}
