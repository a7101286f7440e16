package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/audit/ledger"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// sampleTime is when the records of the tests begin.
var sampleTime = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// writeLedger makes a ledger of events.
func writeLedger(t *testing.T, dir string, o ledger.Options, events func(yield func(*audit.Event) bool)) {
	t.Helper()
	if o.Origin == "" {
		o.Origin = "test/files"
	}
	l, err := ledger.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	n := 0
	for e := range events {
		b = e.AppendJSON(b[:0])
		class := ledger.Bounded
		if n++; n%500 == 0 || o.SegmentBytes > 0 { // wait for the disk: now and then, or as segments are cut between batches
			class = ledger.Require
		}
		if err := l.Append(t.Context(), &ledger.Entry{Object: b, Class: class}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// busyDay is n calls of a day: some tools, some principals, some refusals.
func busyDay(n int) func(yield func(*audit.Event) bool) {
	tools := []string{"search_documents", "list_bucket", "read_file", "send_mail", "delete_bucket", "run_query"}
	people := []string{"alice@example.com", "bob@example.com", "ci-runner", "carol@example.com"}
	refusals := []struct{ code, control, reason string }{
		{"ratelimit.exceeded", "ratelimit", "too many calls: 60 a minute are allowed"},
		{"allowlist.denied", "allowlist", "the tool is not allowed for this principal"},
		{"guard.bad_arguments", "guard", "the member \"path\" is missing"},
		{"attest.definition_mismatch", "attest", "the tool's definition has changed"},
	}
	return func(yield func(*audit.Event) bool) {
		r := rand.New(rand.NewPCG(1, 2))
		at := sampleTime
		for i := range n {
			at = at.Add(time.Duration(r.ExpFloat64() * float64(10*time.Hour) / float64(n)))
			e := &audit.Event{
				Kind: audit.Attempt, Time: at, ID: fmt.Sprintf("0193a1e0-0000-7000-8000-%012d", i),
				Method: "tools/call", Name: tools[min(r.IntN(6), r.IntN(6))],
				Principal: audit.Principal{Rung: "token", Subject: people[min(r.IntN(4), r.IntN(4))], Issuer: "https://id.example.com"},
				Source:    audit.Source{Transport: "http", Address: "203.0.113.7:51234"},
				Arguments: audit.Arguments{Bytes: 120, Keys: []string{"path", "limit"}},
			}
			o := *e
			o.Kind, o.Decision = audit.Outcome, audit.Allowed
			o.Latency = time.Duration((1 + r.ExpFloat64()*20) * float64(time.Millisecond) * (1 + float64(i)/float64(n)))
			o.Time = at.Add(o.Latency)
			refused := false
			switch x := r.IntN(100); {
			case x < 9:
				refusal := refusals[min(r.IntN(4), r.IntN(4))]
				o.Decision, o.Code, o.Control, o.Reason = audit.Refused, refusal.code, refusal.control, refusal.reason
				o.Latency, refused = 300*time.Microsecond, true
			case x < 13:
				o.Decision, o.IsError = audit.Failed, true
			default:
				o.Notes = []mcpsec.Note{{Key: noteCost, Value: fmt.Sprintf("$0.%04d of $0.05 reserved, %d tokens of 4000 tokens reserved", r.IntN(400), r.IntN(4000))}}
				o.Result = audit.Result{Bytes: 4096, Digest: "sha256:9f86d081"}
			}
			if !refused && !yield(e) || !yield(&o) {
				return
			}
		}
	}
}

func noteOf(key, value string) mcpsec.Note { return mcpsec.Note{Key: key, Value: value} }
