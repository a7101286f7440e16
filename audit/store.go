package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/mcpsec/mcpsec-go/audit/ledger"
)

// store is the sink that keeps the record in a ledger.
type store struct{ ledger *ledger.Ledger }

// buffers holds the memory in which events are encoded.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 2048)
	return &b
}}

// keepBuffer bounds the memory that is used again: a giant must not stay.
const keepBuffer = 64 << 10

// Record implements [Sink].
func (s store) Record(ctx context.Context, e *Event) error {
	buf := buffers.Get().(*[]byte) //nolint:forcetypeassert // New makes nothing else
	*buf = e.AppendJSON((*buf)[:0])
	entry := ledger.Entry{Object: *buf, Class: e.class}
	switch e.Kind { //nolint:exhaustive // no other kind is about one call
	case Attempt:
		entry.Opens = e.ID
	case Outcome:
		entry.Closes = e.ID
	}
	err := s.ledger.Append(ctx, &entry)
	if cap(*buf) <= keepBuffer {
		buffers.Put(buf)
	}
	return err
}

// Close implements [Sink].
func (s store) Close() error { return s.ledger.Close() }

// callsOf tells the ledger which call a record opens or closes. It reads the fixed
// beginning of what AppendJSON writes.
func callsOf(record []byte) (opens, closes string) {
	_, after, ok := bytes.Cut(record[:min(len(record), 4<<10)], []byte(`,"event":"`))
	if !ok {
		return "", ""
	}
	if id, ok := bytes.CutPrefix(after, []byte(`attempt","id":"`)); ok {
		id, _, _ = bytes.Cut(id, []byte{'"'})
		return string(id), ""
	}
	if id, ok := bytes.CutPrefix(after, []byte(`outcome","id":"`)); ok {
		id, _, _ = bytes.Cut(id, []byte{'"'})
		return "", string(id)
	}
	return "", ""
}

// closeUnfinished records an outcome for each attempt that an earlier process left
// without one.
func (l *Logger) closeUnfinished() error {
	for _, u := range l.ledger.Unfinished() {
		e, err := l.find(u.Seq)
		if err != nil { // pruned, or no event of ours: what is known is recorded
			e = &Event{ID: u.ID}
		}
		e.Kind, e.Decision, e.Time = Outcome, Unknown, l.now()
		e.Detail = fmt.Sprintf("the process ended after record %d, before the outcome of the call was recorded", u.Seq)
		e.class = Require
		if err := (store{l.ledger}).Record(&late{}, e); err != nil {
			return fmt.Errorf("closing the calls that were cut off: %w", err)
		}
	}
	return nil
}

// find reads one event of the ledger.
func (l *Logger) find(seq uint64) (*Event, error) {
	s, err := l.ledger.Scan(seq)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // nothing was written
	for {
		line, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("no record %d", seq)
		case err != nil:
			return nil, err
		case line.Kind == ledger.Record:
			if line.Seq != seq {
				return nil, fmt.Errorf("no record %d", seq)
			}
			return Decode(line.Text)
		}
	}
}
