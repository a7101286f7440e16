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
	hits = p.scan(s[from:to], hits, hits[first:])
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

// A window is a text as a rule sees it that looks at one position.
type window struct {
	text  string
	names *names
	// floor is the end of the last secret before that position: no rule looks back
	// beyond it, so that what is found does not change once that secret is blanked.
	floor int
}

// scan appends what has the form of a secret. It tries at each position the families
// of which the next three bytes could be the beginning, also inside what another has
// found: a PEM block goes on after the first word of key=-----BEGIN. Known are the held
// secrets in the text, in order.
func (p *Policy) scan(t string, hits, known []span) []span {
	// Where a family has nothing more to find, so that none reads the same bytes again
	// and again.
	var barren [32]struct{ from, to int }
	w := window{text: t, names: &p.names}
	covered := 0 // end of what has been found
	for i := 0; i+2 < len(t); {
		candidates := lead[0][t[i]] & lead[1][t[i+1]] & lead[2][t[i+2]]
		if candidates == 0 {
			i++
			continue
		}
		for len(known) > 0 && known[0].to <= i {
			w.floor = max(w.floor, known[0].to)
			known = known[1:]
		}
		if i >= covered {
			w.floor = max(w.floor, covered)
		}
		for ; candidates != 0; candidates &= candidates - 1 {
			f := bits.TrailingZeros32(candidates)
			if i >= barren[f].from && i < barren[f].to {
				continue
			}
			from, to, ok := families[f].find(w, i)
			if ok {
				hits = append(hits, span{from, to, families[f].kind})
				covered = max(covered, to)
			}
			barren[f].from, barren[f].to = from, max(barren[f].to, to)
		}
		i++
	}
	return hits
}

// starts reports whether a token may begin at i: not in the middle of a word. The
// last letter of an escape is no part of a word.
func (w window) starts(i int) bool {
	t := w.text[w.floor:i]
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
func (w window) run(i int, of *class) int {
	for i < len(w.text) && of[w.text[i]] {
		i++
	}
	return i
}

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
