package lock

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// maxWords bounds the texts that are compared word by word; the work grows with the
// product of their lengths.
const maxWords = 2000

// Lines shows the change member by member, for people: "+" for what is new, "-" for
// what is gone, "~" for what is another, with [-words that went-] and {+words that
// came+}. Hidden characters are escaped. Every member is shown in full.
func (c Change) Lines() []string {
	before, after := leaves(c.Old), leaves(c.New)
	paths := make(map[string]bool)
	for path := range before {
		paths[path] = true
	}
	for path := range after {
		paths[path] = true
	}
	var lines []string
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		was, had := before[path]
		is, has := after[path]
		switch {
		case !had:
			lines = append(lines, "+ "+path+": "+is)
		case !has:
			lines = append(lines, "- "+path+": "+was)
		case was != is:
			lines = append(lines, "~ "+path+": "+words(was, is))
		}
	}
	return lines
}

// leaves returns the values of a definition that hold no others, by their paths,
// written as JSON without hidden characters.
func leaves(d *Definition) map[string]string {
	out := make(map[string]string)
	if d != nil {
		collect(out, "", d.Text)
	}
	return out
}

// collect walks down a value that was read before: errors cannot be.
func collect(out map[string]string, path string, raw json.RawMessage) {
	var (
		members map[string]json.RawMessage
		list    []json.RawMessage
	)
	switch {
	case raw[0] == '{' && json.Unmarshal(raw, &members) == nil && len(members) > 0:
		for name, value := range members {
			step := name
			if !ordinary(name) {
				step = string(printable.AppendString(nil, name)) // in full: two names are never one
			}
			if path != "" {
				step = "." + step
			}
			collect(out, path+step, value)
		}
	case raw[0] == '[' && json.Unmarshal(raw, &list) == nil && len(list) > 0:
		for i, value := range list {
			collect(out, path+"["+strconv.Itoa(i)+"]", value)
		}
	default:
		out[path] = marks.Replace(string(escapeHidden(raw)))
	}
}

// marks escapes, inside of strings, what words puts around its findings: else a server
// could write a text that looks as if it had been taken out.
var marks = strings.NewReplacer("[-]", `\u005b-\u005d`, "{+}", `\u007b+\u007d`, "[-", `\u005b-`, "-]", `-\u005d`, "{+", `\u007b+`, "+}", `+\u007d`)

// words compares two texts word by word.
func words(before, after string) string {
	a, b := split(before), split(after)
	if len(a) > maxWords || len(b) > maxWords {
		return fmt.Sprintf("[-%s-]{+%s+}", before, after)
	}
	var out, went, came strings.Builder
	flush := func() {
		if went.Len() > 0 {
			fmt.Fprintf(&out, "[-%s-]", went.String())
		}
		if came.Len() > 0 {
			fmt.Fprintf(&out, "{+%s+}", came.String())
		}
		went.Reset()
		came.Reset()
	}
	common := subsequence(a, b)
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			flush()
			out.WriteString(a[i])
			i, j = i+1, j+1
		case j < len(b) && (i == len(a) || common[i][j+1] >= common[i+1][j]):
			came.WriteString(b[j])
			j++
		default:
			went.WriteString(a[i])
			i++
		}
	}
	flush()
	return out.String()
}

// subsequence returns, at [i][j], how many words a[i:] and b[j:] have in common in the
// same order.
func subsequence(a, b []string) [][]int32 {
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := range slices.Backward(a) {
		for j := range slices.Backward(b) {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	return common
}

// split cuts a text behind each space.
func split(text string) []string { return strings.SplitAfter(text, " ") }
