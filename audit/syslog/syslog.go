package syslog

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
)

// patience bounds one delivery, whatever deadline its context has.
const patience = time.Minute

// A Destination sends records to a syslog receiver. It is made with [New], keeps no
// connection and no record between deliveries, and is used by one goroutine at a time.
type Destination struct {
	address      string
	plain, bare  bool
	tls          *tls.Config // nil if plain
	format       audit.Format
	maxBytes     int
	bom          bool
	facility     int
	sdID, sender string

	now  func() time.Time
	head []byte // of the message being written
	text []byte
}

var _ audit.Destination = (*Destination)(nil)

// Deliver sends the records over a connection of their own and returns when the
// receiver has confirmed, by the way it ended the connection, that it read them
// all. A batch of less than 100 records first waits until a second has passed since
// the one before. Any error means that an unknown part has been read. It ends with the
// context, and after a minute at the latest.
//
// Rejected are records that the format cannot write, which are not sent at all, and
// those that are too long, which are sent without their text.
func (d *Destination) Deliver(ctx context.Context, records []audit.Record) ([]audit.Rejection, error) {
	var (
		rejected []audit.Rejection
		frames   []byte
		reason   string
	)
	for i := range records {
		if frames, reason = d.appendFrame(frames, &records[i]); reason != "" {
			rejected = append(rejected, audit.Rejection{Index: i, Reason: reason})
		}
	}
	if len(frames) == 0 {
		return rejected, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := d.send(ctx, frames); err != nil {
		if cause := ctx.Err(); cause != nil {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		return nil, fmt.Errorf("audit/syslog: %s: %w", d.address, err)
	}
	return rejected, nil
}

// Close does nothing: there is no connection between deliveries.
func (*Destination) Close() error { return nil }
