package audit

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	blank    = "[argument]"
	withheld = "[withheld: too many argument values to look for]"

	// shortValue is the length in bytes below which a value is blanked only where
	// it stands as a word of its own: everywhere else it is a coincidence.
	shortValue = 4
	// searchBudget bounds the bytes searched in one event. A caller who exceeds it
	// can blank reasons and details, never codes.
	searchBudget = 16 << 20
	searchCost   = 64 // of a search, whatever its length
)

// redact bounds the event's reasons and details and blanks the argument values in
// them. Schema validators quote what they refuse, and panics what they met.
func (e *Event) redact(raw json.RawMessage) {
	var texts [2 + 2*maxFindings]*string
	n := 0
	add := func(s *string) {
		if *s == "" {
			return
		}
		if len(*s) > maxText && e.blank != nil { // before the cut makes a secret unrecognisable
			*s, _ = e.blank.Text((*s)[:min(len(*s), 2*maxText)])
		}
		texts[n] = s
		n++
	}
	add(&e.Reason)
	add(&e.Detail)
	for i := range e.Findings {
		add(&e.Findings[i].Reason)
		add(&e.Findings[i].Detail)
	}
	if n == 0 {
		return
	}
	r := newRedactor(texts[:n])
	if len(raw) > 0 {
		walk(raw, r.value)
	}
	for i, s := range texts[:n] {
		var cut bool
		*s, cut = r.text(i)
		e.Truncated = e.Truncated || cut
	}
}

// A redactor looks for values in the first 2*maxText bytes of each text, by their
// first maxText bytes, and keeps the first maxText. So it finds every value that
// begins in what is kept, even one that the cut would divide.
type redactor struct {
	windows []string
	masked  [][]bool
	budget  int
}

func newRedactor(texts []*string) *redactor {
	r := &redactor{
		windows: make([]string, len(texts)), masked: make([][]bool, len(texts)), budget: searchBudget,
	}
	for i, s := range texts {
		r.windows[i] = (*s)[:min(len(*s), 2*maxText)]
		r.masked[i] = make([]bool, len(r.windows[i]))
	}
	return r
}

// value blanks one argument value, in the forms in which programs print it.
func (r *redactor) value(_ int, kind token, text []byte) {
	if kind == tokenKey || r.budget <= 0 {
		return
	}
	if kind == tokenNumber {
		number := string(text)
		r.find(number)
		if f, err := strconv.ParseFloat(number, 64); err == nil {
			for _, format := range []byte("gf") { // %v prints the one, encoding/json the other
				if s := strconv.FormatFloat(f, format, -1, 64); s != number {
					r.find(s)
				}
			}
		}
		return
	}
	received, meant := string(inside(text)), string(unquote(text))
	r.find(meant)
	if received != meant {
		r.find(received)
	}
	if quoted := strconv.Quote(meant); len(quoted) != len(meant)+2 {
		r.find(quoted[1 : len(quoted)-1])
	}
}

func (r *redactor) find(value string) {
	if value == "" {
		return
	}
	value = value[:min(len(value), maxText)]
	for i, text := range r.windows {
		for from := 0; from < len(text); {
			at := strings.Index(text[from:], value)
			r.budget -= searchCost
			if at < 0 {
				r.budget -= len(text) - from
				break
			}
			r.budget -= at + len(value)
			if r.budget <= 0 {
				return
			}
			start, end := from+at, from+at+len(value)
			if len(value) >= shortValue || alone(text, start, end) {
				for j := start; j < end; j++ {
					r.masked[i][j] = true
				}
			}
			from = end
		}
	}
}

// alone reports whether no letter or digit touches text[start:end].
func alone(text string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[end:])
	word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	return !word(before) && !word(after)
}

// text returns what is kept of a text, and whether that is less than there was.
func (r *redactor) text(i int) (kept string, cut bool) {
	if r.budget <= 0 {
		return withheld, true
	}
	window, masked := r.windows[i], r.masked[i]
	end := len(window)
	if cut = end > maxText; cut {
		end = runeStart(window, maxText)
	}
	var b strings.Builder
	for from := 0; from < end; {
		to := from + 1
		for to < end && masked[to] == masked[from] {
			to++
		}
		if masked[from] {
			b.WriteString(blank)
		} else {
			b.WriteString(window[from:to])
		}
		from = to
	}
	if cut {
		b.WriteString(ellipsis)
	}
	return b.String(), cut
}
