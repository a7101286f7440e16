package aws

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/test/fakeaws"
)

// faults after which it is not known what has arrived, or certain that nothing has.
var faults = map[string][]fakeaws.Fault{
	"internal error":         {fakeaws.Internal(), fakeaws.Internal(), fakeaws.Internal()},
	"answer lost":            {fakeaws.Lose(), fakeaws.Lose(), fakeaws.Lose()},
	"truncated":              {fakeaws.Truncate(true)},
	"truncated and hidden":   {fakeaws.Truncate(false)},
	"page of a proxy":        {fakeaws.Answer(200, "text/html", "<html>"+fakeaws.Keys.SessionToken+"</html>")},
	"empty answer":           {fakeaws.Answer(200, "application/x-amz-json-1.1", "")},
	"empty object":           {fakeaws.Answer(200, "application/x-amz-json-1.1", "{}")},
	"null":                   {fakeaws.Answer(200, "application/x-amz-json-1.1", "null")},
	"doubled members":        {fakeaws.Answer(200, "application/x-amz-json-1.1", `{"FailedPutCount":0,"FailedPutCount":0}`)},
	"larger than any answer": {fakeaws.Answer(200, "application/x-amz-json-1.1", `{"a":"`+strings.Repeat("x", maxAnswer)+`"}`)},
	"redirect":               {fakeaws.Answer(307, "text/html", "elsewhere")},
	"page of an error":       {fakeaws.Answer(403, "text/html", "<html>"+fakeaws.Keys.SessionToken+"</html>")},
	"no access":              {fakeaws.Refuse(400, "AccessDeniedException", "User: arn:aws:sts::1:assumed-role/x/"+fakeaws.Keys.SecretAccessKey)},
	"expired":                {fakeaws.Refuse(400, "ExpiredTokenException", fakeaws.Keys.SessionToken)},
	"code that is a message": {fakeaws.Refuse(400, fakeaws.Keys.SessionToken+" "+strings.Repeat("x", 5000), "")},
}

func TestAFailureIsAnErrorAndTheNextDeliveryCompletesIt(t *testing.T) {
	t.Parallel()
	for name, all := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, build := range rigs {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					r := build(t, setting{})
					fault := all
					if r.operation == "PutAuditEvents" {
						fault = fault[:1] // the others are tried again by the SDK
					}
					r.server.Inject(r.operation, fault...)
					records := calls(40)
					rejected, err := r.destination.Deliver(t.Context(), records)
					if err == nil || len(rejected) > 0 {
						t.Fatalf("%v %v", rejected, err)
					}
					tellsNothing(t, err)
					r.deliver(t, records)
					got := r.received()
					slices.Sort(got)
					want := wanted(t, records)
					slices.Sort(want)
					if !slices.Equal(slices.Compact(got), want) {
						t.Fatal("something is missing, or altered")
					}
				})
			}
		})
	}
}

func TestAHangingServiceHoldsNobodyBeyondTheContext(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r.server.Inject(r.operation, fakeaws.Hang(cancel)) // once the request is there
			records := calls(3)
			_, err := r.destination.Deliver(ctx, records)
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "no answer in time") {
				t.Fatalf("%v", err)
			}
			r.deliver(t, records)
			once(t, r, records, true)
		})
	}
}

func TestTheDeadlineEndsTheRounds(t *testing.T) {
	t.Parallel()
	for name, build := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := build(t, setting{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r.destination.core().pause = func(ctx context.Context, round int) error {
				if round == 3 {
					cancel()
				}
				return ctx.Err()
			}
			for range 99 {
				if r.operation == "PutLogEvents" {
					r.server.Inject(r.operation, fakeaws.Throttle())
					cancel()
					continue
				}
				r.server.Inject(r.operation, fakeaws.Partial(func(int) string { return "InternalFailure" }))
			}
			_, err := r.destination.Deliver(ctx, calls(3))
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%v", err)
			}
			if r.operation != "PutLogEvents" && !strings.Contains(err.Error(), "3 of 3 records are still refused: InternalFailure") {
				t.Fatalf("%v", err)
			}
		})
	}
}

func TestAWrongClockIsCorrected(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{-26 * time.Hour, 90 * time.Minute} {
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			for name, build := range rigs {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					r := build(t, setting{})
					r.server.SetClock(func() time.Time { return time.Now().Add(offset) })
					records := calls(10)
					rejected, err := r.destination.Deliver(t.Context(), records)
					if r.operation == "PutLogEvents" && offset < 0 { // for the service, all this is still to come
						if err != nil || len(rejected) != len(records) {
							t.Fatalf("%v %v", rejected, err)
						}
						return
					}
					if err != nil || len(rejected) > 0 {
						t.Fatalf("%v %v", rejected, err)
					}
					n := r.server.Requests(r.operation)
					r.deliver(t, calls(1))
					if r.server.Requests(r.operation) != n+1 {
						t.Error("the offset was forgotten")
					}
				})
			}
		})
	}
}

func TestPausesGrowAndStayBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for round := 1; round <= 1000; round++ {
			start := time.Now()
			if err := backoff(t.Context(), round); err != nil {
				t.Fatal(err)
			}
			most := min(5*time.Second, 100*time.Millisecond<<min(round-1, 10))
			if took := time.Since(start); took <= 0 || took > most {
				t.Fatalf("round %d: %v", round, took)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		if err := backoff(ctx, 20); !errors.Is(err, context.DeadlineExceeded) && err != nil {
			t.Fatal(err)
		}
	})
}
