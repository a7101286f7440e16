package redact

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what is shown of one call's arguments, in entries and bytes.
const (
	maxValues   = 32 // and as many redacted paths
	maxValue    = 512
	maxTotal    = 4 << 10  // of paths and values
	maxSearched = 64 << 10 // of chosen values, shown or not
	minSearched = 256      // is what a short one counts
	maxLong     = 16 << 10 // a longer one is not searched and does not count
	maxWildName = 64       // of a name that a wildcard has matched
	ellipsis    = "…"
)

// A Value is one argument in clear.
type Value struct {
	Path string // JSON pointer (RFC 6901)
	// JSON is the value's JSON text without white space, as received otherwise. If it
	// is longer than 512 bytes, it is cut and ends in "…".
	JSON string
}

// Arguments returns the chosen values among a call's arguments, sorted by their
// paths: those that may be shown, and the paths of those that must not. A chosen
// value is withheld if
//
//   - the tool's input schema marks it, something above or something inside it with
//     x-sensitive: true, writeOnly: true or format: "password", or cannot be read;
//   - a member name on the way to it or inside it is secret;
//   - something in it has the form of a secret, or is one that the process holds;
//   - it is longer than 16 KiB, or has no room among the 64 KiB that are searched.
//
// At most 32 values and 4 KiB are shown, and at most 32 paths are listed as redacted;
// cut says that something is missing or incomplete. A member name that a wildcard has
// matched is listed as "*" if it is long or has the form of a secret itself.
//
// Tool is the name under which Config.Clear has it. Schema is its input schema as
// [github.com/modelcontextprotocol/go-sdk/mcp.Tool] has it; nil is unreadable. raw has
// passed mcpsec.CheckJSON; of anything else a broken part is redacted or missing.
//
// For a tool without chosen paths it does nothing and allocates nothing.
func (p *Policy) Arguments(tool string, schema any, raw json.RawMessage) (shown []Value, redacted []string, cut bool) {
	chosen, ok := p.clear[tool]
	if !ok {
		chosen = p.clear[anyTool]
	}
	if chosen == nil || len(raw) == 0 {
		return nil, nil, false
	}
	c := collector{policy: p, schema: p.schemas.of(tool, schema), raw: raw}
	start := skipSpace(raw, 0)
	c.value(start, []*choice{chosen.exact})
	c.wild = true
	c.value(start, []*choice{chosen.wild})
	slices.SortFunc(c.clear, func(a, b Value) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(c.redacted)
	return c.clear, c.redacted, c.cut
}

// A collector walks once through the arguments, along the tree of choices.
type collector struct {
	policy *Policy
	schema *compiled
	raw    []byte

	wild     bool      // the paths looked for have wildcards
	path     []segment // of the value at hand
	searched int
	total    int
	clear    []Value
	redacted []string
	cut      bool
}

// A segment is one step of a path.
type segment struct {
	name   string
	member bool // not an array index
	wild   bool // matched by a wildcard only
}

// value visits the value that begins at i, for which some choices may stand, and
// returns its end.
func (c *collector) value(i int, at []*choice) (end int) {
	end = -1
	inside := false
	for _, n := range at {
		inside = inside || n.every != nil || n.members != nil
		if n.chosen && end < 0 {
			end = skipValue(c.raw, i)
			c.take(bytes.TrimSpace(c.raw[i:end]))
		}
	}
	if inside && i < len(c.raw) && (c.raw[i] == '{' || c.raw[i] == '[') {
		return c.entries(i, at)
	}
	if end < 0 {
		end = skipValue(c.raw, i)
	}
	return end
}

// entries visits the members or elements of the container that begins at i.
func (c *collector) entries(i int, at []*choice) (end int) {
	object := c.raw[i] == '{'
	i = skipSpace(c.raw, i+1)
	for n := 0; i < len(c.raw) && c.raw[i] != '}' && c.raw[i] != ']'; n++ {
		var room [20]byte
		name := strconv.AppendInt(room[:0], int64(n), 10)
		if object {
			if c.raw[i] != '"' {
				return len(c.raw)
			}
			after := skipString(c.raw, i)
			name = unquote(c.raw[i:after])
			if i = skipSpace(c.raw, after); i < len(c.raw) && c.raw[i] == ':' {
				i = skipSpace(c.raw, i+1)
			}
		}
		if s, next := c.step(at, name, object); len(next) > 0 && !c.full() {
			c.path = append(c.path, s)
			i = c.value(i, next)
			c.path = c.path[:len(c.path)-1]
		} else {
			i = skipValue(c.raw, i)
		}
		i = skipSpace(c.raw, i)
		switch {
		case i == len(c.raw):
		case c.raw[i] == ',':
			i = skipSpace(c.raw, i+1)
		case c.raw[i] != '}' && c.raw[i] != ']':
			return len(c.raw)
		}
	}
	return min(i+1, len(c.raw))
}

// step returns the choices for a member or element.
func (c *collector) step(at []*choice, name []byte, member bool) (s segment, next []*choice) {
	s = segment{member: member, wild: true}
	for _, n := range at {
		if m := n.members[string(name)]; m != nil {
			next, s.wild = append(next, m), false
		}
		if n.every != nil {
			next = append(next, n.every)
		}
	}
	if len(next) > 0 {
		s.name = string(name)
	}
	return s, next
}

// full reports whether nothing more can be listed of what wildcards match, and
// remembers that something was left out.
func (c *collector) full() bool {
	full := c.wild && (c.searched >= maxSearched || len(c.redacted) >= maxValues && len(c.clear) >= maxValues)
	c.cut = c.cut || full
	return full
}

// take lists the value at the current path.
func (c *collector) take(text []byte) {
	pointer, hidden := c.pointer()
	known := func(v Value) bool { return v.Path == string(pointer) }
	if slices.Contains(c.redacted, string(pointer)) || slices.ContainsFunc(c.clear, known) {
		return
	}
	shown, ok := compact(text)
	if !ok || hidden || c.secret(pointer, text) {
		if len(c.redacted) >= maxValues || c.total+len(pointer) > 2*maxTotal {
			c.cut = true
			return
		}
		c.total += len(pointer)
		c.redacted = append(c.redacted, string(pointer))
		return
	}
	if len(shown) > maxValue {
		shown, c.cut = shown[:runeStart(shown, maxValue-len(ellipsis))]+ellipsis, true
	}
	if len(c.clear) >= maxValues || c.total+len(pointer)+len(shown) > maxTotal {
		c.cut = true
		return
	}
	c.total += len(pointer) + len(shown)
	c.clear = append(c.clear, Value{Path: string(pointer), JSON: shown})
}

// pointer returns the current path as a JSON pointer, and whether a name in it had to
// be hidden.
func (c *collector) pointer() (pointer []byte, hidden bool) {
	for _, s := range c.path {
		name := s.name
		if s.wild && s.member && (len(name) > maxWildName || c.policy.found(name)) {
			name, hidden = "*", true
		}
		pointer = appendSegment(pointer, name)
	}
	return pointer, hidden
}

func (c *collector) secret(pointer, text []byte) bool {
	if len(text) <= maxLong {
		c.searched += max(len(text), minSearched)
	}
	if len(text) > maxLong || c.searched > maxSearched {
		c.cut = true
		return true
	}
	for _, s := range c.path {
		if s.member && c.policy.names.secret(s.name) {
			return true
		}
	}
	return c.schema.secret(pointer, c.path) || c.policy.holds(text)
}

// compact returns a JSON text without white space.
func compact(text []byte) (string, bool) {
	var b bytes.Buffer
	if len(text) > maxLong { // it will not be shown
		return "", true
	}
	err := json.Compact(&b, text)
	return b.String(), err == nil
}

// runeStart returns the last index up to i at which a rune starts.
func runeStart(s string, i int) int {
	for back := 0; back < utf8.UTFMax && i > 0 && !utf8.RuneStart(s[i]); back++ {
		i--
	}
	return i
}
