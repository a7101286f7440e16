package aws

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// maxPolicy is how many characters the session policies of one credential may have
// together, the ARNs of managed ones included.
const maxPolicy = 2048

// maxTemplate bounds the text of a template, in bytes: white space is not sent.
const maxTemplate = 32 << 10

// A template is a session policy with placeholders, checked and compacted.
type template struct {
	pieces  []piece
	longest int      // characters, with every value at its longest
	tags    []string // that are part of a resource, in lower case
}

// A piece is a text that stays, and the value that follows it, if any.
type piece struct {
	text string
	hole *placeholder
}

// wide are the wildcards that an option allows.
type wide struct{ actions, resources bool }

// parseTemplate reads and judges a template.
func parseTemplate(text string, allow wide) (*template, error) {
	var d document
	if err := strictjson.Decode([]byte(text), maxTemplate, &d); err != nil {
		return nil, err
	}
	switch {
	case d.Version != "2012-10-17":
		return nil, errors.New(`need "Version": "2012-10-17": without it IAM takes variables such as ${aws:PrincipalTag/team} for plain text`)
	case len(d.Statement) == 0:
		return nil, errors.New("has no statement: it would allow nothing")
	}
	allows := false
	sids := make(map[string]bool)
	for i := range d.Statement {
		id := d.Statement[i].Sid
		if id != "" && sids[id] {
			return nil, fmt.Errorf("statement %d: its Sid is used twice", i+1)
		}
		sids[id] = true
		if err := d.Statement[i].check(allow); err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		allows = allows || d.Statement[i].Effect == "Allow"
	}
	if !allows {
		return nil, errors.New("allows nothing: a session policy needs a statement with the effect Allow")
	}
	var w writer
	w.document(&d)
	if w.err != nil {
		return nil, w.err
	}
	t, err := w.template()
	if err != nil {
		return nil, err
	}
	t.tags = d.tags()
	return t, nil
}

// fill puts the values of a request in their places. Values are of characters that
// JSON does not escape, so that none can leave its string.
func (t *template) fill(value func(*placeholder) (string, error)) (string, error) {
	if t == nil {
		return "", nil
	}
	if len(t.pieces) == 1 && t.pieces[0].hole == nil {
		return t.pieces[0].text, nil
	}
	b := make([]byte, 0, t.longest)
	for _, p := range t.pieces {
		b = append(b, p.text...)
		if p.hole == nil {
			continue
		}
		v, err := value(p.hole)
		if err != nil {
			return "", err
		}
		b = append(b, v...)
	}
	return string(b), nil
}

// depends reports whether the policy depends on arguments of the call.
func (t *template) depends() bool {
	return t != nil && slices.ContainsFunc(t.pieces, func(p piece) bool { return p.hole != nil && p.hole.arg != nil })
}

// personal reports whether the policy depends on who calls.
func (t *template) personal() bool {
	return t != nil && slices.ContainsFunc(t.pieces, func(p piece) bool { return p.hole != nil && p.hole.of != 0 })
}

// places reports whether the value of a tag is part of a resource.
func (t *template) places(key string) bool {
	return t != nil && slices.Contains(t.tags, strings.ToLower(key))
}

// length counts characters as STS does.
func length(s string) int { return utf8.RuneCountInString(s) }
