package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mcpsec/mcpsec-go/audit"
)

// A message is a record on its way, with its place among those given to Deliver.
type message struct {
	index int
	id    string
	key   []byte
	value []byte
}

// size is an upper bound of what the message takes of a batch.
func (m *message) size(mediaType string) int {
	const lengths = 64 // of the record, its parts and its headers
	return lengths + len(m.key) + len(m.value) + len(headerID) + len(m.id) + len(headerType) + len(mediaType)
}

// record is the message as the client takes it.
func (m *message) record(mediaType []byte) *kgo.Record {
	return &kgo.Record{Key: m.key, Value: m.value, Headers: []kgo.RecordHeader{
		{Key: headerID, Value: []byte(m.id)},
		{Key: headerType, Value: mediaType},
	}}
}

// The headers of a message: [audit.Record.ID] and [audit.Format.MediaType].
const (
	headerID   = "id"
	headerType = "content-type"
)

const (
	unformatted = "cannot be written in the configured format"
	oversize    = "larger than the topic's max.message.bytes, or than kgo.ProducerBatchMaxBytes"
)

// Deliver writes records in order, in groups that Kafka takes or refuses as one
// batch, each sent when the one before is acknowledged: nothing can overtake what
// was refused. After an error it starts over with a new client, so that nothing of
// the failed try is still waiting to be sent.
func (d *Destination) Deliver(ctx context.Context, records []audit.Record) (rejected []audit.Rejection, err error) {
	if d.client == nil {
		if d.client, err = d.newClient(); err != nil {
			return nil, fmt.Errorf("kafka: %w", err)
		}
		d.fresh = true
	}
	rejected, err = d.deliver(ctx, records)
	if err != nil {
		d.drop()
		return nil, err
	}
	slices.SortFunc(rejected, func(a, b audit.Rejection) int { return cmp.Compare(a.Index, b.Index) })
	return rejected, nil
}

func (d *Destination) deliver(ctx context.Context, records []audit.Record) (rejected []audit.Rejection, err error) {
	_ = d.last.take() // that of earlier deliveries
	if d.fresh {
		if err := d.check(ctx); err != nil {
			return nil, d.explain(err)
		}
	}
	mediaType := d.config.Format.MediaType()
	var group []message
	size := 0
	for i := range records {
		r := &records[i]
		value, err := d.config.Format.AppendRecord(nil, r)
		if err != nil {
			rejected = append(rejected, audit.Rejection{Index: i, Reason: unformatted})
			continue
		}
		m := message{index: i, id: r.ID(), key: []byte(r.Origin), value: value}
		more := m.size(mediaType)
		if len(group) > 0 && (d.fresh || len(group) == maxGroup || size+more > d.limit-overhead) {
			lost, err := d.send(ctx, group)
			if err != nil {
				return nil, err
			}
			rejected, group, size = append(rejected, lost...), group[:0], 0
		}
		group, size = append(group, m), size+more
	}
	lost, err := d.send(ctx, group)
	if err != nil {
		return nil, err
	}
	return append(rejected, lost...), nil
}

// overhead is an upper bound of what a batch takes beside its records.
const overhead = 512

// send writes a group and returns those of it that are too large. Brokers refuse a
// batch as a whole, and do not say which record is at fault: it is found by halves.
func (d *Destination) send(ctx context.Context, group []message) ([]audit.Rejection, error) {
	if len(group) == 0 {
		return nil, nil
	}
	large, err := d.produce(ctx, group)
	switch {
	case err != nil:
		return nil, err
	case len(large) == 0:
		d.fresh = false
		return nil, nil
	case len(large) == 1:
		return []audit.Rejection{{Index: large[0].index, Reason: oversize}}, nil
	}
	first, err := d.send(ctx, large[:len(large)/2])
	if err != nil {
		return nil, err
	}
	second, err := d.send(ctx, large[len(large)/2:])
	return append(first, second...), err
}

// produce writes a group and waits for all of its acknowledgements. It returns the
// messages that were refused as too large, in order.
func (d *Destination) produce(ctx context.Context, group []message) (large []message, err error) {
	type answer struct {
		message int
		err     error
	}
	answers := make(chan answer, len(group)) // never blocks the client, even after produce has left
	mediaType := []byte(d.config.Format.MediaType())
	d.gate.Lock()
	for i, m := range group {
		d.client.Produce(ctx, m.record(mediaType), func(_ *kgo.Record, err error) { answers <- answer{i, err} })
	}
	d.gate.Unlock()
	if err := d.client.Flush(ctx); err != nil {
		return nil, d.explain(err)
	}
	refused := make([]bool, len(group))
	for range group {
		select {
		case <-ctx.Done():
			return nil, d.explain(ctx.Err())
		case a := <-answers:
			refused[a.message] = errors.Is(a.err, kerr.MessageTooLarge) || errors.Is(a.err, kerr.RecordListTooLarge)
			if a.err != nil && !refused[a.message] {
				return nil, d.explain(a.err)
			}
		}
	}
	for i, m := range group {
		if refused[i] {
			large = append(large, m)
		}
	}
	return large, nil
}
