package main

import (
	"maps"
	"slices"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
)

// steps are the widths a time series may have, in seconds; each divides the next.
var steps = []int64{
	1, 5, 15, 60, 5 * 60, 15 * 60, 3600, 3 * 3600, 12 * 3600, 86400, 7 * 86400, 28 * 86400,
	364 * 86400, 3640 * 86400, 36400 * 86400, 364000 * 86400, 3640000 * 86400,
}

// maxSlots is how many slots a chart has at most.
const maxSlots = 96

// A slot is what happened in one step of time.
type slot struct {
	decided   map[audit.Decision]uint64
	latencies latencies
	spent     map[string]int64 // by unit, in millionths
}

// A timeSeries counts events over a time that is not known before: when its slots
// do not reach, it joins them into wider ones.
type timeSeries struct {
	step        int // index in steps
	slots       map[int64]*slot
	first, last int64 // in steps, of those in slots
}

func newTimeSeries() *timeSeries { return &timeSeries{slots: make(map[int64]*slot)} }

// at returns the slot of a time.
func (s *timeSeries) at(t time.Time) *slot {
	for {
		i := floorDiv(t.Unix(), steps[s.step])
		first, last := i, i
		if len(s.slots) > 0 {
			first, last = min(s.first, i), max(s.last, i)
		}
		if last-first >= maxSlots && s.step < len(steps)-1 {
			s.widen()
			continue
		}
		s.first, s.last = first, last
		if s.slots[i] == nil {
			s.slots[i] = &slot{decided: make(map[audit.Decision]uint64), spent: make(map[string]int64)}
		}
		return s.slots[i]
	}
}

func (s *timeSeries) widen() {
	factor := steps[s.step+1] / steps[s.step]
	s.step++
	old := s.slots
	s.slots = make(map[int64]*slot)
	for _, i := range slices.Sorted(maps.Keys(old)) {
		wide := floorDiv(i, factor)
		if have := s.slots[wide]; have != nil {
			have.merge(old[i])
		} else {
			s.slots[wide] = old[i]
		}
	}
	s.first, s.last = floorDiv(s.first, factor), floorDiv(s.last, factor)
}

func (s *slot) merge(other *slot) {
	for d, n := range other.decided {
		s.decided[d] = addUint(s.decided[d], n)
	}
	s.latencies.merge(&other.latencies)
	for unit, n := range other.spent {
		s.spent[unit] = addInt(s.spent[unit], n)
	}
}

// width is how much time a slot covers.
func (s *timeSeries) width() time.Duration { return time.Duration(steps[s.step]) * time.Second }

// start is when the slot of that index begins.
func (s *timeSeries) start(i int64) time.Time { return time.Unix(i*steps[s.step], 0).UTC() }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// addUint and addInt add and stop at the end of the range: counts in a log that
// somebody changed may be anything.
func addUint(a, b uint64) uint64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return ^uint64(0)
}

func addInt(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum // b is never negative
	}
	return 1<<63 - 1
}
