package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
)

func TestPercentileIsRightToThreePercent(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	var l latencies
	var all []time.Duration
	for range 5000 {
		d := time.Duration(math.Exp(r.Float64()*20) * float64(time.Microsecond)).Truncate(time.Microsecond)
		l.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, p := range []float64{1, 50, 95, 99, 100} {
		want := all[int(math.Ceil(p/100*float64(len(all))))-1]
		if got := l.percentile(p); math.Abs(float64(got-want)) > 0.03*float64(want)+float64(time.Microsecond) {
			t.Errorf("p%.0f: %v, want %v", p, got, want)
		}
	}
	var none latencies
	none.merge(&latencies{})
	if none.percentile(50) != 0 {
		t.Error("no call took any time")
	}
}

// Joining slots loses nothing, in whatever order the times come.
func TestTimeSeriesKeepsCounts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for _, span := range []time.Duration{time.Minute, time.Hour, 30 * 24 * time.Hour, 200 * 365 * 24 * time.Hour} {
		s := newTimeSeries()
		for range 3000 {
			at := sampleTime.Add(time.Duration(r.Int64N(int64(span))))
			s.at(at).decided[audit.Allowed]++
			s.at(at).latencies.add(time.Second)
			s.at(at).spent["usd"] += 2
		}
		var calls, timed uint64
		var spent int64
		for i, sl := range s.slots {
			if i < s.first || i > s.last {
				t.Errorf("%v: slot %d is not between %d and %d", span, i, s.first, s.last)
			}
			calls, timed, spent = calls+sl.decided[audit.Allowed], timed+sl.latencies.count, spent+sl.spent["usd"]
		}
		if calls != 3000 || timed != 3000 || spent != 6000 || s.last-s.first >= maxSlots {
			t.Errorf("%v: %d calls, %d latencies, %d spent in %d slots", span, calls, timed, spent, s.last-s.first+1)
		}
	}
}

// A caller who makes up a new tool name for every call cannot grow the report, nor
// push the real tools out of it.
func TestFloodOfNames(t *testing.T) {
	t.Parallel()
	b := newBoard()
	const flood = 50_000
	for i := range flood {
		b.at(fmt.Sprintf("made-up-%d", i)).add(audit.Refused, 1)
		if i%10 == 0 {
			b.at("real").add(audit.Allowed, 1)
		}
	}
	if len(b.tallies) > 2*boardNames {
		t.Errorf("%d names are kept", len(b.tallies))
	}
	top, rest := b.top(3)
	if top[0].name != "real" || top[0].calls != flood/10 || top[0].refused != 0 {
		t.Errorf("first is %s with %d calls", top[0].name, top[0].calls)
	}
	if sum := top[0].calls + top[1].calls + top[2].calls + rest.calls; sum != flood+flood/10 || !b.pruned {
		t.Errorf("%d calls, want %d", sum, flood+flood/10)
	}
}

func TestDecisionsAndUnitsThatNobodyKnowsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSummary()
	for i := range 1000 {
		e := sampleEvent(audit.Outcome, i, "x", "tool", alice)
		e.Decision = audit.Decision(fmt.Sprint("d", i))
		e.Notes = append(e.Notes, noteOf(noteCost, fmt.Sprintf("1 unit%d of 2 unit%d reserved", i, i)))
		if err := s.add(auditEntry{event: e}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.decided) != 1 || s.decided[audit.Unknown] != 1000 || len(s.units) != maxUnits || len(s.spent) != maxUnits {
		t.Errorf("%d decisions, %d units", len(s.decided), len(s.units))
	}
}

func TestCountsStopAtTheEndOfTheirRange(t *testing.T) {
	t.Parallel()
	if addUint(math.MaxUint64-1, 5) != math.MaxUint64 || addInt(math.MaxInt64-1, 5) != math.MaxInt64 || addUint(2, 3) != 5 || addInt(2, 3) != 5 {
		t.Error("a sum has gone round")
	}
}

func TestNiceSteps(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{0: 1, 0.3: 0.5, 1: 1, 1.1: 2, 4: 5, 6: 10, 101: 200, math.Inf(1): 1} {
		if got := niceStep(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", v, got, want)
		}
	}
}
