package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A writer writes a document without white space and in one order, and takes its
// strings apart at the placeholders.
type writer struct {
	text   strings.Builder
	pieces []piece
	err    error
}

func (w *writer) document(d *document) {
	w.text.WriteString(`{"Version":"2012-10-17"`)
	if d.ID != "" {
		w.text.WriteString(`,"Id":`)
		w.fixed(d.ID)
	}
	w.text.WriteString(`,"Statement":[`)
	for i := range d.Statement {
		if i > 0 {
			w.text.WriteByte(',')
		}
		w.statement(&d.Statement[i])
	}
	w.text.WriteString("]}")
}

func (w *writer) statement(s *statement) {
	w.text.WriteByte('{')
	if s.Sid != "" {
		w.text.WriteString(`"Sid":`)
		w.fixed(s.Sid)
		w.text.WriteByte(',')
	}
	w.text.WriteString(`"Effect":"` + s.Effect + `"`)
	w.list("Action", s.Action, w.fixed)
	w.list("NotAction", s.NotAction, w.fixed)
	open := w.fixed
	if s.Effect == "Allow" {
		open = w.open
	}
	w.list("Resource", s.Resource, open)
	w.list("NotResource", s.NotResource, w.fixed)
	if s.Condition != nil {
		w.conditions(s)
	}
	w.text.WriteByte('}')
}

func (w *writer) conditions(s *statement) {
	w.text.WriteString(`,"Condition":{`)
	for i, operator := range slices.Sorted(maps.Keys(s.Condition)) {
		if i > 0 {
			w.text.WriteByte(',')
		}
		w.fixed(operator)
		w.text.WriteString(":{")
		put := w.fixed
		if s.Effect == "Allow" && positive[operator] {
			put = w.open
		}
		for j, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
			if j > 0 {
				w.text.WriteByte(',')
			}
			w.fixed(key)
			w.text.WriteByte(':')
			w.values(s.Condition[operator][key], put)
		}
		w.text.WriteByte('}')
	}
	w.text.WriteByte('}')
}

// positive are the conditions that hold for fewer requests the narrower their value.
var positive = map[string]bool{
	"StringEquals": true, "StringEqualsIgnoreCase": true, "StringLike": true, "ArnEquals": true, "ArnLike": true,
}

func (w *writer) list(name string, list texts, put func(string)) {
	if list != nil {
		w.text.WriteString(`,"` + name + `":`)
		w.values(list, put)
	}
}

func (w *writer) values(list texts, put func(string)) {
	if len(list) == 1 {
		put(list[0])
		return
	}
	w.text.WriteByte('[')
	for i, s := range list {
		if i > 0 {
			w.text.WriteByte(',')
		}
		put(s)
	}
	w.text.WriteByte(']')
}

// fixed writes a string in which no placeholder may stand.
func (w *writer) fixed(s string) {
	if strings.Contains(s, "{{") {
		w.fail(s, errors.New("a placeholder may stand only in the Resource of a statement that allows, and in the values of its conditions StringEquals, StringEqualsIgnoreCase, StringLike, ArnEquals and ArnLike: elsewhere a value could widen the policy"))
	}
	w.text.WriteByte('"')
	w.escaped(s)
	w.text.WriteByte('"')
}

// open writes a string in which placeholders may stand.
func (w *writer) open(s string) {
	w.text.WriteByte('"')
	parts, err := parsePattern(s)
	if err == nil {
		err = apart(parts)
	}
	if err != nil {
		w.fail(s, err)
	}
	for _, p := range parts {
		w.escaped(p.text)
		if p.kind == hole {
			w.pieces = append(w.pieces, piece{w.text.String(), p.hole})
			w.text.Reset()
		}
	}
	w.text.WriteByte('"')
}

func (w *writer) escaped(s string) {
	if strings.ContainsFunc(s, func(r rune) bool { return r > 0xff }) {
		w.fail(s, errors.New("STS takes only characters up to U+00FF"))
		return
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		w.fail(s, err)
		return
	}
	w.text.Write(b.Bytes()[1 : b.Len()-2]) // without quotes and line feed
}

func (w *writer) fail(s string, err error) {
	if w.err == nil {
		w.err = fmt.Errorf("%q: %w", s, err)
	}
}

// template returns what was written.
func (w *writer) template() (*template, error) {
	t := &template{pieces: append(w.pieces, piece{w.text.String(), nil})}
	for _, p := range t.pieces {
		t.longest += length(p.text)
		if p.hole != nil {
			t.longest += p.hole.most
		}
	}
	if t.longest > maxPolicy {
		return nil, fmt.Errorf("has up to %d characters with every placeholder at its longest, and STS takes %d: shorten it, or let tags and ${aws:PrincipalTag/...} say what differs", t.longest, maxPolicy)
	}
	return t, nil
}
