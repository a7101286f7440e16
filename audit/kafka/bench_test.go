package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Batches of 500 records of about 700 bytes to a broker in this process, which
// takes its share of the time.
func BenchmarkDeliver(b *testing.B) {
	c := start(b, kfake.SeedTopics(1, topic))
	d := to(b, c)
	all := padded(500, 500)
	deliver(b, d, all[:1])
	b.SetBytes(int64(500 * len(all[0].Line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Deliver(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(500*b.N), "ns/record")
}

// What this package does for a record, without the client.
func BenchmarkMessage(b *testing.B) {
	r := padded(1, 500)[0]
	d := Destination{config: Config{Topic: topic}}
	mediaType := []byte("application/json")
	b.ReportAllocs()
	for b.Loop() {
		m := message{id: r.ID(), key: []byte(r.Origin), value: append([]byte(nil), r.Line...)}
		if m.size(string(mediaType)) < len(m.record(mediaType).Value) || d.limit > 0 {
			b.Fatal("too small")
		}
	}
}
