package https_test

import (
	"testing"
)

// An edge is a sharp one of the SDK: shown on what the SDK offers by itself, and shown to be
// absent behind the listener. Where another test does either, it is named.
type edge struct {
	number int
	name   string
	bare   func(visit) bool // reports whether the fault is there
	here   func(visit) bool
	both   string // the test that shows it bare and absent
	absent string // the test that shows it absent
	why    string // what takes its place where there is no test
}

// The 53 sharp edges of go-sdk v1.8.0.
func TestEdges(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	next := 1
	for _, e := range append(append([]edge{}, earlyEdges...), lateEdges...) {
		if e.number != next {
			t.Errorf("edge %d is in the place of %d", e.number, next)
		}
		next++
		t.Run(name(e.number, e.name), func(t *testing.T) {
			t.Parallel()
			if e.why != "" {
				t.Skip("reason: " + e.why)
			}
			for _, test := range []string{e.both, e.absent} {
				if test != "" {
					exists(t, test)
				}
			}
			if e.bare != nil && !e.bare(visit{t, o}) {
				t.Error("the bare SDK no longer has it: look whether the answer to it is still needed")
			}
			if e.here != nil && e.here(visit{t, o}) {
				t.Error("it is here too")
			}
			if e.both == "" && (e.bare == nil || e.here == nil && e.absent == "") {
				t.Error("nothing shows it, or its absence")
			}
		})
	}
	if next != 54 {
		t.Errorf("%d edges, want 53", next-1)
	}
}
