package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
)

// A report is what was found, as other programs read it.
type report struct {
	Go      string   `json:"go"`
	System  string   `json:"system"`
	CPUs    int      `json:"cpus"` // GOMAXPROCS
	Rounds  int      `json:"rounds"`
	Time    string   `json:"time"`      // of one measurement, about
	Heap    int      `json:"heapBytes"` // held besides what is measured
	Results []result `json:"results"`
}

// A result is one case at one level. What is added is compared with the bare
// go-sdk in the same round; the medians are those of the rounds.
type result struct {
	Level       string  `json:"level"`
	Mode        string  `json:"mode"`
	Case        string  `json:"case"`
	Ns          float64 `json:"nsPerOp"`
	AddedNs     float64 `json:"addedNs"`
	Error       float64 `json:"addedNsError"` // standard error of AddedNs; 0 after one round
	Ratio       float64 `json:"ratio"`
	Allocs      float64 `json:"allocsPerOp"`
	AddedAllocs float64 `json:"addedAllocs"`
}

func newReport(o options, groups []*group) *report {
	r := &report{
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.GOMAXPROCS(0),
		Rounds: o.rounds, Time: o.time.String(), Heap: heap,
	}
	for _, g := range groups {
		for _, s := range g.series {
			one := compare(s.samples, g.series[0].samples)
			one.Level, one.Mode, one.Case = g.level.String(), g.mode, s.name
			r.Results = append(r.Results, one)
		}
	}
	return r
}

// compare compares a case with the bare one, round by round.
func compare(samples, bare []sample) result {
	middle := func(of func(s, b sample) float64) float64 {
		values := make([]float64, len(samples))
		for i := range samples {
			values[i] = of(samples[i], bare[i])
		}
		return median(values)
	}
	r := result{
		Ns:          middle(func(s, _ sample) float64 { return s.ns }),
		AddedNs:     middle(func(s, b sample) float64 { return s.ns - b.ns }),
		Ratio:       middle(func(s, b sample) float64 { return s.ns / b.ns }),
		Allocs:      middle(func(s, _ sample) float64 { return s.allocs }),
		AddedAllocs: middle(func(s, b sample) float64 { return s.allocs - b.allocs }),
	}
	deviation := middle(func(s, b sample) float64 { return math.Abs(s.ns - b.ns - r.AddedNs) })
	r.Error = errorOfMedian * deviation / math.Sqrt(float64(len(samples)))
	return r
}

// errorOfMedian makes a standard error of the median of a median absolute
// deviation, as for values that are distributed normally: 1.4826 * sqrt(pi/2).
const errorOfMedian = 1.858

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func (r *report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (r *report) writeTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, GOMAXPROCS %d, heap of %d MiB; medians of %d x %s\n",
		r.Go, r.System, r.CPUs, r.Heap>>20, r.Rounds, r.Time)
	width := 0
	for _, one := range r.Results {
		width = max(width, len(one.Case))
	}
	heading := ""
	for _, one := range r.Results {
		if h := one.Level + ", " + one.Mode; h != heading {
			heading = h
			fmt.Fprintf(&b, "\n%-*s %10s %10s %9s %7s %9s %7s\n", width, h, "ns/op", "added ns", "+/- ns", "ratio", "allocs/op", "added")
		}
		spread := "-"
		if r.Rounds > 1 {
			spread = fmt.Sprintf("%.0f", one.Error)
		}
		fmt.Fprintf(&b, "%-*s %10.0f %+10.0f %9s %7.3f %9.1f %+7.1f\n", width, one.Case,
			one.Ns, one.AddedNs, spread, one.Ratio, one.Allocs, one.AddedAllocs)
	}
	b.WriteString("\nadded: to the bare go-sdk, compared within each round; +/-: standard error of the nanoseconds added.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
