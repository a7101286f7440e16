package jcs

import (
	"errors"
	"fmt"
	"sync"
)

// MaxDepth bounds nesting, in arrays and objects.
const MaxDepth = 128

// ErrSyntax is wrapped by every error of [Append].
var ErrSyntax = errors.New("jcs: not strict JSON")

// Append appends the canonical form of src, one JSON value with or without white
// space around it, to dst and returns the extended slice. dst and src must not
// overlap. It is safe for concurrent use.
//
// It refuses what is not strict JSON (RFC 8259, RFC 7493): invalid UTF-8, unpaired
// surrogates, a member name twice in one object whatever its escapes, a number
// beyond the range of a double, more than [MaxDepth] levels, or data after the
// value. The error wraps [ErrSyntax] and names the offset, never the content; dst is
// then returned as it was.
//
// Time grows with the length of src, by the logarithm of the members of an object
// where they come unsorted, and by their depth.
func Append(dst, src []byte) ([]byte, error) {
	w, _ := writers.Get().(*writer)
	w.src, w.pos, w.dst = src, 0, dst
	err := w.document()
	out := w.dst
	w.release()
	if err != nil {
		return dst, err
	}
	return out, nil
}

// A writer reads src from pos and has written dst. A member of an object is written
// where it comes; when the object ends, its members are put in order, if they are not.
type writer struct {
	src []byte
	pos int
	dst []byte

	members []member // of the objects that are open, outermost first
	names   []byte   // text of the names that came with escapes
	moved   []byte   // an object's members, while they are put in order
}

// A member is the part dst[from:to], which is its name, a colon and its value.
type member struct {
	name     []byte // unescaped; in src or in names
	from, to int
}

var writers = sync.Pool{New: func() any { return new(writer) }}

// keep bounds each part of the scratch memory that a writer holds on to between two
// calls, in bytes. What is kept is wiped.
const keep = 8 << 10

func (w *writer) release() {
	if cap(w.members) > keep/64 || cap(w.names) > keep || cap(w.moved) > keep {
		return
	}
	clear(w.members[:cap(w.members)])
	clear(w.names[:cap(w.names)]) // arguments hold secrets: none outlives its call in the pool
	clear(w.moved[:cap(w.moved)])
	w.src, w.dst = nil, nil
	w.members, w.names, w.moved = w.members[:0], w.names[:0], w.moved[:0]
	writers.Put(w)
}

func (w *writer) fail(what string) error {
	return fmt.Errorf("%w: %s at offset %d", ErrSyntax, what, w.pos)
}

func (w *writer) document() error {
	w.space()
	if err := w.value(0); err != nil {
		return err
	}
	w.space()
	if w.pos != len(w.src) {
		return w.fail("data after the value")
	}
	return nil
}

func (w *writer) space() {
	for w.pos < len(w.src) {
		switch w.src[w.pos] {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return
		}
	}
}

// next returns the byte at the cursor, or 0 at the end.
func (w *writer) next() byte {
	if w.pos < len(w.src) {
		return w.src[w.pos]
	}
	return 0
}

// value writes the value at the cursor. depth counts what it is inside of.
func (w *writer) value(depth int) error {
	switch c := w.next(); {
	case c == '"':
		_, err := w.str(nil)
		return err
	case c == '-' || c >= '0' && c <= '9':
		return w.number()
	case c == 't':
		return w.literal("true")
	case c == 'f':
		return w.literal("false")
	case c == 'n':
		return w.literal("null")
	case c != '{' && c != '[':
		return w.fail("no value")
	case depth == MaxDepth:
		return w.fail("nested too deep")
	case c == '{':
		return w.object(depth + 1)
	default:
		return w.array(depth + 1)
	}
}

func (w *writer) literal(want string) error {
	if end := w.pos + len(want); end > len(w.src) || string(w.src[w.pos:end]) != want {
		return w.fail("no value")
	}
	w.pos += len(want)
	w.dst = append(w.dst, want...)
	return nil
}

func (w *writer) array(depth int) error {
	w.pos++
	w.dst = append(w.dst, '[')
	w.space()
	if w.next() != ']' {
		for {
			if err := w.value(depth); err != nil {
				return err
			}
			w.space()
			if w.next() != ',' {
				break
			}
			w.pos++
			w.space()
			w.dst = append(w.dst, ',')
		}
	}
	if w.next() != ']' {
		return w.fail("unfinished array")
	}
	w.pos++
	w.dst = append(w.dst, ']')
	return nil
}
