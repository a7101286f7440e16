package ocsf

import (
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// A writer appends JSON. Its names need no escape. The value of a text, count or
// flag that says nothing (empty, zero, false) is left out with its name.
type writer struct{ b []byte }

// comma separates a member or element from one before it.
func (w *writer) comma() {
	if last := w.b[len(w.b)-1]; last != '{' && last != '[' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) name(name string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) open(name string) {
	w.name(name)
	w.b = append(w.b, '{')
}

func (w *writer) close() { w.b = append(w.b, '}') }

func (w *writer) list(name string) {
	w.name(name)
	w.b = append(w.b, '[')
}

func (w *writer) end() { w.b = append(w.b, ']') }

// element begins an object in a list.
func (w *writer) element() {
	w.comma()
	w.b = append(w.b, '{')
}

func (w *writer) text(name, value string) {
	if value != "" {
		w.name(name)
		w.b = appendString(w.b, value)
	}
}

func (w *writer) texts(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.list(name)
	for _, v := range values {
		w.comma()
		w.b = appendString(w.b, v)
	}
	w.end()
}

// member is text whose name comes from outside.
func (w *writer) member(name, value string) {
	w.comma()
	w.b = append(appendString(w.b, name), ':')
	w.b = appendString(w.b, value)
}

func (w *writer) int(name string, value int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, value, 10)
}

func (w *writer) uint(name string, value uint64) {
	w.name(name)
	w.b = strconv.AppendUint(w.b, value, 10)
}

func (w *writer) count(name string, value uint64) {
	if value != 0 {
		w.uint(name, value)
	}
}

// size is count for sizes, which a foreign record could have below zero.
func (w *writer) size(name string, value int) {
	w.count(name, uint64(max(0, value)))
}

func (w *writer) flag(name string, value bool) {
	if value {
		w.name(name)
		w.b = append(w.b, "true"...)
	}
}

func (w *writer) bool(name string, value bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, value)
}

// stamp appends a time as RFC 3339 text.
func (w *writer) stamp(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	w.name(name)
	w.b = append(w.b, '"')
	w.b = t.UTC().AppendFormat(w.b, time.RFC3339Nano)
	w.b = append(w.b, '"')
}

// A label is a value of an OCSF enumeration and its caption.
type label struct {
	id      int64
	caption string
}

// enum appends NAME_id and NAME.
func (w *writer) enum(name string, l label) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, `_id":`...)
	w.b = strconv.AppendInt(w.b, l.id, 10)
	w.text(name, l.caption)
}

// plain marks the ASCII characters that stand for themselves in a JSON string.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// hidden reports whether a character could do something else to a reader than
// show itself, as in the ledger: see [audit.Event.AppendJSON].
func hidden(r rune) bool {
	return !strconv.IsPrint(r) ||
		r >= 0x034f && unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// appendString appends s as a JSON string (RFC 8259) in which every hidden
// character is escaped and every byte that is not UTF-8 has become \ufffd.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf && plain[c] {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r < utf8.RuneSelf || hidden(r) || r == utf8.RuneError && size == 1 {
			b = appendEscape(append(b, s[start:i]...), r)
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscape(b []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r >= 0x10000: // a surrogate pair
		r -= 0x10000
		b = appendEscape(b, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
