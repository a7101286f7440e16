package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// minHeld is the shortest secret that is looked for, in bytes, once white space
	// around it is gone.
	minHeld = 8
	// maxHead bounds what is compared of a form of a secret before it counts as found,
	// in bytes. Of a longer secret a piece from its beginning is found too.
	maxHead = 32
	// few secrets are looked for without a look at the whole text before.
	few = 16
)

// A heldSearch looks for held secrets in one text. It is pooled with its own method
// as a function value, so that a search allocates nothing.
type heldSearch struct {
	text    string
	escapes bool
	seen    int // secrets
	grams   grams
	hits    []span
	yield   func([]byte) bool
}

var heldSearches = sync.Pool{New: func() any {
	h := new(heldSearch)
	h.yield = h.look
	return h
}}

// heldIn appends where a text has secrets that the process holds, sorted and merged.
func (p *Policy) heldIn(text string, hits []span) []span {
	if p.held == nil || len(text) < minHeld {
		return hits
	}
	h, _ := heldSearches.Get().(*heldSearch)
	h.text, h.seen, h.escapes = text, 0, strings.ContainsAny(text, `%\+`)
	p.held(h.yield)
	hits = append(hits, merge(h.hits)...)
	h.text, h.hits = "", h.hits[:0]
	if cap(h.hits) <= 64 && cap(h.grams.bits) <= maxGrams {
		heldSearches.Put(h)
	}
	return hits
}

// look looks for one secret, in each of its forms.
func (h *heldSearch) look(secret []byte) bool {
	secret = bytes.TrimSpace(secret)
	if len(secret) < minHeld || len(h.text) < min(len(secret), maxHead) {
		return true // no form is shorter than the secret itself
	}
	if h.seen++; h.seen == few+1 {
		h.grams.of(h.text, h.escapes)
	}
	if h.escapes && (h.seen <= few || h.grams.has(secret)) {
		h.escaped(secret)
	}
	if h.seen <= few || h.grams.may(secret) {
		h.raw(secret)
		h.hex(secret)
		h.base64(secret)
	}
	return true
}

func (h *heldSearch) add(from, to int) {
	from, to = grow(h.text, from, to)
	h.hits = append(h.hits, span{from, to, held})
}

func (h *heldSearch) raw(secret []byte) {
	head := secret[:min(len(secret), maxHead)]
	for from := 0; ; {
		at := strings.Index(h.text[from:], string(head))
		if at < 0 {
			return
		}
		start := from + at
		n := len(head)
		for n < len(secret) && start+n < len(h.text) && h.text[start+n] == secret[n] {
			n++
		}
		h.add(start, start+n)
		from = start + n
	}
}

// escaped finds the secret where some of its characters are escaped: for a URL or a
// form, in JSON, or as Go quotes them.
func (h *heldSearch) escaped(secret []byte) {
	for i := 0; i < len(h.text); i++ {
		if c := h.text[i]; c != secret[0] && c != '%' && c != '\\' && c != '+' {
			continue
		}
		matched, end := 0, i
		for matched < len(secret) && end < len(h.text) {
			n, size := h.unit(end, secret[matched:])
			if n == 0 {
				break
			}
			matched, end = matched+n, end+size
		}
		if matched >= min(len(secret), maxHead) {
			h.add(i, end)
			i = end - 1
		}
	}
}

// unit compares what stands at i, one byte or one escape, with the beginning of a
// secret. It returns how many bytes of the secret that is, and of the text.
func (h *heldSearch) unit(i int, secret []byte) (n, size int) {
	var room [utf8.UTFMax]byte
	t := h.text[i:]
	if b, size := unescape(t, room[:0]); len(b) > 0 && bytes.HasPrefix(secret, b) {
		return len(b), size
	}
	if t[0] == secret[0] {
		return 1, 1
	}
	return 0, 0
}

// unescape appends what an escape at the beginning of a text stands for, if there is
// one.
func unescape(t string, b []byte) (meaning []byte, size int) {
	switch {
	case t[0] == '%' && len(t) >= 3 && hexChar[t[1]] && hexChar[t[2]]:
		return append(b, byte(unhex(t[1:3]))), 3 //nolint:gosec // two digits
	case t[0] == '+':
		return append(b, ' '), 1
	case t[0] == '\\' && len(t) >= 2:
		return backslash(t, b)
	}
	return b, 0
}

// backslash is unescape for a backslash.
func backslash(t string, b []byte) (meaning []byte, size int) {
	const letters, meanings = `"'\/abfnrtv0`, "\"'\\/\a\b\f\n\r\t\v\x00"
	if k := strings.IndexByte(letters, t[1]); k >= 0 {
		return append(b, meanings[k]), 2
	}
	digits := 0
	switch t[1] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	}
	if size = 2 + digits; digits == 0 || len(t) < size {
		return b, 0
	}
	for i := 2; i < size; i++ {
		if !hexChar[t[i]] {
			return b, 0
		}
	}
	r := unhex(t[2:size])
	if digits == 2 {
		return append(b, byte(r)), size //nolint:gosec // two digits
	}
	if r >= 0xd800 && r < 0xdc00 && len(t) >= 12 && t[6:8] == `\u` { // a pair
		if low := unhex(t[8:12]); low >= 0xdc00 && low < 0xe000 {
			r, size = (r-0xd800)<<10|(low-0xdc00)+0x10000, 12
		}
	}
	return utf8.AppendRune(b, r), size
}

// unhex returns the value of hexadecimal digits; of anything else it returns any.
func unhex(s string) (r rune) {
	for i := range len(s) {
		c := s[i]
		if digit[c] {
			r = r<<4 | rune(c-'0')
		} else {
			r = r<<4 | rune(c|0x20-'a'+10)&15
		}
	}
	return r
}

func (h *heldSearch) hex(secret []byte) {
	var room [maxHead]byte
	n := hex.Encode(room[:], secret[:min(len(secret), maxHead/2)])
	h.encoded(room[:n], hexChar)
	for i, c := range room[:n] {
		if c >= 'a' {
			room[i] = c &^ 0x20
		}
	}
	h.encoded(room[:n], hexChar)
}

// base64 finds the secret in a base64 text of either alphabet, where one or two other
// bytes may stand before it in its group of three.
func (h *heldSearch) base64(secret []byte) {
	var in, out [48]byte
	for before := range 3 {
		n := before + copy(in[before:27], secret)
		base64.RawStdEncoding.Encode(out[:], in[:n])
		// The characters that the secret's bits alone decide.
		form := out[(before*8+5)/6 : min(n*8/6, maxHead)]
		h.encoded(form, base64any)
		if bytes.ContainsAny(form, "+/") {
			for i, c := range form {
				switch c {
				case '+':
					form[i] = '-'
				case '/':
					form[i] = '_'
				}
			}
			h.encoded(form, base64any)
		}
	}
}

// encoded blanks every run of an encoding's characters that has a form in it.
func (h *heldSearch) encoded(form []byte, of *class) {
	for floor := 0; ; {
		at := strings.Index(h.text[floor:], string(form))
		if at < 0 {
			return
		}
		from, to := floor+at, floor+at+len(form)
		for from > floor && of[h.text[from-1]] {
			from--
		}
		for to < len(h.text) && of[h.text[to]] {
			to++
		}
		h.add(from, to)
		floor = to
	}
}
