package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mcpsec/mcpsec-go/audit"
)

// window bounds how many records are published and not acknowledged.
const window = 256

const (
	unformatted = "cannot be written in the configured format"
	oversize    = "larger than the server's max_payload or the stream's max_msg_size"
)

// A Destination publishes records to a stream. It is not safe for concurrent use,
// as its interface says.
type Destination struct {
	config Config
	conn   *connection // nil after an error, until the next delivery
}

var _ audit.Destination = (*Destination)(nil)

// Format writes where the record goes, whatever the verb: a password in Options
// cannot get into a log.
func (d *Destination) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "nats stream %q, subject %q", d.config.Stream, d.config.Subject)
}

// Close closes the connection, without waiting for anything.
func (d *Destination) Close() error {
	d.drop()
	return nil
}

func (d *Destination) drop() {
	if d.conn != nil {
		d.conn.close()
		d.conn = nil
	}
}

// Deliver publishes records in order and waits for the stream's acknowledgement of
// each, up to 256 of them at a time, and of the first after an error alone. It
// starts over with a new connection then.
func (d *Destination) Deliver(ctx context.Context, records []audit.Record) (rejected []audit.Rejection, err error) {
	if d.conn != nil && d.conn.why() != nil { // since the last delivery
		d.drop()
	}
	if d.conn == nil {
		o, err := d.config.options()
		if err != nil {
			return nil, fmt.Errorf("nats.Config.Options: %w", err)
		}
		if d.conn, err = connect(ctx, o); err != nil {
			return nil, d.explain(err)
		}
	}
	defer context.AfterFunc(ctx, d.conn.cut)()
	if rejected, err = d.deliver(ctx, records); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("not acknowledged in time: %w", ctx.Err())
		}
		d.drop()
		return nil, d.explain(err)
	}
	slices.SortFunc(rejected, func(a, b audit.Rejection) int { return cmp.Compare(a.Index, b.Index) })
	return rejected, nil
}

// A flight is a record that is published and not acknowledged.
type flight struct {
	index  int
	future jetstream.PubAckFuture
}

func (d *Destination) deliver(ctx context.Context, records []audit.Record) (rejected []audit.Rejection, err error) {
	var flights []flight
	land := func() error {
		f := flights[0]
		flights = flights[1:]
		large, err := d.wait(ctx, f.future)
		switch {
		case large:
			rejected = append(rejected, audit.Rejection{Index: f.index, Reason: oversize})
		case err == nil:
			d.conn.fresh = false
		}
		return err
	}
	defer func() {
		// After a refusal: if the stream takes records again, those on their way must
		// not be stored before those that were refused.
		for _, f := range flights {
			_, _ = d.wait(ctx, f.future)
		}
	}()
	for i := range records {
		if len(flights) == window || (len(flights) == 1 && d.conn.fresh) {
			if err := land(); err != nil {
				return nil, err
			}
		}
		m, err := d.message(&records[i])
		if err != nil {
			return nil, err
		}
		if m == nil {
			rejected = append(rejected, audit.Rejection{Index: i, Reason: unformatted})
			continue
		}
		// No attempt but this one: the client's own would come after later records.
		future, err := d.conn.stream.PublishMsgAsync(m, jetstream.WithRetryAttempts(0))
		switch {
		case errors.Is(err, gonats.ErrMaxPayload):
			rejected = append(rejected, audit.Rejection{Index: i, Reason: oversize})
		case err != nil:
			return nil, err
		default:
			flights = append(flights, flight{i, future})
		}
	}
	for len(flights) > 0 {
		if err := land(); err != nil {
			return nil, err
		}
	}
	return rejected, nil
}

// message is a record as it is published, or nil if it cannot be formatted.
func (d *Destination) message(r *audit.Record) (*gonats.Msg, error) {
	id := r.ID()
	if id[0] == ' ' || strings.ContainsFunc(id, unicode.IsControl) {
		// The client would change it, and two records could share an id.
		return nil, fmt.Errorf("origin %q: has a leading space or a control character, which no header can carry: name the ledger otherwise", r.Origin)
	}
	data, err := d.config.Format.AppendRecord(nil, r)
	if err != nil {
		return nil, nil //nolint:nilerr // the record is rejected, with a reason that does not quote it
	}
	return &gonats.Msg{Subject: d.config.Subject, Data: data, Header: gonats.Header{
		jetstream.MsgIDHeader:          {id},
		jetstream.ExpectedStreamHeader: {d.config.Stream},
		"Content-Type":                 {d.config.Format.MediaType()},
	}}, nil
}

// wait returns nil when the stream has stored a record, now or before, and whether
// it is too large to be stored ever.
func (d *Destination) wait(ctx context.Context, future jetstream.PubAckFuture) (large bool, err error) {
	select {
	case ack := <-future.Ok():
		if ack.Stream != d.config.Stream { // the header that forbids it was ignored
			return false, fmt.Errorf("stored by stream %q", ack.Stream)
		}
		return false, nil
	case err := <-future.Err():
		if refused, ok := errors.AsType[*jetstream.APIError](err); ok && refused.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum {
			return true, nil
		}
		return false, err
	case <-d.conn.lost:
		return false, d.conn.why()
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
