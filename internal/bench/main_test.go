package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/internal/bench/cases"
)

// bench runs the program and returns what it prints.
func bench(ctx context.Context, t *testing.T, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var stdout, stderr bytes.Buffer
	err := run(ctx, args, &stdout, &stderr)
	if stderr.Len() > 0 {
		t.Errorf("standard error is no terminal and got %q", &stderr)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return stdout.String(), err
}

func TestTableHasEveryCase(t *testing.T) {
	out, err := bench(t.Context(), t, "-rounds", "1", "-time", "1us")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range cases.Levels() {
		_, table, found := strings.Cut(out, "\n"+l.String()+", sequential ")
		if !found {
			t.Fatalf("no table for %v in:\n%s", l, out)
		}
		for _, c := range cases.At(l) {
			if !strings.Contains(table, "\n"+c.Name+" ") {
				t.Errorf("%v: no line for %q", l, c.Name)
			}
		}
	}
	widths := make(map[int]bool)
	for line := range strings.Lines(out) {
		if strings.Contains(line, "ns/op") || strings.HasPrefix(line, "guard") {
			widths[len(line)] = true
		}
	}
	if len(widths) != 1 {
		t.Errorf("the columns are not aligned:\n%s", out)
	}
}

func TestJSONHasTheSameResults(t *testing.T) {
	out, err := bench(t.Context(), t, "-rounds", "2", "-time", "1us", "-json")
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, l := range cases.Levels() {
		want += 2 * len(cases.At(l))
	}
	if len(r.Results) != want || r.Rounds != 2 || r.Time != "1µs" || r.CPUs < 1 {
		t.Errorf("%d results, want %d, in %+v", len(r.Results), want, r)
	}
	for _, one := range r.Results {
		if one.Ns <= 0 || one.Allocs <= 0 || one.Ratio <= 0 {
			t.Errorf("not measured: %+v", one)
		}
	}
}

func TestHelpNamesEveryFlagAndHasExamples(t *testing.T) {
	out, err := bench(t.Context(), t, "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-rounds N", "-time D", "-json", "Examples:", "default 15", "default 30ms"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestFaultyCommandLines(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-rounds", "many"}, {"-time", "0s"}, {"-time", "30"}, {"-verbose"}, {"all"}} {
		if out, err := bench(t.Context(), t, args...); err == nil || out != "" || !strings.Contains(err.Error(), "--help") {
			t.Errorf("%v: got %q and error %v", args, out, err)
		}
	}
}

func TestInterruptEndsTheRunAndLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out, err := bench(ctx, t); !errors.Is(err, context.Canceled) || out != "" {
		t.Errorf("got %q and error %v", out, err)
	}
}

// A machine that slows down in the middle changes every median, and not what is
// found to be added.
func TestComparisonIsWithinRounds(t *testing.T) {
	bare := []sample{{100, 5}, {1000, 5}, {5000, 5}}
	guarded := []sample{{110, 7}, {1010, 7}, {5013, 8}}
	got := compare(guarded, bare)
	if got.Ns != 1010 || got.AddedNs != 10 || got.Allocs != 7 || got.AddedAllocs != 2 || math.Abs(got.Ratio-1.01) > 1e-9 {
		t.Errorf("got %+v", got)
	}
	if got.Error != 0 { // two of three rounds agree
		t.Errorf("error %v", got.Error)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		of   []float64
		want float64
	}{{[]float64{7}, 7}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(test.of); got != test.want {
			t.Errorf("median of %v: got %v, want %v", test.of, got, test.want)
		}
	}
}
