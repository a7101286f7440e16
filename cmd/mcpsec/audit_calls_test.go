package main

import (
	"fmt"
	"testing"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Attempts that never get an outcome do not pile up: the oldest is listed as open.
func TestOpenCallsAreBounded(t *testing.T) {
	t.Parallel()
	var opened, joined, alone int
	j := newCallJoin(&auditFilter{}, func(c auditCall) error {
		switch {
		case c.outcome == nil:
			opened++
		case c.attempt == nil:
			alone++
		default:
			joined++
		}
		return nil
	})
	add := func(kind audit.Kind, i int) {
		if err := j.add(auditEntry{event: sampleEvent(kind, i, fmt.Sprint(i), "tool", alice)}); err != nil {
			t.Fatal(err)
		}
	}
	const n = 3 * maxOpenCalls
	for i := range n {
		add(audit.Attempt, i)
		if len(j.open) > maxOpenCalls || j.order.Len() > maxOpenCalls {
			t.Fatalf("%d calls are kept", len(j.open))
		}
	}
	add(audit.Outcome, n-1) // still awaited
	add(audit.Outcome, 0)   // given up
	if err := j.rest(); err != nil {
		t.Fatal(err)
	}
	if opened != n-1 || joined != 1 || alone != 1 || len(j.open) != 0 {
		t.Errorf("%d open, %d joined, %d alone", opened, joined, alone)
	}
}

// Rounds of a multi-round-trip call are runs of their own, and a second attempt with
// the same id, which no guard makes, loses none of the two.
func TestRoundsAreCallsOfTheirOwn(t *testing.T) {
	t.Parallel()
	var got []string
	j := newCallJoin(&auditFilter{}, func(c auditCall) error {
		s := ""
		if c.attempt != nil {
			s += fmt.Sprint("attempt ", c.attempt.seq)
		}
		if c.outcome != nil {
			s += fmt.Sprint(" outcome ", c.outcome.seq)
		}
		got = append(got, s)
		return nil
	})
	for seq, e := range []struct {
		kind  audit.Kind
		round int
	}{{audit.Attempt, 0}, {audit.Attempt, 1}, {audit.Attempt, 1}, {audit.Outcome, 0}, {audit.Outcome, 1}, {audit.Gap, 0}} {
		event := sampleEvent(e.kind, seq, "one", "tool", alice)
		event.Round = e.round
		if err := j.add(auditEntry{seq: uint64(seq), event: event}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.rest(); err != nil {
		t.Fatal(err)
	}
	if want := "[attempt 0 outcome 3 attempt 2 outcome 4 attempt 1]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestOpenCallsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	opened := 0
	j := newCallJoin(&auditFilter{}, func(auditCall) error { opened++; return nil })
	line := make([]byte, 1<<20)
	for i := range 100 {
		if err := j.add(auditEntry{line: line, event: sampleEvent(audit.Attempt, i, fmt.Sprint(i), "tool", alice)}); err != nil {
			t.Fatal(err)
		}
	}
	if opened != 68 || j.bytes != maxOpenBytes {
		t.Errorf("%d listed, %d bytes kept", opened, j.bytes)
	}
	if err := j.rest(); err != nil || opened != 100 || j.bytes != 0 {
		t.Errorf("%d listed, %d bytes kept, %v", opened, j.bytes, err)
	}
}
