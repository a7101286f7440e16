package aws

import (
	"testing"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// BenchmarkEntry is what a record costs before it is sent: ns and bytes for each.
func BenchmarkEntry(b *testing.B) {
	r := line(1, &audit.Event{
		Kind: audit.Outcome, Time: time.Now(), ID: "01JDB3T5N8E6W8T5Y9Q2Z7K4RA", Method: "tools/call", Name: "search_documents",
		Principal: audit.Principal{Rung: "token", Issuer: "https://idp.example", Subject: "auth0|alice", Client: "desk"},
		Source:    audit.Source{Transport: "http", Address: "203.0.113.7:51234"}, Decision: audit.Allowed,
		Arguments: audit.Arguments{Bytes: 212, Keys: []string{"limit", "query"}}, Latency: 42 * time.Millisecond,
		Notes: []mcpsec.Note{{Key: "ratelimit.left", Value: "59"}},
	})
	k, f, l, c := &Kinesis{}, &Firehose{}, &Logs{now: time.Now}, &CloudTrail{now: time.Now, account: "123456789012"}
	k.format, f.format, l.format, c.format = audit.JSON, audit.JSON, audit.JSON, audit.JSON
	for name, prepare := range map[string]func(*audit.Record) (entry, string){
		"Kinesis": k.entry, "Firehose": f.entry, "Logs": l.entry, "CloudTrail": c.entry,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(r.Line)))
			for b.Loop() {
				if _, unfit := prepare(&r); unfit != "" {
					b.Fatal(unfit)
				}
			}
		})
	}
}
