package ocsf

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/audit"
)

// A Schema is a version of OCSF. The zero value is Stable.
type Schema int

// The versions a Format can write. Which one a name stands for changes only with
// the major version of this module.
const (
	// Stable is 1.8.0, with the profiles ai_operation, security_control and trace.
	Stable Schema = iota
	// Compat is 1.1.0, which Amazon Security Lake and its partners read. What 1.1.0
	// has no place for goes to unmapped.
	Compat
	// Preview is 1.9.0-dev, as of July 2026: what is new there may still change.
	// It adds ai_agent and the profile record_integrity.
	Preview
)

var versions = [...]string{Stable: "1.8.0", Compat: "1.1.0", Preview: "1.9.0-dev"}

// String returns the version, as in metadata.version.
func (s Schema) String() string {
	if s < 0 || int(s) >= len(versions) {
		return "Schema(" + strconv.Itoa(int(s)) + ")"
	}
	return versions[s]
}

// maxName bounds the names in a Config, in bytes.
const maxName = 256

// Config says who writes the events. The zero value is valid.
type Config struct {
	// Vendor, Product and Version are those of the product that reports the events
	// (metadata.product), up to 256 bytes each. Vendor and Product are "mcpsec" if
	// empty; an empty Version is left out.
	Vendor, Product, Version string
	// Service names the MCP server (api.service), and ServiceVersion is its version,
	// up to 256 bytes each. The ledger's origin if empty.
	Service, ServiceVersion string
	// Schema is the version of OCSF to write.
	Schema Schema
	// RawData adds the ledger's line to each event as raw_data, so that a receiver
	// can check proofs about it, unless the line is longer than an OCSF string may
	// be (65,535 bytes). It about doubles what is sent.
	RawData bool
}

func (c *Config) check() error {
	var faults []error
	for _, field := range []struct{ name, value string }{
		{"Vendor", c.Vendor},
		{"Product", c.Product},
		{"Version", c.Version},
		{"Service", c.Service},
		{"ServiceVersion", c.ServiceVersion},
	} {
		if len(field.value) > maxName || !utf8.ValidString(field.value) {
			faults = append(faults, fmt.Errorf("ocsf: Config.%s: give at most %d bytes of UTF-8", field.name, maxName))
		}
	}
	if c.Schema < 0 || int(c.Schema) >= len(versions) {
		faults = append(faults, fmt.Errorf("ocsf: Config.Schema: %v is none of Stable, Compat and Preview", c.Schema))
	}
	return errors.Join(faults...)
}

// A Format writes records as OCSF events. It is safe for concurrent use. Use [New]:
// the zero value is not valid.
type Format struct {
	schema  Schema
	raw     bool
	product string // members of metadata.product and what follows it, as JSON
	service string
	release string // of the service
	now     func() time.Time
}

var _ audit.Format = (*Format)(nil)

// New returns the format that the configuration describes. Its error joins all
// faults of the configuration.
func New(c Config) (*Format, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	w := writer{b: []byte{'{'}}
	w.text("name", or(c.Product, "mcpsec"))
	w.text("vendor_name", or(c.Vendor, "mcpsec"))
	w.text("version", c.Version)
	return &Format{
		schema: c.Schema, raw: c.RawData, product: string(w.b[1:]),
		service: c.Service, release: c.ServiceVersion, now: time.Now,
	}, nil
}

// MediaType returns "application/json".
func (*Format) MediaType() string { return "application/json" }

// AppendRecord appends one OCSF event. It fails for a line that [audit.Decode]
// cannot read, and then appends nothing; the error does not quote the line.
func (f *Format) AppendRecord(b []byte, r *audit.Record) ([]byte, error) {
	w := writer{b: b}
	if r.Checkpoint != "" {
		f.checkpoint(&w, r)
		return w.b, nil
	}
	e, err := audit.Decode(r.Line)
	if err != nil {
		return b, fmt.Errorf("ocsf: record %d: audit.Decode cannot read its line", r.Seq)
	}
	switch e.Kind {
	case audit.Attempt, audit.Outcome, audit.Suppressed:
		f.call(&w, r, e)
	default:
		f.other(&w, r, e)
	}
	return w.b, nil
}

// metadata appends the metadata of an event, up to the members that only some
// events have.
func (f *Format) metadata(w *writer, r *audit.Record, code string) {
	w.open("metadata")
	w.text("version", f.schema.String())
	w.text("uid", r.ID())
	w.open("product")
	w.b = append(w.b, f.product...)
	w.close()
	w.text("log_name", r.Origin)
	w.text("log_provider", "mcpsec")
	w.text("event_code", code)
}

// times appends when an event happened. An aggregate spans what it stands for; a
// call lasts from attempt to answer.
func (f *Format) times(w *writer, e *audit.Event) {
	at, first, last := e.Time, e.First, e.Last
	if e.Count == 0 && f.schema != Preview && e.Kind == audit.Outcome {
		first, last = e.Time.Add(-e.Latency), e.Time
	}
	span := !first.IsZero() && !last.Before(first)
	if f.schema == Preview && span {
		at = first // 1.9 wants an aggregate where it began
	}
	w.int("time", at.UnixMilli())
	if span {
		w.int("start_time", first.UnixMilli())
		w.int("end_time", last.UnixMilli())
		w.int("duration", last.UnixMilli()-first.UnixMilli())
	}
	w.count("count", e.Count)
}

// or returns the first of its arguments that is not empty.
func or(names ...string) string {
	for _, name := range names {
		if name != "" {
			return name
		}
	}
	return ""
}
