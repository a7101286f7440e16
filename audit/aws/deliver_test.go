package aws

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

// once fails the test unless the messages are those of the records, each once. In
// order is asked for where the API keeps it.
func once(t *testing.T, r *rig, records []audit.Record, inOrder bool) {
	t.Helper()
	got, want := r.received(), wanted(t, records)
	if !inOrder || r.operation == "PutLogEvents" { // where checkpoints have their own time
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("received %d messages, want %d, or they differ:\n%.300q\n%.300q", len(got), len(want), got, want)
	}
}

func TestEverythingArrivesOnceAndInOrder(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			records := calls(1234)
			r.deliver(t, nil)
			r.deliver(t, records[:1])
			r.deliver(t, records[1:])
			once(t, r, records, true)
		})
	}
}

func TestOnlyWhatWasRefusedIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			code := map[string]string{
				"PutRecords": "ProvisionedThroughputExceededException", "PutRecordBatch": "ServiceUnavailableException", "PutAuditEvents": "Throttling",
			}[r.operation]
			if code == "" {
				t.Skip("reason: PutLogEvents refuses no single event for the moment")
			}
			r.server.Inject(r.operation,
				fakeaws.Partial(func(i int) string { return []string{"", code, "InternalFailure"}[i%3] }),
				fakeaws.Partial(func(i int) string { return []string{"", code}[i%2] }))
			records := calls(90)
			r.deliver(t, records)
			once(t, r, records, false)
			if n := r.server.Requests(r.operation); n != 3 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestThrottledAndOverloadedRequestsAreMadeAgain(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			r.server.Inject(r.operation, fakeaws.Throttle(), fakeaws.Unavailable())
			records := calls(40)
			r.deliver(t, records)
			once(t, r, records, true)
		})
	}
}

func TestRefusedForTooLongIsAnErrorAndNotALoss(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			for range maxRounds * 3 {
				r.server.Inject(r.operation, fakeaws.Throttle())
			}
			records := calls(10)
			rejected, err := r.destination.Deliver(t.Context(), records)
			if err == nil || len(rejected) > 0 || !strings.Contains(err.Error(), "ThrottlingException") {
				t.Fatalf("%v %v", rejected, err)
			}
			if len(r.received()) != 0 {
				t.Fatal("something arrived")
			}
		})
	}
}

// failing is as many failures as one request meets before it is given up.
func failing(r *rig) []fakeaws.Fault {
	if r.operation == "PutAuditEvents" {
		return []fakeaws.Fault{fakeaws.Internal()}
	}
	return []fakeaws.Fault{fakeaws.Internal(), fakeaws.Internal(), fakeaws.Internal()} // the SDK tries three times
}

func TestWhatWasTakenIsNotSentAgainWithTheRest(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			r.destination.core().limits.entries = 30
			pass := fakeaws.Partial(func(int) string { return "" })
			r.server.Inject(r.operation, pass)
			r.server.Inject(r.operation, pass)
			r.server.Inject(r.operation, failing(r)...)
			records := calls(90)
			records[5].Line = append(records[5].Line, '\n') // can never be sent
			rejected, err := r.destination.Deliver(t.Context(), records)
			if err == nil || len(rejected) > 0 {
				t.Fatalf("%v %v", rejected, err)
			}
			if n := len(r.received()); n != 60 {
				t.Fatalf("%d arrived at first", n)
			}
			rejected, err = r.destination.Deliver(t.Context(), records)
			if err != nil || len(rejected) != 1 || rejected[0].Index != 5 {
				t.Fatalf("%v %v", rejected, err)
			}
			once(t, r, slices.Delete(slices.Clone(records), 5, 6), true)
			if len(r.destination.core().settled) > 0 {
				t.Error("what is settled is kept for ever")
			}
		})
	}
}

func TestOtherRecordsAfterAFailureForgetTheFirst(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			r.destination.core().limits.entries = 10
			records := calls(60)
			r.server.Inject(r.operation, fakeaws.Partial(func(int) string { return "" }))
			r.server.Inject(r.operation, failing(r)...)
			if _, err := r.destination.Deliver(t.Context(), records[:20]); err == nil {
				t.Fatal("no error")
			}
			r.deliver(t, records[40:])
			r.deliver(t, records[:40])
			if n := len(r.received()); n != 70 { // the ten that were taken at first came twice
				t.Fatalf("%d arrived", n)
			}
		})
	}
}

func TestOversizeRecordDoesNotBlockTheRest(t *testing.T) {
	huge := formatFunc(func(b []byte, r *audit.Record) ([]byte, error) {
		switch r.Seq {
		case 3:
			return append(b, strings.Repeat("x", 1<<20)...), nil
		case 4:
			return nil, fmt.Errorf("%w: %s", errFormat, fakeaws.Keys.SessionToken)
		case 5:
			return append(b, "one\ntwo"...), nil
		case 6:
			return b, nil
		}
		return audit.JSON.AppendRecord(b, r)
	})
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{format: huge})
			records := calls(20)
			rejected, err := r.destination.Deliver(t.Context(), records)
			if err != nil || len(rejected) != 4 {
				t.Fatalf("%v %v", rejected, err)
			}
			for i, lost := range rejected {
				if lost.Index != i+3 || lost.Reason == "" {
					t.Errorf("%v", lost)
				}
				tellsNothing(t, errors.New(lost.Reason))
			}
			once(t, r, slices.Delete(slices.Clone(records), 3, 7), true)
		})
	}
}
