package nats

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mcpsec/mcpsec-go/audit"
)

// stored returns what the stream holds.
func (s *server) stored() []*jetstream.RawStreamMsg {
	s.tb.Helper()
	ctx, _, js := s.jetstream()
	st, err := js.Stream(ctx, stream)
	if err != nil {
		s.tb.Fatal(err)
	}
	state := st.CachedInfo().State
	var all []*jetstream.RawStreamMsg
	if state.Msgs == 0 {
		return nil
	}
	for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
		m, err := st.GetMsg(ctx, seq)
		if err != nil {
			s.tb.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// holds fails the test unless the stream holds each of these records once, in
// order.
func (s *server) holds(want []audit.Record) {
	s.tb.Helper()
	var got, all []string
	for _, m := range s.stored() {
		got = append(got, m.Header.Get(jetstream.MsgIDHeader))
	}
	for i := range want {
		all = append(all, want[i].ID())
	}
	if !slices.Equal(got, all) {
		s.tb.Fatalf("got %d: %s\nwant %d: %s", len(got), brief(got), len(all), brief(all))
	}
}

func brief(list []string) string {
	if len(list) > 40 {
		list = append(slices.Clone(list[:20]), "...", list[len(list)-1])
	}
	return strings.Join(list, " ")
}

// to returns a destination that writes to the stream of the tests.
func to(s *server, change ...func(*Config)) *Destination {
	s.tb.Helper()
	c := Config{URLs: []string{s.url}, Stream: stream, Subject: subject, AllowPlaintext: true}
	for _, f := range change {
		f(&c)
	}
	c.Options = append([]gonats.Option{gonats.Timeout(patience)}, c.Options...)
	d, err := New(c)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			s.tb.Error(err)
		}
	})
	return d
}

// record makes a record that a ledger could have written, with a text of a size.
func record(origin string, seq int, text string) audit.Record {
	line := fmt.Sprintf(`{"seq":%d,"prev":"%016x","time":"2026-11-22T10:00:00Z","event":"outcome","id":"%d","reason":%q}`, seq, seq, seq, text)
	return audit.Record{Origin: origin, Seq: uint64(seq), Line: []byte(line)}
}

func records(from, to, size int) []audit.Record {
	var all []audit.Record
	for seq := from; seq < to; seq++ {
		all = append(all, record("files.example", seq, strings.Repeat("x", size)))
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
	if took := time.Since(begun); took > within+patience/3 {
		tb.Errorf("took %v, the context had %v", took, within)
	}
	if d.conn != nil {
		tb.Error("the connection of a failed delivery is still in use")
	}
	if !strings.Contains(err.Error(), stream) || !strings.Contains(err.Error(), subject) {
		tb.Errorf("does not name the place: %v", err)
	}
	return err
}
