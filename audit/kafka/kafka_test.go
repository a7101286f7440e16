package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mcpsec/mcpsec-go/audit"
)

func TestWhatIsStoredIsWhatWasSent(t *testing.T) {
	t.Parallel()
	c := start(t, kfake.SeedTopics(8, topic))
	d := to(t, c)
	origins := []string{"files.example", "mail.example", "a b\r\n\x00\xff|é"}
	var all []audit.Record
	for seq := range 400 {
		for _, o := range origins {
			all = append(all, record(o, seq, "text"))
		}
	}
	all = append(all,
		audit.Record{Origin: origins[0], Seq: 400, Checkpoint: "files.example\n400\nAAAA\n\n— files.example sig\n"},
		audit.Record{Origin: origins[1], Seq: 400, Line: []byte("\x00\r\n\"")}, // what a line never holds
	)
	if rejected := deliver(t, d, all); rejected != nil {
		t.Fatalf("rejected %v", rejected)
	}
	got := map[string][]*kgo.Record{}
	partition := map[string]int32{}
	for _, r := range read(t, c) {
		o := string(r.Key)
		got[o] = append(got[o], r)
		if p, known := partition[o]; known && p != r.Partition {
			t.Fatalf("%q is in partitions %d and %d", o, p, r.Partition)
		}
		partition[o] = r.Partition
	}
	for i := range all {
		r := &all[i]
		if len(got[r.Origin]) == 0 {
			t.Fatalf("%q is missing", r.ID())
		}
		m := got[r.Origin][0]
		got[r.Origin] = got[r.Origin][1:]
		want, _ := audit.JSON.AppendRecord(nil, r)
		if header(m, headerID) != r.ID() || header(m, headerType) != "application/json" || !bytes.Equal(m.Value, want) || len(m.Headers) != 2 {
			t.Fatalf("want %q: %q\n got %v: %q", r.ID(), want, m.Headers, m.Value)
		}
	}
	for o, rest := range got {
		if len(rest) > 0 {
			t.Errorf("%d messages too many of %q", len(rest), o)
		}
	}
}

// noise is text that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(rand.IntN(26))
	}
	return string(b)
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	const brokers = 20_000 // max.message.bytes
	for name, test := range map[string]struct {
		large   []int
		client  int32 // ProducerBatchMaxBytes; 0 leaves it alone
		records int
	}{
		"one in the middle":                    {large: []int{57}, records: 100},
		"the first of all":                     {large: []int{0}, records: 100},
		"the last":                             {large: []int{99}, records: 100},
		"neighbours":                           {large: []int{30, 31, 32}, records: 100},
		"all":                                  {large: []int{0, 1, 2, 3, 4}, records: 5},
		"alone":                                {large: []int{0}, records: 1},
		"none, but a batch of them is":         {records: 300},
		"the client's limit, one":              {large: []int{57}, client: brokers, records: 100},
		"the client's limit, neighbours":       {large: []int{30, 31}, client: brokers, records: 100},
		"the client's limit is below the rest": {large: []int{30, 31}, client: 4000, records: 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			size := fmt.Sprint(brokers)
			if err := c.CreateTopic(topic, 1, map[string]string{"max.message.bytes": size}); err != nil {
				t.Fatal(err)
			}
			var options []kgo.Opt
			if test.client > 0 {
				options = append(options, kgo.ProducerBatchMaxBytes(test.client))
			}
			d := to(t, c, options...)
			var all, fit []audit.Record
			for i := range test.records {
				if slices.Contains(test.large, i) {
					all = append(all, record("o", i, noise(2*brokers)))
					continue
				}
				all = append(all, record("o", i, noise(300)))
				fit = append(fit, all[i])
			}
			if rejected := deliver(t, d, all); !slices.Equal(rejected, test.large) {
				t.Fatalf("rejected %v, want %v", rejected, test.large)
			}
			stored(t, c, fit, false)
			more := records("o", test.records, test.records+10)
			deliver(t, d, more)
			stored(t, c, append(fit, more...), false)
		})
	}
}

// unwritable refuses records with odd numbers.
type unwritable struct{ audit.Format }

func (u unwritable) AppendRecord(b []byte, r *audit.Record) ([]byte, error) {
	if r.Seq%2 == 1 {
		return nil, errors.New("secret of the record")
	}
	return u.Format.AppendRecord(b, r)
}

func TestFormatThatCannotWriteARecord(t *testing.T) {
	t.Parallel()
	c := start(t, kfake.SeedTopics(1, topic))
	d := to(t, c)
	d.config.Format = unwritable{audit.JSON}
	rejected, err := d.Deliver(t.Context(), records("o", 0, 5))
	if err != nil || len(rejected) != 2 || rejected[0].Index != 1 || rejected[1].Index != 3 {
		t.Fatal(rejected, err)
	}
	if strings.Contains(fmt.Sprint(rejected), "secret") {
		t.Errorf("the reason holds content of the record: %v", rejected)
	}
	if got := ids(read(t, c)); !slices.Equal(got, []string{"o:0", "o:2", "o:4"}) {
		t.Errorf("stored %v", got)
	}
	if rejected, err := d.Deliver(t.Context(), nil); err != nil || rejected != nil {
		t.Errorf("nothing to deliver: %v %v", rejected, err)
	}
}
