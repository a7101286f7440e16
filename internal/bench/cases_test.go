package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"

	"github.com/mcpsec/mcpsec-go/internal/bench/cases"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startCase(t *testing.T, c cases.Case) *cases.Server {
	t.Helper()
	s, err := start(c, t.TempDir()+"/case")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// What is measured must work: nothing refused, no alarm.
func TestEveryCaseCallsAtEveryLevel(t *testing.T) {
	for _, l := range cases.Levels() {
		for _, c := range cases.At(l) {
			t.Run(l.String()+"/"+c.Name, func(t *testing.T) {
				s := startCase(t, c)
				for range 2 { // with a new connection, and with one that was put back
					caller, err := s.Take(t.Context(), l)
					if err != nil {
						t.Fatal(err)
					}
					if err := caller.Call(t.Context()); err != nil {
						t.Error(err)
					}
					s.Put(l, caller)
				}
			})
		}
	}
}

// Allocations do not depend on the machine, so they have a budget: what a case adds
// to a call of the bare SDK. Time has none here: it would fail by chance.
func TestAllocationsStayWithinBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates by itself: run without -race")
	}
	for _, l := range []cases.Level{cases.Direct, cases.Dispatch} {
		bare := allocations(t, cases.Bare, l)
		for _, test := range []struct {
			of     cases.Case
			budget float64
		}{
			{cases.Guard, 3},
			{cases.Chain, 20},
			{cases.ChainStatic, 20},
			// Three quarters of it are spent on reading the key: a goroutine, two
			// contexts and an open file for each call: a file may be on a disk that does
			// not answer, so it is read like any other provider is asked. It was 55 before
			// credentials were kept. A bound, and no aim.
			{cases.ChainKey, 66},
		} {
			t.Run(l.String()+"/"+test.of.Name, func(t *testing.T) {
				added := allocations(t, test.of, l) - bare
				t.Logf("%.0f allocations, %+.0f added", bare+added, added)
				if added > test.budget {
					t.Errorf("%.0f allocations added to a call of the bare SDK: the budget is %.0f", added, test.budget)
				}
			})
		}
	}
}

// allocations returns how often a call allocates, in all goroutines. The garbage
// collector sleeps meanwhile: it empties pools at moments of its own choice.
func allocations(t *testing.T, c cases.Case, l cases.Level) float64 {
	t.Helper()
	s := startCase(t, c)
	caller, err := s.Take(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Put(l, caller)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	fewest := math.Inf(1)
	for range 5 {
		runtime.GC()
		fewest = min(fewest, testing.AllocsPerRun(50, func() {
			if err := caller.Call(t.Context()); err != nil {
				t.Error(err)
			}
		}))
	}
	return fewest
}
