package ocsf

import (
	"strconv"
	"time"

	"github.com/mcpsec/mcpsec-go/internal/printable"
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
		w.b = printable.AppendString(w.b, value)
	}
}

func (w *writer) texts(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.list(name)
	for _, v := range values {
		w.comma()
		w.b = printable.AppendString(w.b, v)
	}
	w.end()
}

// member is text whose name comes from outside.
func (w *writer) member(name, value string) {
	w.comma()
	w.b = append(printable.AppendString(w.b, name), ':')
	w.b = printable.AppendString(w.b, value)
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
