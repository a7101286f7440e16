package syslog

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/audit"
	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// Severities (RFC 5424, section 6.2.1).
const (
	failed        = 3 // error
	warning       = 4
	notice        = 5
	informational = 6
	debug         = 7
)

// Bounds of a parameter's value as written, in bytes. All parameters together fit
// into the smallest MaxBytes, beside the longest header.
const (
	maxID    = 256
	maxValue = 96
)

// bom begins a text in UTF-8 (RFC 5424, section 6.4).
const bom = "\ufeff"

// An entry is what the header and the structured data say of a record.
type entry struct {
	id, msgID string
	severity  int
	time      time.Time
	event     *audit.Event // never nil
}

// describe reads a record. One that cannot be read still has an id and a text.
func describe(r *audit.Record, now time.Time) entry {
	if r.Checkpoint != "" {
		return entry{r.ID(), "checkpoint", informational, now, &audit.Event{}}
	}
	e, err := audit.Decode(r.Line)
	if err != nil {
		return entry{r.ID(), "unreadable", failed, now, &audit.Event{}}
	}
	return entry{r.ID(), string(e.Kind), severity(e), e.Time, e}
}

func severity(e *audit.Event) int {
	switch e.Decision {
	case audit.Allowed:
		return informational
	case audit.Refused:
		return warning
	case audit.Failed, audit.Unknown:
		return failed
	}
	switch e.Kind {
	case audit.Attempt:
		return informational
	case audit.Suppressed, audit.Recovery, audit.Pruned:
		return warning
	case audit.Gap:
		return failed
	case audit.Log:
		var level slog.Level
		switch err := level.UnmarshalText([]byte(e.Level)); {
		case err != nil:
			return notice
		case level < slog.LevelInfo:
			return debug
		case level < slog.LevelWarn:
			return informational
		case level < slog.LevelError:
			return warning
		}
		return failed
	default: // kinds of later versions
		return notice
	}
}

// appendHead appends the header and the structured data. A positive omitted is the
// length of a text that is left out.
func (d *Destination) appendHead(b []byte, e *entry, omitted int) []byte {
	b = strconv.AppendInt(append(b, '<'), int64(d.facility*8+e.severity), 10)
	b = e.time.UTC().AppendFormat(append(b, ">1 "...), "2006-01-02T15:04:05.000000Z")
	b = append(append(append(b, ' '), d.sender...), ' ')
	b = append(appendASCII(b, e.msgID, maxMsgID), ' ', '[')
	b = append(b, d.sdID...)
	b = appendParam(b, "id", e.id, maxID)
	for _, p := range [...]struct{ name, value string }{
		{"event", string(e.event.Kind)},
		{"decision", string(e.event.Decision)},
		{"code", e.event.Code},
		{"control", e.event.Control},
		{"call", e.event.ID},
		{"method", e.event.Method},
		{"name", e.event.Name},
		{"issuer", e.event.Principal.Issuer},
		{"subject", e.event.Principal.Subject},
	} {
		b = appendParam(b, p.name, p.value, maxValue)
	}
	if omitted > 0 {
		b = appendParam(b, "omitted", strconv.Itoa(omitted), maxValue)
	}
	return append(b, ']')
}

// appendParam appends one parameter, unless there is nothing to say. What shows
// itself is written as it is. Hidden characters and backslashes are escaped as in a
// JSON string, so that a value can neither start a line nor reach a terminal, and
// the original can be told from the escape; that text is then escaped as RFC 5424
// wants it.
func appendParam(b []byte, name, value string, limit int) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, ' '), name...), '=', '"')
	start := len(b)
	fits := start // what is kept if the value turns out to be too long
	for _, r := range value {
		switch {
		case r == '\\':
			b = append(b, `\\\\`...)
		case r == '"', r == ']':
			b = append(b, '\\', byte(r))
		case r > 0xffff && printable.Hidden(r):
			b = fmt.Appendf(b, `\\u%04x\\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		case printable.Hidden(r):
			b = fmt.Appendf(b, `\\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
		switch n := len(b) - start; {
		case n > limit:
			return append(b[:fits], `…"`...)
		case n <= limit-len("…"):
			fits = len(b)
		}
	}
	return append(b, '"')
}

// appendFrame appends one message and its length. It returns the reason if the
// record is rejected: then b has grown by a message without text, or by nothing.
func (d *Destination) appendFrame(b []byte, r *audit.Record) (_ []byte, reason string) {
	text, err := d.format.AppendRecord(d.text[:0], r)
	if err != nil {
		return b, "the format cannot write it"
	}
	d.text = text
	ascii, ok := asText(text)
	if !ok {
		return b, "the format wrote a control character or something that is not UTF-8"
	}
	e := describe(r, d.now())
	head := d.appendHead(d.head[:0], &e, 0)
	marked := !ascii && d.bom
	length := len(head) + 1 + len(text)
	if marked {
		length += len(bom)
	}
	if length > d.maxBytes {
		reason = fmt.Sprintf("its message has %d bytes and Config.MaxBytes is %d: it was sent without its text", length, d.maxBytes)
		head = d.appendHead(head[:0], &e, len(text))
		length = len(head)
	}
	d.head = head
	b = append(strconv.AppendInt(b, int64(length), 10), ' ')
	b = append(b, head...)
	if reason != "" {
		return b, reason
	}
	b = append(b, ' ')
	if marked {
		b = append(b, bom...)
	}
	return append(b, text...), ""
}

// asText reports whether a text is all ASCII, and whether it is UTF-8 without
// control characters. The tab is let pass: it ends nothing, and LEEF is made of it.
func asText(text []byte) (ascii, ok bool) {
	ascii = true
	for _, c := range text {
		if c < ' ' && c != '\t' || c == 0x7f {
			return ascii, false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return true, true
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || r >= 0x80 && r < 0xa0 {
			return false, false
		}
		i += size
	}
	return false, true
}
