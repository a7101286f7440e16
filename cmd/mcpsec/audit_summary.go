package main

import (
	"cmp"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/ratelimit"
)

const (
	maxLosses   = 50 // gaps and the like that the report lists; all are counted
	maxRefusals = 25
	maxUnits    = 4
)

// A summary is what a report says of a ledger. Its size has a bound.
type summary struct {
	records                  uint64
	first, last              time.Time
	calls, attempts          uint64
	decided                  map[audit.Decision]uint64
	lost, suppressed         uint64
	codes, tools, principals *board
	series                   *timeSeries
	latencies                latencies
	losses, refusals         lastOf[pageEvent]
	units                    []string // of what was spent, in the order they were met
	spent                    map[string]int64
	unread                   uint64
}

// lastOf keeps the last of many.
type lastOf[T any] struct {
	limit int
	total uint64
	kept  []T
}

func (l *lastOf[T]) push(v T) {
	if l.total++; len(l.kept) == l.limit {
		copy(l.kept, l.kept[1:])
		l.kept = l.kept[:l.limit-1]
	}
	l.kept = append(l.kept, v)
}

func newSummary() *summary {
	return &summary{
		decided: make(map[audit.Decision]uint64), spent: make(map[string]int64),
		codes: newBoard(), tools: newBoard(), principals: newBoard(), series: newTimeSeries(),
		losses: lastOf[pageEvent]{limit: maxLosses}, refusals: lastOf[pageEvent]{limit: maxRefusals},
	}
}

func (s *summary) add(e auditEntry) error {
	s.records++
	v := e.event
	if v == nil {
		s.unread++
		return nil
	}
	if s.first.IsZero() || v.Time.Before(s.first) {
		s.first = v.Time
	}
	if v.Time.After(s.last) {
		s.last = v.Time
	}
	switch v.Kind {
	case audit.Attempt:
		s.attempts++
	case audit.Outcome:
		s.count(v, 1)
		s.addSpent(v)
		if v.Decision == audit.Refused {
			s.refusals.push(newPageEvent(e))
		}
		if v.Decision != audit.Allowed && v.Decision != audit.Failed {
			break // how long a refusal took says nothing of the tool, and of a cut-off call nobody knows
		}
		s.latencies.add(v.Latency)
		s.tools.at(calledName(v)).latencies.add(v.Latency)
		s.principals.at(who(&v.Principal)).latencies.add(v.Latency)
		s.series.at(v.Time).latencies.add(v.Latency)
	case audit.Suppressed:
		s.suppressed = addUint(s.suppressed, v.Count)
		s.count(v, v.Count)
		s.losses.push(newPageEvent(e))
	case audit.Gap:
		s.lost = addUint(s.lost, v.Count)
		s.losses.push(newPageEvent(e))
	case audit.Recovery, audit.Pruned:
		s.losses.push(newPageEvent(e))
	case audit.Log:
	}
	return nil
}

// count counts n calls that the event reports.
func (s *summary) count(v *audit.Event, n uint64) {
	d := v.Decision
	switch {
	case v.Kind == audit.Suppressed:
		d = audit.Refused
	case d != audit.Allowed && d != audit.Refused && d != audit.Failed:
		d = audit.Unknown
	}
	s.calls = addUint(s.calls, n)
	s.decided[d] = addUint(s.decided[d], n)
	s.tools.at(calledName(v)).add(d, n)
	s.principals.at(who(&v.Principal)).add(d, n)
	slot := s.series.at(v.Time)
	slot.decided[d] = addUint(slot.decided[d], n)
	if v.Code != "" {
		s.codes.at(v.Code).add(d, n)
	}
}

// calledName is what the report calls a tool; a method without name stands for itself.
func calledName(v *audit.Event) string { return cmp.Or(v.Name, v.Method, "-") }

// noteCost is the key under which the ratelimit package notes what a call has cost:
// "AMOUNT of AMOUNT reserved", separated by commas, one for each unit.
const noteCost = "ratelimit.cost"

// addSpent adds what a call has cost.
func (s *summary) addSpent(v *audit.Event) {
	for _, n := range v.Notes {
		if n.Key != noteCost {
			continue
		}
		for cost := range strings.SplitSeq(n.Value, ", ") {
			text, _, _ := strings.Cut(cost, " of ")
			if a, err := ratelimit.ParseAmount(text); err == nil {
				s.spend(v.Time, a)
			}
		}
	}
}

func (s *summary) spend(at time.Time, a ratelimit.Amount) {
	if _, known := s.spent[a.Unit]; !known {
		if len(s.units) == maxUnits {
			return
		}
		s.units = append(s.units, a.Unit)
	}
	s.spent[a.Unit] = addInt(s.spent[a.Unit], a.Micros)
	slot := s.series.at(at)
	slot.spent[a.Unit] = addInt(slot.spent[a.Unit], a.Micros)
}
