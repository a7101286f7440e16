package nats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mcpsec/mcpsec-go/audit"
)

func TestResentTwiceStoredOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store(nil)
	d := to(s)
	all := records(0, 2000, 300)
	all[1000] = audit.Record{Origin: "files.example", Seq: 1000, Checkpoint: "files.example\n1000\nAAAA\n\n— files.example sig\n"}
	for range 3 {
		for batch := range slices.Chunk(all, 500) {
			if rejected := deliver(t, d, batch); rejected != nil {
				t.Fatalf("rejected %v", rejected)
			}
		}
	}
	s.holds(all)
	for i, m := range s.stored() {
		want, _ := audit.JSON.AppendRecord(nil, &all[i])
		if !bytes.Equal(m.Data, want) || m.Subject != subject || m.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("want %s\n got %s %v", want, m.Data, m.Header)
		}
	}
}

// A formats formats, and does something before a record of its own.
type formats struct {
	audit.Format
	at uint64
	do func() error
}

func (f formats) AppendRecord(b []byte, r *audit.Record) ([]byte, error) {
	if r.Seq == f.at {
		if err := f.do(); err != nil {
			return nil, err
		}
	}
	return f.Format.AppendRecord(b, r)
}

func TestStreamMissingThenCreated(t *testing.T) {
	t.Parallel()
	s := start(t)
	d := to(s)
	all := records(0, 300, 10)
	err := fails(t, d, patience, all)
	if !errors.Is(err, jetstream.ErrNoStreamResponse) || !strings.Contains(err.Error(), "create the stream") {
		t.Errorf("no remedy: %v", err)
	}
	s.store(nil)
	deliver(t, d, all)
	s.holds(all)
}

// Somebody else's stream, which may keep records for a minute only, is not the one
// that was meant.
func TestAnotherStreamStoresTheSubject(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store(nil)
	d := to(s, func(c *Config) { c.Stream = "OTHER" })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := d.Deliver(ctx, records(0, 300, 10)); err == nil || !strings.Contains(err.Error(), "check Config.Stream") {
		t.Errorf("no remedy: %v", err)
	}
	s.holds(nil)
}

// Without a stream, whoever listens on the subject can answer.
func TestSomebodyElseAnswers(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "thanks", "{}", `{"seq":1}`, `{"stream":"OTHER","seq":1}`, `[]`, `{"stream":`} {
		s := start(t)
		_, conn, _ := s.jetstream()
		if _, err := conn.Subscribe(subject, func(m *gonats.Msg) { _ = m.Respond([]byte(answer)) }); err != nil {
			t.Fatal(err)
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		_ = fails(t, to(s), patience, records(0, 10, 10))
	}
}

func TestStreamThatDoesNotAcknowledge(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store(nil)
	d := to(s)
	deliver(t, d, records(0, 1, 10)) // from now on it need not connect
	s.store(func(c *jetstream.StreamConfig) { c.NoAck = true })
	err := fails(t, d, 300*time.Millisecond, records(1, 10, 10))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not acknowledged") {
		t.Error(err)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := start(t, "max_payload: 8000")
	s.store(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 4000 })
	d := to(s)
	all := records(0, 600, 300)
	var fit []audit.Record
	want := []int{0, 57, 58, 300, 599}
	for i := range all {
		switch {
		case !slices.Contains(want, i):
			fit = append(fit, all[i])
		case i%2 == 0:
			all[i] = record("files.example", i, strings.Repeat("x", 5000)) // for the stream
		default:
			all[i] = record("files.example", i, strings.Repeat("x", 20000)) // for the server
		}
	}
	if got := deliver(t, d, all); !slices.Equal(got, want) {
		t.Fatalf("rejected %v, want %v", got, want)
	}
	s.holds(fit)
}

func TestFormatThatCannotWriteARecord(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store(nil)
	d := to(s, func(c *Config) {
		c.Format = formats{audit.JSON, 3, func() error { return errors.New("secret of the record") }}
	})
	all := records(0, 5, 10)
	rejected, err := d.Deliver(t.Context(), all)
	if err != nil || len(rejected) != 1 || rejected[0].Index != 3 || strings.Contains(fmt.Sprint(rejected), "secret") {
		t.Fatal(rejected, err)
	}
	s.holds(slices.Delete(all, 3, 4))
	if rejected, err := d.Deliver(t.Context(), nil); err != nil || rejected != nil {
		t.Errorf("nothing to deliver: %v %v", rejected, err)
	}
}

// An origin that a header cannot carry as it is would give two ledgers one id, and
// the stream would drop the records of one.
func TestOriginsThatHeadersChange(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store(nil)
	d := to(s)
	for _, origin := range []string{"a\nb", "a\r\nNats-Rollup: all\r\nX: ", " a", "\ta", "a\x00b", "a\u0085b"} {
		err := fails(t, d, patience, []audit.Record{record(origin, 1, "")})
		if !strings.Contains(err.Error(), "name the ledger otherwise") {
			t.Errorf("%q: %v", origin, err)
		}
	}
	good := []audit.Record{record("a b", 1, ""), record("a: b|é", 1, ""), record(`"`, 1, ""), record("", 1, "")}
	deliver(t, d, good)
	s.holds(good)
}
