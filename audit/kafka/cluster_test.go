package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mcpsec/mcpsec-go/audit"
)

// patience bounds how long a test waits for what must happen.
const patience = time.Minute

const topic = "audit"

// start runs a cluster of this test's own, in this process, and ends it with it.
func start(tb testing.TB, options ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, options...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// quick are options that make the client try again sooner than it would.
func quick() []kgo.Opt {
	return []kgo.Opt{
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }),
		kgo.MetadataMinAge(10 * time.Millisecond),
	}
}

// to returns a destination that writes to the topic of the tests.
func to(tb testing.TB, c *kfake.Cluster, options ...kgo.Opt) *Destination {
	tb.Helper()
	d, err := New(Config{Brokers: c.ListenAddrs(), Topic: topic, AllowPlaintext: true, Options: append(quick(), options...)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// record makes a record that a ledger could have written, with a text of a size.
func record(origin string, seq int, text string) audit.Record {
	line := fmt.Sprintf(`{"seq":%d,"prev":"%016x","time":"2026-11-22T10:00:00Z","event":"outcome","id":"%d","reason":%q}`, seq, seq, seq, text)
	return audit.Record{Origin: origin, Seq: uint64(seq), Line: []byte(line)}
}

func records(origin string, from, to int) []audit.Record {
	var all []audit.Record
	for seq := from; seq < to; seq++ {
		all = append(all, record(origin, seq, "text"))
	}
	return all
}

// deliver fails the test unless all but the rejected records are acknowledged. It
// returns the indices of those.
func deliver(tb testing.TB, d *Destination, all []audit.Record) []int {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	rejected, err := d.Deliver(ctx, all)
	if err != nil {
		tb.Fatal(err)
	}
	var indices []int
	for _, r := range rejected {
		if r.Reason == "" {
			tb.Errorf("no reason why record %d is rejected", r.Index)
		}
		indices = append(indices, r.Index)
	}
	return indices
}

// fails delivers within a time that is short for what is wrong, and returns the
// error.
func fails(tb testing.TB, d *Destination, within time.Duration, all []audit.Record) error {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), within)
	defer cancel()
	begun := time.Now()
	rejected, err := d.Deliver(ctx, all)
	if err == nil || rejected != nil {
		tb.Fatalf("delivered, with %d rejected", len(rejected))
	}
	if took := time.Since(begun); took > within+patience/2 {
		tb.Errorf("took %v, the context had %v", took, within)
	}
	return err
}

// An overdue context is one whose time is over when it is told.
type overdue struct {
	context.Context

	done chan struct{}
}

func (o overdue) Done() <-chan struct{} { return o.done }

func (o overdue) Err() error {
	select {
	case <-o.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// failsOver delivers until the client has heard a trouble of a broker, however long that
// takes, and returns the error.
func failsOver(tb testing.TB, d *Destination, trouble string, all []audit.Record) error {
	tb.Helper()
	_ = d.last.take() // that of earlier deliveries
	ctx := overdue{tb.Context(), make(chan struct{})}
	over := make(chan struct{})
	var rejected []audit.Rejection
	var err error
	go func() {
		defer close(over)
		rejected, err = d.Deliver(ctx, all)
	}()
	heard := func() bool {
		d.last.mu.Lock()
		defer d.last.mu.Unlock()
		return d.last.err != nil && strings.Contains(d.last.err.Error(), trouble)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; {
		select {
		case <-over: // it knows by itself that there is no hope
		case <-tick.C:
			if !heard() && time.Now().Before(end) {
				continue
			}
			close(ctx.done)
			<-over
		}
		break
	}
	if err == nil || rejected != nil {
		tb.Fatalf("delivered, with %d rejected", len(rejected))
	}
	return err
}

// read returns the topic's messages so far, those of a partition in its order.
func read(tb testing.TB, c *kfake.Cluster, options ...kgo.Opt) []*kgo.Record {
	tb.Helper()
	want := 0
	offsets := map[int32]kgo.Offset{}
	for _, p := range c.PartitionInfos(topic) {
		want += int(p.HighWatermark)
		offsets[p.Partition] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
	}, options...)...)
	if err != nil {
		tb.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var all []*kgo.Record
	for len(all) < want {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			tb.Fatalf("%d of %d read: %v", len(all), want, err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// ids returns the record ids in the messages.
func ids(all []*kgo.Record) []string {
	var list []string
	for _, r := range all {
		list = append(list, header(r, headerID))
	}
	return list
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// stored fails the test unless the topic holds exactly these records, in order. If
// again, records may be there more than once; their first occurrences are in order.
func stored(tb testing.TB, c *kfake.Cluster, want []audit.Record, again bool) {
	tb.Helper()
	got := ids(read(tb, c))
	if again {
		seen := map[string]bool{}
		got = slices.DeleteFunc(got, func(id string) bool {
			defer func() { seen[id] = true }()
			return seen[id]
		})
	}
	var all []string
	for i := range want {
		all = append(all, want[i].ID())
	}
	if !slices.Equal(got, all) {
		tb.Fatalf("got %d: %s\nwant %d: %s", len(got), brief(got), len(all), brief(all))
	}
}

func brief(list []string) string {
	if len(list) > 40 {
		list = append(slices.Clone(list[:20]), "...", list[len(list)-1])
	}
	return strings.Join(list, " ")
}
