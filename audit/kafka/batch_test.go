package kafka

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mcpsec/mcpsec-go/audit"
)

// The order rests on this: no group is begun before the one before is acknowledged,
// a group fits one batch, and a client that does not know the topic's partitions yet
// sends one record to learn them.
func TestGroups(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options []kgo.Opt
		records []audit.Record
		want    []int // records that are sent when a group ends
	}{
		"by count": {nil, records("o", 0, 2500), []int{1, 1001, 2001, 2500}},
		"by size": {
			[]kgo.Opt{kgo.ProducerBatchMaxBytes(1 << 14)},
			slices.Concat(records("o", 0, 1), padded(4, 5000), padded(1, 9000)),
			[]int{1, 4, 6}, // 3 x 5,000, then 5,000 + 9,000
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, kfake.SeedTopics(1, topic))
			var sent []int
			total := 0
			c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
				for _, rt := range r.(*kmsg.ProduceRequest).Topics {
					for _, rp := range rt.Partitions {
						var b kmsg.RecordBatch
						if err := b.ReadFrom(rp.Records); err != nil {
							t.Error(err)
						}
						total += int(b.NumRecords)
						sent = append(sent, total)
					}
				}
				return nil, nil, false
			})
			d := to(t, c, append(test.options, kgo.ProducerBatchCompression(kgo.NoCompression()))...)
			deliver(t, d, test.records)
			c.Close()
			for _, n := range test.want {
				if !slices.Contains(sent, n) {
					t.Errorf("a batch spans records before and after the first %d: %v", n, sent)
				}
			}
			if len(sent) > len(test.want)+1 { // the client may begin one early
				t.Errorf("%d batches for %d groups: %v", len(sent), len(test.want), sent)
			}
		})
	}
}

func padded(n, size int) []audit.Record {
	var all []audit.Record
	for i := range n {
		all = append(all, record("o", 1000*size+i, strings.Repeat("x", size)))
	}
	return all
}

// A message takes no more of a batch than is reckoned for it, and reads back as it
// was written, whatever is in it.
func FuzzMessage(f *testing.F) {
	f.Add("files.example", []byte(`{"seq":1}`), uint64(1))
	f.Add("\r\n\x00", []byte{}, uint64(1)<<63)
	f.Add(strings.Repeat("x", 300), bytes.Repeat([]byte("y"), 1<<15), uint64(0))
	f.Fuzz(func(t *testing.T, origin string, value []byte, seq uint64) {
		r := audit.Record{Origin: origin, Seq: seq}
		m := message{id: r.ID(), key: []byte(origin), value: value}
		const mediaType = "application/json"
		sent := m.record([]byte(mediaType))
		wire := kmsg.Record{Key: sent.Key, Value: sent.Value, OffsetDelta: maxGroup, TimestampDelta64: 1 << 40}
		for _, h := range sent.Headers {
			wire.Headers = append(wire.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		wire.Length = int32(len(wire.AppendTo(nil)) - 1) // what follows the length, which took one byte
		encoded := wire.AppendTo(nil)
		if len(encoded) > m.size(mediaType) {
			t.Fatalf("%d bytes, reckoned %d", len(encoded), m.size(mediaType))
		}
		var got kmsg.Record
		if err := got.ReadFrom(encoded); err != nil {
			t.Fatal(err)
		}
		if string(got.Key) != origin || !bytes.Equal(got.Value, value) || len(got.Headers) != 2 ||
			string(got.Headers[0].Value) != fmt.Sprintf("%s:%d", origin, seq) {
			t.Fatalf("read back %+v", got)
		}
	})
}
