package aws

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/mcpsec/mcpsec-go/audit"
)

// An entry is a record as it goes into a request.
type entry struct {
	id   string // audit.Record.ID
	data []byte
	key  string    // partition key of Kinesis, event id of CloudTrail
	at   time.Time // of a log event
}

// An answer is what a service said of one entry of a request. The zero value says
// nothing, so the entry is sent again.
type answer struct {
	taken    bool
	rejected string // why the service will never take it
	again    string // code with which the service refused it for the moment
}

// A sender is what the destinations of this package share: it turns records into
// requests that keep to the limits of the service, sends again what the service
// refused for the moment, and knows what has been settled.
type sender struct {
	what   string // operation and where to, for errors
	limits limits
	format audit.Format
	client *client
	keys   *keys
	// prepare makes the entry of a record and says why it can never be sent.
	prepare func(r *audit.Record) (e entry, unfit string)
	// arrange orders entries as the service wants them; nil leaves them as they are.
	arrange func([]entry)
	// put makes one request. It returns an answer for each entry, or the error of
	// the request as a whole.
	put func(ctx context.Context, batch []entry) ([]answer, error)
	// pause waits between one round and the next.
	pause func(ctx context.Context, round int) error

	// settled has the records of a Deliver that failed part-way whose fate is known,
	// by id: empty if acknowledged, else the reason of the rejection. When the same
	// records come again these are not sent twice.
	settled map[string]string
}

// maxRounds bounds how often one Deliver sends what was refused for the moment.
// The pauses between them last 25 s on average.
const maxRounds = 16

// Deliver implements [audit.Destination].
func (s *sender) Deliver(ctx context.Context, records []audit.Record) ([]audit.Rejection, error) {
	known := s.settled
	s.settled = make(map[string]string, len(records))
	pending := make([]entry, 0, len(records))
	for i := range records {
		r := &records[i]
		id := r.ID()
		if reason, ok := known[id]; ok {
			s.settled[id] = reason
		} else if e, unfit := s.fit(r); unfit != "" {
			s.settled[id] = unfit
		} else {
			e.id = id
			pending = append(pending, e)
		}
	}
	if s.arrange != nil {
		s.arrange(pending)
	}

	for round := 1; ; round++ {
		again, code, err := s.send(ctx, pending)
		if err != nil {
			return nil, s.failure(ctx, err)
		}
		if len(again) == 0 {
			break
		}
		pending = again
		if round == maxRounds || s.pause(ctx, round) != nil {
			return nil, s.failure(ctx, &finalError{fmt.Sprintf("%d of %d records are still refused: %s", len(again), len(records), advise(code))})
		}
	}

	var rejected []audit.Rejection
	for i := range records {
		if reason := s.settled[records[i].ID()]; reason != "" {
			rejected = append(rejected, audit.Rejection{Index: i, Reason: reason})
		}
	}
	s.settled = nil
	return rejected, nil
}

// fit makes the entry of a record, or says why there can be none.
func (s *sender) fit(r *audit.Record) (e entry, unfit string) {
	e, unfit = s.prepare(r)
	if size := s.limits.size(&e); unfit == "" && size > s.limits.entry {
		unfit = fmt.Sprintf("too large: %d bytes, where the service takes %d", size, s.limits.entry)
	}
	return e, unfit
}

// message writes a record in the configured format. One that could be taken for
// two by a reader of lines is no message.
func (s *sender) message(r *audit.Record) (data []byte, unfit string) {
	data, err := s.format.AppendRecord(make([]byte, 0, len(r.Line)+len(r.Checkpoint)+128), r)
	switch {
	case err != nil:
		return nil, "the format cannot write it"
	case len(data) == 0:
		return nil, "the format wrote nothing"
	case bytes.ContainsAny(data, "\n\r"):
		return nil, "the format wrote more than one line"
	}
	return data, ""
}

// send makes the requests for the entries, in order, and returns those to send
// again with the code of the last of them.
func (s *sender) send(ctx context.Context, pending []entry) (again []entry, code string, err error) {
	for batch := range s.limits.split(pending) {
		answers, err := s.put(ctx, batch)
		if err != nil {
			return nil, "", err
		}
		if len(answers) != len(batch) {
			return nil, "", unreadable("it speaks of %d records, %d were sent", len(answers), len(batch))
		}
		for i, a := range answers {
			if a.taken || a.rejected != "" {
				s.settled[batch[i].id] = a.rejected
				continue
			}
			again, code = append(again, batch[i]), a.again
		}
	}
	return again, code, nil
}

// Close implements [audit.Destination]. Connections of an HTTP client that the
// configuration brought along stay open, because they are not this destination's.
func (s *sender) Close() error {
	s.client.close()
	return nil
}

// Format implements fmt.Formatter: a destination prints as where it goes to, for
// every verb, and never as what it holds.
func (s *sender) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.what) }

// backoff waits up to 100 ms after the first round, twice as long after each
// further one, and never more than 5 s: exponential with full jitter, so that
// servers that were throttled together do not come back together.
func backoff(ctx context.Context, round int) error {
	const base, limit = 100 * time.Millisecond, 5 * time.Second
	most := min(limit, base<<min(round-1, 10))
	t := time.NewTimer(rand.N(most) + 1) //nolint:gosec // a pause needs no secret randomness
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
