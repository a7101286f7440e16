package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mcpsec/mcpsec-go/audit"
)

// obscure reports whether a character could do something else to a reader than show
// itself: controls, bidirectional and zero-width characters, variation selectors,
// fillers and tags, and spaces that are not the space.
func obscure(r rune) bool {
	return !strconv.IsPrint(r) ||
		r >= 0x034f && unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// obscureOrBroken also finds bytes that are no UTF-8.
func obscureOrBroken(r rune) bool { return r == utf8.RuneError || obscure(r) }

// shown returns a text that others wrote, with the obscure characters escaped. It is
// at most limit characters wide, and ends in "…" if there was more.
func shown(s string, limit int) string {
	if len(s) <= limit && strings.IndexFunc(s, obscureOrBroken) < 0 {
		return s
	}
	var b strings.Builder
	width := 0
	for _, r := range s {
		piece := string(r)
		if obscureOrBroken(r) {
			piece = string(appendUnicode(nil, r))
		}
		width += utf8.RuneCountInString(piece)
		if width > limit {
			return b.String() + "…"
		}
		b.WriteString(piece)
	}
	return b.String()
}

// word returns a text for a column. One that could be taken for several columns, or
// for an escape, is quoted.
func word(s string, limit int) string {
	if strings.ContainsAny(s, " \"\\=") {
		return sentence(s, limit)
	}
	return shown(s, limit)
}

// sentence returns a text in quotes.
func sentence(s string, limit int) string {
	return `"` + shown(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s), limit) + `"`
}

// appendUnicode appends \uXXXX, or a surrogate pair of two.
func appendUnicode(b []byte, r rune) []byte {
	if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
		return fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// jsonLine returns a record as it stands on disk. What our encoder never writes raw
// is escaped, which does not change what the JSON says.
func jsonLine(e auditEntry) string {
	line := string(e.line)
	if e.fault != nil {
		raw, err := json.Marshal(map[string]any{"seq": e.seq, "fault": e.fault.Error()})
		if err != nil {
			return `{"fault":"not a record"}` // cannot be: a number and a string
		}
		line = string(raw)
	}
	if strings.IndexFunc(line, obscure) < 0 {
		return line
	}
	b := make([]byte, 0, len(line)+64)
	for _, r := range line {
		if obscure(r) {
			b = appendUnicode(b, r)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// Widths of the columns in which records are listed, in characters.
const (
	whoWidth    = 20
	whatWidth   = 36
	reasonWidth = 160
)

const columns = "     SEQ  TIME (UTC)                VERDICT     WHO                   WHAT                                     LATENCY  CALL                                  WHY\n"

// listed returns a record as one line of columns.
func listed(e auditEntry, colours bool) string {
	if e.fault != nil {
		return fmt.Sprintf("%8d  %s  %s", e.seq, paint("not a record", "31", colours), sentence(e.fault.Error(), reasonWidth))
	}
	v := e.event
	latency := "-"
	if v.Kind == audit.Outcome && v.Decision != audit.Unknown {
		latency = briefly(v.Latency)
	}
	line := fmt.Sprintf("%8d  %-24s  %s  %s  %s  %8s  %-36s  %s", e.seq, instant(v.Time),
		paint(pad(shown(verdict(v), 10), 10), verdictColour(v), colours),
		pad(word(who(&v.Principal), whoWidth), whoWidth), pad(what(v), whatWidth), latency, word(cmp.Or(v.ID, "-"), 64), why(v))
	return strings.TrimRight(line, " ")
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// pad fills a column; fmt's own width counts no escapes but colours.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// verdict says in one word what a record reports.
func verdict(e *audit.Event) string {
	if e.Kind == audit.Outcome || e.Kind == audit.Attempt { // an attempt has one here only: openCall
		return cmp.Or(string(e.Decision), string(e.Kind))
	}
	return string(e.Kind)
}

// verdictColour is the SGR parameter a terminal shows the verdict in.
func verdictColour(e *audit.Event) string {
	switch {
	case e.Kind == audit.Attempt && e.Decision == "" || e.Kind == audit.Log:
		return "2" // faint
	case e.Kind == audit.Gap || e.Decision == audit.Failed || e.Decision == audit.Unknown:
		return "31" // red
	case e.Kind == audit.Outcome && e.Decision == audit.Allowed:
		return "32" // green
	}
	return "33" // yellow: refusals, counted or one by one, and what is new
}

func paint(s, colour string, colours bool) string {
	if !colours {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// who is the best name of a principal.
func who(p *audit.Principal) string { return cmp.Or(p.Subject, p.Client, p.Rung, "-") }

// what is the method and the name of what was called; to the client, if it begins
// with an arrow.
func what(e *audit.Event) string {
	s := word(e.Method, 24)
	if e.Outgoing {
		s = "> " + s
	}
	if e.Name != "" {
		s += " " + word(e.Name, whatWidth)
	}
	return cmp.Or(s, "-")
}

// why is what a record says beyond who called what and when.
func why(e *audit.Event) string {
	var parts []string
	if e.Count > 0 {
		parts = append(parts, "count="+strconv.FormatUint(e.Count, 10))
	}
	for _, s := range []string{e.Level, e.Code} {
		if s != "" {
			parts = append(parts, word(s, 64))
		}
	}
	for i, f := range e.Findings {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("(and %d findings more)", len(e.Findings)-i))
			break
		}
		parts = append(parts, "("+word(cmp.Or(f.Code, f.Control), 64)+")")
	}
	for _, s := range []string{e.Reason, e.Detail} {
		if s != "" {
			parts = append(parts, sentence(s, reasonWidth))
		}
	}
	return strings.Join(parts, " ")
}
