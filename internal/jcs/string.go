package jcs

import (
	"unicode/utf16"
	"unicode/utf8"
)

// plain marks the bytes that stand for themselves in a string on both sides.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// str writes the string at the cursor. It returns what the string means if escaped
// is not nil: a part of src, or appended to escaped if it came with escapes.
func (w *writer) str(escaped *[]byte) (text []byte, err error) {
	w.pos++
	w.dst = append(w.dst, '"')
	start, mark, decoded := w.pos, len(w.dst), false
	for {
		from := w.pos
		for w.pos < len(w.src) && plain[w.src[w.pos]] {
			w.pos++
		}
		switch c := w.next(); {
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(w.src[w.pos:])
			if r == utf8.RuneError && size <= 1 {
				return nil, w.fail("invalid UTF-8")
			}
			w.pos += size
			w.dst = append(w.dst, w.src[from:w.pos]...)
		case c == '"':
			w.dst = append(append(w.dst, w.src[from:w.pos]...), '"')
			w.pos++
			if !decoded || escaped == nil {
				return w.src[start : w.pos-1], nil
			}
			at := len(*escaped)
			*escaped = unescape(*escaped, w.dst[mark:len(w.dst)-1])
			return (*escaped)[at:], nil
		case c == '\\':
			w.dst = append(w.dst, w.src[from:w.pos]...)
			r, err := w.escape()
			if err != nil {
				return nil, err
			}
			w.dst, decoded = appendRune(w.dst, r), true
		case w.pos == len(w.src):
			return nil, w.fail("unfinished string")
		default:
			return nil, w.fail("control character in a string")
		}
	}
}

// escape reads one escape sequence, or a surrogate pair of two.
func (w *writer) escape() (rune, error) {
	w.pos++
	c := w.next()
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return w.unicode()
	default:
		return 0, w.fail("unknown escape")
	}
	w.pos++
	return rune(c), nil
}

func (w *writer) unicode() (rune, error) {
	r, ok := w.hex4()
	if !ok {
		return 0, w.fail("invalid escape")
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if w.next() == '\\' {
		w.pos++
		if low, ok := w.hex4(); ok {
			if r := utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, nil
			}
		}
	}
	return 0, w.fail("unpaired surrogate")
}

// hex4 reads "uXXXX".
func (w *writer) hex4() (r rune, ok bool) {
	if len(w.src)-w.pos < 5 || w.src[w.pos] != 'u' {
		return 0, false
	}
	for _, c := range w.src[w.pos+1 : w.pos+5] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	w.pos += 5
	return r, true
}

const hexDigits = "0123456789abcdef"

// short has the letter of each control character that has an escape of two bytes.
var short = [' ']byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r'}

// appendRune appends a character as RFC 8785, section 3.2.2.2, writes it.
func appendRune(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r >= ' ':
		return utf8.AppendRune(b, r)
	case short[r] != 0:
		return append(b, '\\', short[r])
	default:
		return append(b, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
	}
}

// unescape appends what a text that appendRune has written means.
func unescape(b, canonical []byte) []byte {
	w := writer{src: canonical}
	for w.pos < len(w.src) {
		if c := w.src[w.pos]; c != '\\' {
			b = append(b, c)
			w.pos++
		} else if r, err := w.escape(); err == nil {
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}
