package mcpsec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxJSONDepth bounds nesting. The SDK allows 1000 levels; no tool needs 64.
const maxJSONDepth = 64

// ErrJSON is wrapped by every error of [CheckJSON].
var ErrJSON = errors.New("not strict JSON")

// CheckJSON reports whether data is exactly one JSON value (RFC 8259) that every
// reader reads alike: valid UTF-8, no unpaired surrogate escapes, no member name
// twice in an object (compared after unescaping), at most 64 levels deep, and
// nothing after the value. Two decoders that disagree on such input let one of
// them judge what the other never runs.
//
// It reads data once, allocates only for escaped member names and objects with
// more than sixteen members, and wraps [ErrJSON]. Its errors name the offset,
// never the content.
func CheckJSON(data []byte) error {
	s := jsonScanner{data: data}
	s.space()
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.pos != len(data) {
		return s.fail("data after the value")
	}
	return nil
}

type jsonScanner struct {
	data   []byte
	pos    int
	spaces int // bytes of white space between tokens so far
}

func (s *jsonScanner) fail(what string) error {
	return fmt.Errorf("%w: %s at offset %d", ErrJSON, what, s.pos)
}

func (s *jsonScanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
			s.spaces++
		default:
			return
		}
	}
}

// next returns the byte at the cursor, or 0 at the end.
func (s *jsonScanner) next() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *jsonScanner) value(depth int) error {
	if depth > maxJSONDepth {
		return s.fail("nested too deep")
	}
	switch c := s.next(); {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		_, err := s.str()
		return err
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.fail("no value")
}

func (s *jsonScanner) literal(want string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(want)) {
		return s.fail("no value")
	}
	s.pos += len(want)
	return nil
}

func (s *jsonScanner) array(depth int) error {
	s.pos++
	s.space()
	if s.next() == ']' {
		s.pos++
		return nil
	}
	for {
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		switch s.next() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return nil
		default:
			return s.fail("unfinished array")
		}
	}
}

func (s *jsonScanner) object(depth int) error {
	s.pos++
	s.space()
	if s.next() == '}' {
		s.pos++
		return nil
	}
	var names memberNames
	for {
		s.space()
		if s.next() != '"' {
			return s.fail("no member name")
		}
		name, err := s.str()
		if err != nil {
			return err
		}
		if !names.add(name) {
			return s.fail("duplicate member name")
		}
		s.space()
		if s.next() != ':' {
			return s.fail("no colon")
		}
		s.pos++
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		switch s.next() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return nil
		default:
			return s.fail("unfinished object")
		}
	}
}

// plain are the bytes of a string that need no look: ASCII, but for quotation marks,
// backslashes and control characters.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// str reads a string and returns it unescaped.
func (s *jsonScanner) str() ([]byte, error) {
	s.pos++
	start, escaped, ascii := s.pos, false, true
	for s.pos < len(s.data) {
		for s.pos < len(s.data) && plain[s.data[s.pos]] {
			s.pos++
		}
		if s.pos == len(s.data) {
			break
		}
		switch c := s.data[s.pos]; {
		case c == '"':
			raw := s.data[start:s.pos]
			if !ascii && !utf8.Valid(raw) {
				return nil, s.fail("invalid UTF-8")
			}
			s.pos++
			if !escaped {
				return raw, nil
			}
			var text string
			if err := json.Unmarshal(s.data[start-1:s.pos], &text); err != nil {
				return nil, s.fail("invalid string")
			}
			return []byte(text), nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < ' ':
			return nil, s.fail("control character in a string")
		default:
			ascii = false
			s.pos++
		}
	}
	return nil, s.fail("unfinished string")
}

// escape reads one escape sequence, or a surrogate pair of two.
func (s *jsonScanner) escape() error {
	s.pos++
	switch s.next() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
	default:
		return s.fail("unknown escape")
	}
	u, err := s.hex4()
	if err != nil {
		return err
	}
	switch {
	case u >= 0xDC00 && u <= 0xDFFF:
		return s.fail("unpaired surrogate")
	case u >= 0xD800 && u <= 0xDBFF:
		if !bytes.HasPrefix(s.data[s.pos:], []byte(`\u`)) {
			return s.fail("unpaired surrogate")
		}
		s.pos++
		low, err := s.hex4()
		if err != nil {
			return err
		}
		if low < 0xDC00 || low > 0xDFFF {
			return s.fail("unpaired surrogate")
		}
	}
	return nil
}

// hex4 reads "uXXXX".
func (s *jsonScanner) hex4() (rune, error) {
	var u rune
	for range 4 {
		s.pos++
		switch c := s.next(); {
		case c >= '0' && c <= '9':
			u = u<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			u = u<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, s.fail("invalid escape")
		}
	}
	s.pos++
	return u, nil
}

func (s *jsonScanner) number() error {
	if s.next() == '-' {
		s.pos++
	}
	switch c := s.next(); {
	case c == '0':
		s.pos++
	case c >= '1' && c <= '9':
		s.digits()
	default:
		return s.fail("invalid number")
	}
	if s.next() == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.fail("invalid number")
		}
	}
	if c := s.next(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.next(); c == '+' || c == '-' {
			s.pos++
		}
		if s.digits() == 0 {
			return s.fail("invalid number")
		}
	}
	return nil
}

func (s *jsonScanner) digits() int {
	start := s.pos
	for c := s.next(); c >= '0' && c <= '9'; c = s.next() {
		s.pos++
	}
	return s.pos - start
}

// memberNames finds repeated names: by comparison while they are few, through a
// map after that, so that a wide object costs linear time.
type memberNames struct {
	few  [16][]byte
	n    int
	many map[string]struct{}
}

func (m *memberNames) add(name []byte) bool {
	if m.many == nil {
		for _, seen := range m.few[:m.n] {
			if bytes.Equal(seen, name) {
				return false
			}
		}
		if m.n < len(m.few) {
			m.few[m.n] = name
			m.n++
			return true
		}
		m.many = make(map[string]struct{}, 2*len(m.few))
		for _, seen := range m.few {
			m.many[string(seen)] = struct{}{}
		}
	}
	if _, seen := m.many[string(name)]; seen {
		return false
	}
	m.many[string(name)] = struct{}{}
	return true
}
