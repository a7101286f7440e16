package otel

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mcpsec/mcpsec-go/audit"
)

const (
	// patience bounds one delivery, whatever deadline its context has.
	patience = time.Minute
	// maxSplits bounds how often one signal is halved in search of what the receiver
	// calls malformed. It finds four such records among 500.
	maxSplits = 32
)

// A Destination sends records to an OTLP receiver. It is made with [New], and used by
// one goroutine at a time.
type Destination struct {
	client   *http.Client
	base     *url.URL
	header   func(context.Context) (http.Header, error)
	signals  Signals
	format   audit.Format
	resource *resourcepb.Resource

	targets map[string]bool // known tools and prompts, at most maxTargets
	resume  time.Time       // the receiver asked not to be asked before
	plain   []byte          // of the request being written
	zip     *gzip.Writer
}

var _ audit.Destination = (*Destination)(nil)

// A signal is one of the three requests that a batch becomes.
type signal struct {
	which  Signals
	path   string
	noun   string
	wants  func(*entry) bool
	encode func([]entry) proto.Message
}

// Deliver sends the records as logs, then as spans, then as metrics, and returns when
// the receiver has taken all three. The metrics come last because they are sums: what
// fails before them and comes again is recognised by its ids, a sum is not.
//
// A record is rejected when the receiver refused it in any signal; the reason says
// which. What an answer like 401, 404 or 500 says is not about the records, so it is
// an error, and they come again.
func (d *Destination) Deliver(ctx context.Context, records []audit.Record) ([]audit.Rejection, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rejected := make(refusals)
	entries := make([]entry, len(records))
	for i := range records {
		entries[i] = d.read(i, &records[i], rejected)
	}
	for _, s := range []signal{
		{Logs, "v1/logs", "log record", func(n *entry) bool { return n.body != "" }, d.logs},
		{Spans, "v1/traces", "span", func(n *entry) bool { return n.event != nil && n.event.Kind == audit.Outcome }, d.spans},
		{Metrics, "v1/metrics", "measurement", func(n *entry) bool { return n.event != nil }, d.metrics},
	} {
		if d.signals&s.which == 0 {
			continue
		}
		wanted := slices.DeleteFunc(slices.Clone(entries), func(n entry) bool { return !s.wants(&n) })
		splits := maxSplits
		if err := d.send(ctx, &s, wanted, &splits, rejected); err != nil {
			return nil, fmt.Errorf("audit/otel: %w", err)
		}
	}
	return rejected.list(), nil
}

// Close closes idle connections.
func (d *Destination) Close() error {
	d.client.CloseIdleConnections()
	return nil
}

// read prepares a record. One that cannot be decoded is still a log record.
func (d *Destination) read(i int, r *audit.Record, rejected refusals) entry {
	n := entry{index: i, record: r}
	if r.Checkpoint == "" {
		n.event, _ = audit.Decode(r.Line) // nil if it cannot be read
	}
	if d.signals&Logs == 0 {
		return n
	}
	body, err := d.format.AppendRecord(nil, r)
	switch {
	case err != nil:
		rejected.add(i, "the format cannot write it")
	case len(body) == 0 || !utf8.Valid(body):
		rejected.add(i, "the format wrote nothing, or what is not UTF-8")
	default:
		n.body = string(body)
	}
	return n
}

// send delivers one signal of some entries. When the receiver refuses them as they
// are, it sends them in halves, so that one bad record does not take others along.
func (d *Destination) send(ctx context.Context, s *signal, entries []entry, splits *int, rejected refusals) error {
	if len(entries) == 0 {
		return nil
	}
	lost, err := d.post(ctx, s.path, s.encode(entries))
	refused, is := errors.AsType[refusedError](err)
	switch {
	case err == nil:
		rejected.guess(s, entries, lost)
		return nil
	case !is:
		return err
	}
	// What is too large has a size at which it is taken; to look for what is malformed
	// may lead nowhere.
	malformed := refused.status != http.StatusRequestEntityTooLarge
	if len(entries) == 1 || malformed && *splits == 0 {
		for i := range entries {
			rejected.add(entries[i].index, fmt.Sprintf("the receiver refused its %s with %v", s.noun, refused))
		}
		return nil
	}
	if malformed {
		*splits--
	}
	half := len(entries) / 2
	if err := d.send(ctx, s, entries[:half], splits, rejected); err != nil {
		return err
	}
	return d.send(ctx, s, entries[half:], splits, rejected)
}

// refusals are the reasons by the index of the record.
type refusals map[int]string

func (r refusals) add(index int, reason string) {
	if before := r[index]; before != "" {
		reason = before + "; " + reason
	}
	r[index] = reason
}

// guess reports that the receiver took all entries but n, without saying which. The
// number is what counts, so the last n stand for them.
func (r refusals) guess(s *signal, entries []entry, n uint64) {
	n = min(n, uint64(len(entries)))
	reason := fmt.Sprintf("the receiver took a batch of %d but for %d, without saying which; this %s may be one of them", len(entries), n, s.noun)
	if n == uint64(len(entries)) {
		reason = fmt.Sprintf("the receiver rejected its %s", s.noun)
	}
	for i := range entries[uint64(len(entries))-n:] {
		r.add(entries[len(entries)-1-i].index, reason)
	}
}

func (r refusals) list() []audit.Rejection {
	var list []audit.Rejection
	for _, i := range slices.Sorted(maps.Keys(r)) {
		list = append(list, audit.Rejection{Index: i, Reason: r[i]})
	}
	return list
}
