package redact

import (
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// Text blanks the secrets in any free text: each becomes "[secret:KIND]", where the
// kind is one of the families in the package documentation, or "held" for a secret
// that the process holds. It reports whether there was one. Call it before the text
// is cut, so that no secret is divided.
//
// A text with nothing to blank is returned as it is, without allocation. Time grows
// with the length of the text and the number of held secrets, whatever the text
// holds; the result is at most six times as long. Text of the result is the result.
func (p *Policy) Text(s string) (string, bool) {
	var room [16]span
	hits := p.find(s, room[:0])
	if len(hits) == 0 {
		return s, false
	}
	var b strings.Builder
	from := 0
	for _, h := range hits {
		b.WriteString(s[from:h.from])
		b.WriteString(markers[h.kind])
		from = h.to
	}
	b.WriteString(s[from:])
	return b.String(), true
}

// found reports whether Text would blank anything.
func (p *Policy) found(s string) bool {
	var room [16]span
	return len(p.find(s, room[:0])) > 0
}

// A span is a secret in a text.
type span struct {
	from, to int
	kind     kind
}

// find appends the secrets in a text, in order and apart from each other. What Text
// has blanked before divides the text and is not looked at.
func (p *Policy) find(s string, hits []span) []span {
	from := 0
	for at := strings.Index(s, opening); at >= 0; {
		if n := marker(s[at:]); n > 0 {
			hits = p.part(s, from, at, hits)
			from = at + n
			at += n
		} else {
			at += len(opening)
		}
		next := strings.Index(s[at:], opening)
		if next < 0 {
			break
		}
		at += next
	}
	return p.part(s, from, len(s), hits)
}

// part appends the secrets in s[from:to].
func (p *Policy) part(s string, from, to int, hits []span) []span {
	if from == to {
		return hits
	}
	first := len(hits)
	hits = p.heldIn(s[from:to], hits)
	sc := scanner{text: s[from:to], names: &p.names, held: hits[first:]}
	hits = sc.scan(hits)
	hits = hits[:first+len(merge(hits[first:]))]
	for i := first; i < len(hits); i++ {
		hits[i].from += from
		hits[i].to += from
	}
	return hits
}

// merge sorts spans and joins those that overlap, in place. What is joined is of the
// kind that begins first.
func merge(all []span) []span {
	if len(all) < 2 {
		return all
	}
	slices.SortStableFunc(all, func(a, b span) int { return a.from - b.from })
	n := 0
	for _, s := range all[1:] {
		if s.from < all[n].to {
			all[n].to = max(all[n].to, s.to)
			continue
		}
		n++
		all[n] = s
	}
	return all[:n+1]
}

// A scanner looks in one text for what has the form of a secret.
type scanner struct {
	text  string
	names *names
	held  []span // found already, in order

	// floor is the end of the last secret before the position at hand: nothing looks
	// back beyond it, so that what is found does not change once that secret is blanked.
	floor int
	// barren are the positions before which a family has nothing to find, so that
	// no family reads the same bytes again and again.
	barren [32]int
}

// scan tries at each position the families of which the next three bytes could be the
// beginning.
func (sc *scanner) scan(hits []span) []span {
	t, done := sc.text, sc.held
	for i := 0; i+2 < len(t); {
		candidates := lead[0][t[i]] & lead[1][t[i+1]] & lead[2][t[i+2]]
		if candidates == 0 {
			i++
			continue
		}
		for len(done) > 0 && done[0].to <= i {
			sc.floor = max(sc.floor, done[0].to)
			done = done[1:]
		}
		next := i + 1
		for ; candidates != 0; candidates &= candidates - 1 {
			f := bits.TrailingZeros32(candidates)
			if i < sc.barren[f] {
				continue
			}
			from, to, ok := families[f].find(sc, i)
			if ok {
				hits = append(hits, span{from, to, families[f].kind})
				next, sc.floor = to, to
				break
			}
			sc.barren[f] = max(sc.barren[f], to)
		}
		i = next
	}
	return hits
}

// starts reports whether a token may begin at i: not in the middle of a word. The
// last letter of an escape is no part of a word.
func (sc *scanner) starts(i int) bool {
	t := sc.text[sc.floor:i]
	n := len(t)
	switch {
	case n == 0 || !wordChar[t[n-1]]:
		return true
	case n >= 2 && t[n-2] == '\\':
		return true
	case n >= 3 && t[n-3] == '%':
		return hexChar[t[n-2]] && hexChar[t[n-1]]
	case n >= 6 && t[n-6] == '\\':
		return t[n-5] == 'u'
	default:
		return false
	}
}

// run returns the end of the run of characters that begins at i.
func (sc *scanner) run(i int, of *class) int {
	for i < len(sc.text) && of[sc.text[i]] {
		i++
	}
	return i
}

// A class is a set of bytes.
type class [256]bool

// chars returns the class of ranges, each given by its first and last byte.
func chars(ranges string) *class {
	var c class
	for i := 0; i+1 < len(ranges); i += 2 {
		for b := int(ranges[i]); b <= int(ranges[i+1]); b++ {
			c[b] = true
		}
	}
	return &c
}

var (
	digit     = chars("09")
	alnum     = chars("09AZaz")
	upperNum  = chars("09AZ")
	hexChar   = chars("09AFaf")
	wordChar  = chars("09AZaz__")
	base64url = chars("09AZaz__--")
	base64any = chars("09AZaz__--++//==")
	tokenChar = chars("09AZaz__--++//==..~~%%")
	nameChar  = chars("09AZaz__--..")
)

// grow makes a span end where characters end, if it was found byte by byte.
func grow(s string, from, to int) (start, end int) {
	for n := 0; n < utf8.UTFMax && from > 0 && from < len(s) && !utf8.RuneStart(s[from]); n++ {
		from--
	}
	for n := 0; n < utf8.UTFMax && to < len(s) && !utf8.RuneStart(s[to]); n++ {
		to++
	}
	return from, to
}
