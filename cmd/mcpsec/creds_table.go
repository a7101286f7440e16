package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	// leastColumn is how narrow a column may be made, and gap what is between two.
	leastColumn = 8
	gap         = "  "
	// maxCell bounds a cell, in characters.
	maxCell = 4096
)

// widthOf returns how wide a line may be: that of the terminal or of COLUMNS, or 0 for
// as wide as it has to be.
func widthOf(w io.Writer, getenv func(string) string) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	if n, err := strconv.Atoi(getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return 0
}

// text renders the report. Notes are numbered, because most tools share theirs.
func (r *credsReport) text(width int, colours bool) string {
	var b bytes.Buffer
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "%s  %s\n", paint("fail", statusFail.colour(), colours), shown(f, maxCell))
	}
	if len(r.Faults) > 0 {
		return b.String()
	}
	table := [][]string{{"STATUS", "TOOL", "CREDENTIAL", "IDENTITY", "MAY DO", "LIFETIME", "NOTES"}}
	var notes []string
	for _, c := range r.Credentials {
		var numbers []string
		for _, n := range c.Notes {
			i := slices.Index(notes, n)
			if i < 0 {
				i, notes = len(notes), append(notes, n)
			}
			numbers = append(numbers, strconv.Itoa(i+1))
		}
		does := strings.Join(c.mayDo(), "; ")
		if c.Why != "" {
			does = strings.TrimPrefix(does+" ("+c.Why+")", " ")
		}
		table = append(table, []string{c.Status, c.Tool, c.Name, c.Identity, does, c.Lifetime, strings.Join(numbers, " ")})
	}
	writeTable(&b, table, width, func(s string) string {
		for _, known := range []status{statusOK, statusFail, statusSkip} {
			if strings.TrimSpace(s) == string(known) {
				return paint(s, known.colour(), colours)
			}
		}
		return s
	})
	if notes != nil {
		b.WriteString("\n")
	}
	for i, n := range notes {
		mark := strconv.Itoa(i+1) + gap
		for j, line := range wrap(shown(n, maxCell), max(width-len(mark), 0)) {
			if j > 0 {
				mark = strings.Repeat(" ", len(mark))
			}
			fmt.Fprintf(&b, "%s%s\n", mark, line)
		}
	}
	counts := make(map[string]int)
	for _, c := range r.Credentials {
		counts[c.Status]++
	}
	fmt.Fprintf(&b, "\n%d credentials: %d ok, %d fail, %d skip\n", len(r.Credentials), counts["ok"], counts["fail"], counts["skip"])
	return b.String()
}

// writeTable writes rows in columns, of which the widest give way until a line fits; what
// is in them goes on below. Nothing is left out. style changes the first column.
func writeTable(b *bytes.Buffer, rows [][]string, width int, style func(string) string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			row[i] = shown(row[i], maxCell)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	shrink(widths, width-len(gap)*(len(widths)-1), width > 0)
	for _, row := range rows {
		cells := make([][]string, len(row))
		height := 0
		for i, text := range row {
			cells[i] = wrap(text, widths[i])
			height = max(height, len(cells[i]))
		}
		for h := range height {
			var line strings.Builder
			for i, cell := range cells {
				text := ""
				if h < len(cell) {
					text = cell[h]
				}
				text += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
				if i == 0 {
					text = style(text)
				} else {
					line.WriteString(gap)
				}
				line.WriteString(text)
			}
			b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		}
	}
}

// shrink takes from the widest columns until all fit, but for what they need least.
func shrink(widths []int, room int, limited bool) {
	for limited {
		total, widest := 0, 0
		for i, w := range widths {
			total += w
			if w > widths[widest] {
				widest = i
			}
		}
		if total <= room || widths[widest] <= leastColumn {
			return
		}
		widths[widest]--
	}
}

// wrap breaks a text into lines of at most width characters, at spaces where there are
// some. With 0 there is one line.
func wrap(text string, width int) []string {
	if width <= 0 {
		return []string{text}
	}
	var lines []string
	rest := []rune(text)
	for len(rest) > width {
		at := width
		for i := width; i > width/2; i-- {
			if rest[i] == ' ' {
				at = i
				break
			}
		}
		lines = append(lines, string(rest[:at]))
		rest = rest[at:]
		for len(rest) > 0 && rest[0] == ' ' {
			rest = rest[1:]
		}
	}
	return append(lines, string(rest))
}
