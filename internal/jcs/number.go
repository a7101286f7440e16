package jcs

import (
	"math"
	"strconv"
)

// exact is the number of digits up to which every integer is a double and is
// printed as it stands.
const exact = 15

// number writes the number at the cursor.
func (w *writer) number() error {
	start := w.pos
	if w.next() == '-' {
		w.pos++
	}
	integer := w.pos
	if w.next() == '0' {
		w.pos++
	} else if w.digits() == 0 {
		return w.fail("invalid number")
	}
	whole := w.next() != '.' && w.next()|0x20 != 'e'
	if w.next() == '.' {
		w.pos++
		if w.digits() == 0 {
			return w.fail("invalid number")
		}
	}
	if w.next()|0x20 == 'e' {
		w.pos++
		if c := w.next(); c == '+' || c == '-' {
			w.pos++
		}
		if w.digits() == 0 {
			return w.fail("invalid number")
		}
	}
	text := w.src[start:w.pos]
	if whole && w.pos-integer <= exact && w.src[integer] != '0' {
		w.dst = append(w.dst, text...)
		return nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		w.pos = start
		return w.fail("number out of the range of a double")
	}
	w.dst = appendFloat(w.dst, f)
	return nil
}

func (w *writer) digits() int {
	start := w.pos
	for w.pos < len(w.src) && w.src[w.pos] >= '0' && w.src[w.pos] <= '9' {
		w.pos++
	}
	return w.pos - start
}

// appendFloat appends a finite double as ECMAScript's Number::toString does (RFC
// 8785, section 3.2.2.3). It differs from strconv in minus zero, in where exponents
// begin, and in exponents of one digit.
func appendFloat(b []byte, f float64) []byte {
	switch magnitude := math.Abs(f); {
	case f == 0:
		return append(b, '0')
	case magnitude >= 1e-6 && magnitude < 1e21:
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); b[n-4] == 'e' && b[n-2] == '0' { // e-07 becomes e-7
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}
