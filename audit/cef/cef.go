package cef

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// Bounds of a message, in bytes.
const (
	defaultBytes = 8 << 10
	minBytes     = 1 << 10
	maxBytes     = 1 << 20
	maxLabel     = 63   // of what a Config puts in the header
	maxSignature = 128  // as written
	maxValue     = 1023 // of one field, as written; ArcSight keeps as much of most texts
)

// Config says who writes the messages. The zero value is valid.
type Config struct {
	// Vendor, Product and Version stand in each header: up to 63 bytes of printable
	// characters without pipe and backslash. "mcpsec", "mcpsec" and "0" if empty.
	Vendor, Product, Version string
	// MaxBytes bounds a message, without what a transport puts around it: from 1 KiB
	// to 1 MiB, and 8 KiB if zero. Fields that do not fit are left out whole, and
	// the message is marked.
	MaxBytes int
	// Delimiter stands between the attributes of a LEEF message: a punctuation mark
	// of ASCII, one of !#$%&*,;~^@?; '^' if zero. CEF has none.
	Delimiter byte
}

// resolve fills in the defaults and reports all faults.
func (c *Config) resolve(leef bool) error {
	var faults []error
	for _, field := range []struct {
		name, standard string
		value          *string
	}{
		{"Vendor", "mcpsec", &c.Vendor},
		{"Product", "mcpsec", &c.Product},
		{"Version", "0", &c.Version},
	} {
		if *field.value == "" {
			*field.value = field.standard
		}
		if v := *field.value; len(v) > maxLabel || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool {
			return printable.Hidden(r) || r == '|' || r == '\\'
		}) {
			faults = append(faults, fmt.Errorf(
				"cef: Config.%s: give at most %d bytes of printable characters, without | and \\", field.name, maxLabel))
		}
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultBytes
	}
	if c.MaxBytes < minBytes || c.MaxBytes > maxBytes {
		faults = append(faults, fmt.Errorf("cef: Config.MaxBytes: %d is not from %d to %d", c.MaxBytes, minBytes, maxBytes))
	}
	switch {
	case !leef && c.Delimiter != 0:
		faults = append(faults, errors.New("cef: Config.Delimiter: CEF has none; leave it out"))
	case leef && c.Delimiter == 0:
		c.Delimiter = '^'
	case leef && !strings.ContainsRune("!#$%&*,;~^@?", rune(c.Delimiter)):
		faults = append(faults, fmt.Errorf("cef: Config.Delimiter: %q is none of !#$%%&*,;~^@?", c.Delimiter))
	}
	return errors.Join(faults...)
}

// A Format writes records as CEF or LEEF messages. It is safe for concurrent use.
// Use [New] or [NewLEEF]: the zero value is not valid.
type Format struct {
	config Config
	leef   bool
	now    func() time.Time
}

var _ audit.Format = (*Format)(nil)

// New returns the format CEF:0. Its error joins all faults of the configuration.
func New(c Config) (*Format, error) { return build(c, false) }

// NewLEEF returns the format LEEF:2.0. Its error joins all faults of the
// configuration.
func NewLEEF(c Config) (*Format, error) { return build(c, true) }

func build(c Config, leef bool) (*Format, error) {
	if err := c.resolve(leef); err != nil {
		return nil, err
	}
	return &Format{config: c, leef: leef, now: time.Now}, nil
}

// MediaType returns "text/plain; charset=utf-8".
func (*Format) MediaType() string { return "text/plain; charset=utf-8" }

// AppendRecord appends one message. It fails, and appends nothing, for a line that
// [audit.Decode] cannot read and for a checkpoint that Config.MaxBytes has no room
// for, since a part of one proves nothing; the error does not quote the record.
func (f *Format) AppendRecord(b []byte, r *audit.Record) ([]byte, error) {
	m := message{b: b, start: len(b), leef: f.leef, delimiter: f.config.Delimiter, limit: f.config.MaxBytes}
	if r.Checkpoint != "" {
		f.header(&m, verdict{name: "Audit checkpoint", severity: 1}, "checkpoint")
		if !m.checkpoint(r, f.now()) {
			return b, fmt.Errorf("cef: checkpoint %d: longer than Config.MaxBytes (%d) allows", r.Seq, f.config.MaxBytes)
		}
		return m.b, nil
	}
	e, err := audit.Decode(r.Line)
	if err != nil {
		return b, fmt.Errorf("cef: record %d: audit.Decode cannot read its line", r.Seq)
	}
	v := judge(e)
	signature := string(e.Kind)
	if e.Code != "" {
		signature = e.Code
	}
	f.header(&m, v, signature)
	m.event(r, e, v)
	m.finish(e.Truncated)
	return m.b, nil
}

// header appends all up to the first field. Its signature is the one text in it that
// comes with the record.
func (f *Format) header(m *message, v verdict, signature string) {
	if m.leef {
		m.b = append(m.b, "LEEF:2.0|"...)
	} else {
		m.b = append(m.b, "CEF:0|"...)
	}
	for _, s := range []string{f.config.Vendor, f.config.Product, f.config.Version} {
		m.b = append(append(m.b, s...), '|')
	}
	m.escape(signature, '|', maxSignature)
	m.b = append(m.b, '|')
	if m.leef {
		m.b = append(m.b, m.delimiter, '|')
	} else {
		m.b = append(append(m.b, v.name...), '|')
		m.b = append(append(m.b, digits[v.severity]...), '|')
	}
	m.body = len(m.b)
	if m.leef {
		m.text(keySeverity, digits[v.severity])
	}
}
