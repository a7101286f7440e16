package audit

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

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
	entry := ledger.Entry{Object: *buf, Class: e.class, Stands: e.Count}
	switch e.Kind { //nolint:exhaustive // no other kind is about one call
	case Attempt:
		entry.Opens = e.ID
	case Outcome:
		entry.Closes = e.ID
	}
	if e.class == Require && ctx.Done() == nil { // an outcome: a Sink bounds its own waiting
		bounded, cancel := context.WithTimeout(ctx, outcomeTimeout)
		defer cancel()
		ctx = bounded
	}
	err := s.ledger.Append(ctx, &entry)
	if cap(*buf) <= keepBuffer {
		buffers.Put(buf)
	}
	return err
}

// outcomeTimeout is how long a disk that hangs keeps a caller from its refusal.
const outcomeTimeout = 1 * time.Second

// Close implements [Sink].
func (s store) Close() error { return s.ledger.Close() }

// countLost has the ledger, if there is one, say that an event was lost.
func (l *Logger) countLost(why string) {
	if l.ledger != nil {
		l.ledger.CountLost(BestEffort, why, 1)
	}
}

// callsOf tells the ledger which call a record opens or closes. It reads the fixed
// beginning of what AppendJSON writes.
func callsOf(record []byte) (opens, closes string) {
	_, after, ok := bytes.Cut(record[:min(len(record), 4<<10)], []byte(`,"event":"`))
	if !ok {
		return "", ""
	}
	if id, ok := bytes.CutPrefix(after, []byte(`attempt","id":`)); ok {
		return string(unquote(id[:stringEnd(id, 0)])), ""
	}
	if id, ok := bytes.CutPrefix(after, []byte(`outcome","id":`)); ok {
		return "", string(unquote(id[:stringEnd(id, 0)]))
	}
	return "", ""
}

// closeUnfinished records an outcome for each attempt that an earlier process left
// without one.
func (l *Logger) closeUnfinished() error {
	left := l.ledger.Unfinished() // in the order of their records
	if len(left) == 0 {
		return nil
	}
	s, err := l.ledger.Scan(left[0].Seq)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // nothing was written
	at := ledger.Line{}
	for i, u := range left {
		for err == nil && (at.Kind != ledger.Record || at.Seq < u.Seq) {
			at, err = s.Next()
		}
		e := &Event{ID: u.ID} // pruned, or no event of ours: what is known is recorded
		if err == nil && at.Seq == u.Seq {
			if known, err := Decode(at.Text); err == nil {
				e = known
			}
		}
		e.Kind, e.Decision, e.Time = Outcome, Unknown, l.now()
		e.Detail = fmt.Sprintf("after record %d the process ended, or the log could not be written, before the outcome of the call was recorded", u.Seq)
		if e.class = Bounded; i%1024 == 1023 || i == len(left)-1 { // the queue is written in order: the last stands for all
			e.class = Require
		}
		if err := (store{l.ledger}).Record(context.Background(), e); err != nil {
			return fmt.Errorf("closing the calls that were cut off: %w", err)
		}
	}
	return nil
}
