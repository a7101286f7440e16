package audit

import (
	"context"
	"strconv"

	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// A Record is one line of the ledger on its way to another system.
type Record struct {
	Origin string // the ledger's name, unique among the ledgers that one system receives
	Seq    uint64 // position in the ledger, from 0, without gaps
	// Line is the record as it stands on disk, one JSON object without line end:
	// what is hashed and what a proof is about. Read only.
	Line []byte
	// Checkpoint is set for a signed checkpoint (C2SP tlog-checkpoint), a text of
	// several lines that takes the place of Line. Its Seq is the number of records it
	// covers. Shipping it is what makes later tampering provable.
	Checkpoint string
}

// ID returns "ORIGIN:SEQ", the same for every delivery of the record, by which a
// receiver drops what it got twice. That of a checkpoint is "ORIGIN:checkpoint:SEQ".
func (r *Record) ID() string {
	if r.Checkpoint != "" {
		return r.Origin + ":checkpoint:" + strconv.FormatUint(r.Seq, 10)
	}
	return r.Origin + ":" + strconv.FormatUint(r.Seq, 10)
}

// A Format writes a record in the language of whoever receives it: [JSON], or that
// of audit/ocsf and audit/cef. It must be safe for concurrent use.
type Format interface {
	// AppendRecord appends one message to b, without line end. Whatever the record
	// holds, the message has no raw control characters and cannot be taken for two.
	// An error means that the record can never be written in this format.
	AppendRecord(b []byte, r *Record) ([]byte, error)
	// MediaType is that of one message, for example "application/json".
	MediaType() string
}

// A Destination is another system that keeps the record too. [Ship] runs it over
// the ledger.
type Destination interface {
	// Deliver takes records in order. It returns nil once the other side has
	// acknowledged every one but those it names as rejected, which it will never
	// take (too large, malformed): they are counted as lost to this destination and
	// not tried again. Any error means that an unknown part has arrived: the same
	// records come again, after a pause. Deliver sends again by itself only what
	// the other side refused for the moment, and respects the context's deadline.
	// It is called by one goroutine at a time and must not keep the records.
	Deliver(ctx context.Context, records []Record) (rejected []Rejection, err error)
	// Close releases connections. It is called once, after the last Deliver.
	Close() error
}

// A Rejection is a record that a destination will never take.
type Rejection struct {
	Index  int    // in the records given to Deliver
	Reason string // without content of the record
}

// JSON is the [Format] in which a record is sent as it stands in the ledger, so that
// the receiver can check proofs about it. A checkpoint becomes an object
// {"event":"checkpoint","origin":…,"size":…,"checkpoint":…}.
var JSON Format = asLines{}

type asLines struct{}

func (asLines) MediaType() string { return "application/json" }

func (asLines) AppendRecord(b []byte, r *Record) ([]byte, error) {
	if r.Checkpoint == "" {
		return append(b, r.Line...), nil
	}
	b = append(b, `{"event":"checkpoint","origin":`...)
	b = printable.AppendString(b, r.Origin)
	b = append(b, `,"size":`...)
	b = strconv.AppendUint(b, r.Seq, 10)
	b = append(b, `,"checkpoint":`...)
	b = printable.AppendString(b, r.Checkpoint)
	return append(b, '}'), nil
}
