package redact

import (
	"slices"
	"strconv"
)

// A node is a schema or subschema, as far as it says what is secret.
type node struct {
	marked bool // x-sensitive, writeOnly, format: password; or it cannot be read
	deep   bool // marked, or something that it reaches is

	also     []*node          // apply to the same value: allOf, if, $ref …
	members  map[string]*node // properties
	rest     []*node          // apply to the members that properties does not name
	prefix   []*node          // to the first elements of an array, one each
	elements []*node          // to those after them
	every    []*node          // to some members or elements, taken for all
}

// unreadable is the schema of which nothing is known: everything is secret.
var unreadable = &node{marked: true, deep: true}

// secret reports whether the value at a path is marked, or something above or below
// it. Of alternatives, every one counts.
func (n *node) secret(path []segment) bool {
	here := together([]*node{n})
	for _, s := range path {
		var next []*node
		for _, n := range here {
			if n.marked {
				return true
			}
			next = n.step(next, s.name)
		}
		here = together(next)
	}
	return slices.ContainsFunc(here, func(n *node) bool { return n.deep })
}

// step appends the schemas that apply to the member or element of a name.
func (n *node) step(to []*node, name string) []*node {
	if m := n.members[name]; m != nil {
		to = append(to, m)
	} else {
		to = append(to, n.rest...)
	}
	if i, ok := index(name); ok {
		if i < len(n.prefix) {
			to = append(to, n.prefix[i])
		} else {
			to = append(to, n.elements...)
		}
	}
	return append(to, n.every...)
}

// together adds the schemas that apply to the same value.
func together(all []*node) []*node {
	seen := make(map[*node]bool, len(all))
	var out []*node
	for len(all) > 0 {
		n := all[len(all)-1]
		all = all[:len(all)-1]
		if !seen[n] {
			seen[n] = true
			out, all = append(out, n), append(all, n.also...)
		}
	}
	return out
}

// index reads an array index as RFC 6901 has it.
func index(s string) (int, bool) {
	if s == "" || len(s) > 9 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	i, err := strconv.ParseUint(s, 10, 31)
	return int(i), err == nil
}
