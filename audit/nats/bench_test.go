package nats

import (
	"bufio"
	"fmt"
	"net/textproto"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mcpsec/mcpsec-go/audit"
)

// Batches of 500 new records of about 700 bytes to a real server, which stores them
// in files and takes its share of the time.
func BenchmarkDeliver(b *testing.B) {
	s := start(b)
	s.store(nil)
	d := to(s)
	all := records(0, 500, 500)
	deliver(b, d, all)
	b.SetBytes(int64(500 * len(all[0].Line)))
	b.ReportAllocs()
	for b.Loop() {
		for i := range all {
			all[i].Seq += 500
		}
		if _, err := d.Deliver(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(500*b.N), "ns/record")
}

// What this package does for a record, without the client.
func BenchmarkMessage(b *testing.B) {
	r := records(0, 1, 500)[0]
	d := Destination{config: Config{Stream: stream, Subject: subject, Format: audit.JSON}}
	b.ReportAllocs()
	for b.Loop() {
		if m, err := d.message(&r); err != nil || m == nil {
			b.Fatal(err)
		}
	}
}

// An id that is accepted reads back as it was from a header, as a server written in
// another way reads it, and adds no header of its own.
func FuzzMessageID(f *testing.F) {
	f.Add("files.example", uint64(1))
	f.Add("a\r\nNats-Rollup: all\r\nb", uint64(1))
	f.Add(" a", uint64(1)<<63)
	f.Fuzz(func(t *testing.T, origin string, seq uint64) {
		d := Destination{config: Config{Stream: stream, Subject: subject, Format: audit.JSON}}
		r := audit.Record{Origin: origin, Seq: seq, Line: []byte("{}")}
		m, err := d.message(&r)
		if err != nil {
			return
		}
		var text strings.Builder
		for key, values := range m.Header {
			for _, v := range values {
				fmt.Fprintf(&text, "%s: %s\r\n", key, v)
			}
		}
		text.WriteString("\r\n")
		got, err := textproto.NewReader(bufio.NewReader(strings.NewReader(text.String()))).ReadMIMEHeader()
		if err != nil || len(got) != 3 {
			t.Fatalf("%q reads back as %v, %v", origin, got, err)
		}
		if id := got.Get(jetstream.MsgIDHeader); id != r.ID() {
			t.Fatalf("id %q reads back as %q", r.ID(), id)
		}
	})
}
