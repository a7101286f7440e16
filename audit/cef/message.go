package cef

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// A key is one field's name in both formats. A field without a name in one is not
// in its messages. CEF's numbered fields have a label beside them.
type key struct{ cef, label, leef string }

// own is a key that neither format defines.
func own(name string) key { return key{cef: "mcpsec" + name, leef: "mcpsec" + name} }

// A message under construction.
type message struct {
	b         []byte
	start     int // of the message in b
	body      int // of the first field
	limit     int // of the message, in bytes
	leef      bool
	delimiter byte
	cut       bool // something was shortened or left out
}

// marker says that something is missing. Its room is kept.
const marker = "mcpsecTruncated=true"

var digits = [...]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}

// text appends a field, or nothing for an empty value.
func (m *message) text(k key, value string) {
	if value != "" {
		m.field(k, value, maxValue)
	}
}

// whole appends a field of which a part would be worthless, and reports whether
// there was room for it.
func (m *message) whole(k key, value string) bool { return m.field(k, value, m.limit) }

// field appends a field of at most so many bytes if there is room for it, and
// reports whether there was.
func (m *message) field(k key, value string, most int) bool {
	name, special := k.cef, byte('=')
	if m.leef {
		name, special = k.leef, m.delimiter
	}
	if name == "" {
		return true
	}
	before := len(m.b)
	m.separate()
	m.b = append(append(m.b, name...), '=')
	m.escape(value, special, most)
	if k.label != "" && !m.leef {
		m.b = append(append(append(m.b, ' '), name...), "Label="...)
		m.b = append(m.b, k.label...)
	}
	if len(m.b)-m.start > m.limit-len(marker)-1 {
		m.b, m.cut = m.b[:before], true
		return false
	}
	return true
}

func (m *message) separate() {
	switch {
	case len(m.b) == m.body:
	case m.leef:
		m.b = append(m.b, m.delimiter)
	default:
		m.b = append(m.b, ' ')
	}
}

// finish appends the mark if something is missing.
func (m *message) finish(truncated bool) {
	if m.cut || truncated {
		m.separate()
		m.b = append(m.b, marker...)
	}
}

func (m *message) int(k key, value int64) { m.text(k, strconv.FormatInt(value, 10)) }

func (m *message) count(k key, value uint64) {
	if value != 0 {
		m.text(k, strconv.FormatUint(value, 10))
	}
}

func (m *message) size(k key, value int) { m.count(k, uint64(max(0, value))) }

func (m *message) time(k key, t time.Time) {
	if !t.IsZero() {
		m.int(k, t.UnixMilli())
	}
}

// escape appends s so that a reader of the format gets it back, but for characters
// that could do something else to a log or its viewer than show themselves: those
// are spelled \u{HEX}, and so are a space at either end, a backslash that would
// begin such a spelling, and where the format has no escape, the special character.
// No two texts are spelled alike. What would take more than so many bytes is cut
// and ends in an ellipsis.
func (m *message) escape(s string, special byte, most int) {
	if len(s) <= most && plain(s, special) {
		m.b = append(m.b, s...)
		return
	}
	start, fits := len(m.b), len(m.b) // fits: what leaves room for an ellipsis
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		rest := s[i+size:]
		switch {
		case r == '\n' && special == '=':
			m.b = append(m.b, '\\', 'n')
		case r == '\r' && special == '=':
			m.b = append(m.b, '\\', 'r')
		case r == rune(special) && !m.leef:
			m.b = append(m.b, '\\', special)
		case r == rune(special), printable.Hidden(r), r == utf8.RuneError && size == 1,
			r == ' ' && (i == 0 || rest == ""),
			r == '\\' && strings.HasPrefix(rest, "u{"):
			m.backslash()
			m.b = append(m.b, 'u', '{')
			m.b = strconv.AppendInt(m.b, int64(r), 16)
			m.b = append(m.b, '}')
		case r == '\\':
			m.backslash()
		default:
			m.b = append(m.b, s[i:i+size]...)
		}
		i += size
		switch written := len(m.b) - start; {
		case written > most:
			m.b, m.cut = append(m.b[:fits], ellipsis...), true
			return
		case written <= most-len(ellipsis):
			fits = len(m.b)
		}
	}
}

// plain reports whether s is ASCII that needs no escape.
func plain(s string, special byte) bool {
	if strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '\\' || c == special {
			return false
		}
	}
	return true
}

func (m *message) backslash() {
	if !m.leef {
		m.b = append(m.b, '\\')
	}
	m.b = append(m.b, '\\')
}

const ellipsis = "…"
