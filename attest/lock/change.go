package lock

import (
	"maps"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/internal/printable"
)

// A Change is a difference between what is approved and what a server shows.
type Change struct {
	Server   string
	Kind     Kind
	Name     string      // empty for [Identity]
	Old, New *Definition // Old is nil for what is new, New for what is no longer shown
}

// String says what changed, in a few words and without hidden characters. Names are in
// it as the server chose them.
func (c Change) String() string { return c.describe(quote, word) }

// reason is String for an error, which a host may show to a model: a name in which a
// sentence could stand is left out, because the server wrote it.
func (c Change) reason() string {
	return c.describe(func(name string) string {
		if !plain(name) {
			return "with an unusual name"
		}
		return quote(name)
	}, func(member string) string {
		if word(member) != member {
			return "a member with an unusual name"
		}
		return member
	})
}

func (c Change) describe(name, member func(string) string) string {
	what := "what it says of itself"
	if c.Kind != Identity {
		what = c.Kind.Name + " " + name(c.Name)
	}
	switch {
	case c.Old == nil:
		return what + " is new"
	case c.New == nil:
		return what + " is no longer shown"
	}
	var names []string
	for _, m := range c.members() {
		names = append(names, member(m))
	}
	return what + " changed: " + strings.Join(names, ", ")
}

// plain reports whether a name is one word of ASCII.
func plain(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// maxMembers bounds how many members a description names.
const maxMembers = 8

// members names the members at the top that differ.
func (c Change) members() []string {
	before, _ := object(c.Old.Text) // both were read before
	after, _ := object(c.New.Text)
	differ := make(map[string]bool)
	for name, value := range before {
		differ[name] = string(after[name]) != string(value)
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			differ[name] = true
		}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(differ)) {
		if differ[name] && len(names) < maxMembers {
			names = append(names, name)
		}
	}
	return names
}

// compare returns the differences, sorted. What a server no longer shows is among them
// for the kinds that it shows.
func compare(name string, approved, seen *Server) []Change {
	var changes []Change
	if seen == nil {
		return nil
	}
	add := func(k Kind, key string, before, after *Definition) {
		if before == nil || after == nil || before.SHA256 != after.SHA256 {
			changes = append(changes, Change{Server: name, Kind: k, Name: key, Old: before, New: after})
		}
	}
	if seen.Identity != nil {
		add(Identity, "", approved.get(Identity, ""), seen.Identity)
	}
	for _, k := range kinds {
		list := *seen.list(k)
		keys := make(map[string]bool)
		for key := range list {
			keys[key] = true
		}
		if approved != nil && list != nil {
			for key := range *approved.list(k) {
				keys[key] = true
			}
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			add(k, key, approved.get(k, key), list[key])
		}
	}
	return changes
}

// quote writes a name that strangers chose, not too much of it.
func quote(name string) string {
	if len(name) > 100 {
		name = name[:100] + "..."
	}
	return string(printable.AppendString(nil, name))
}

// word writes the name of a member, in quotes unless it is an ordinary one.
func word(name string) string {
	if !ordinary(name) {
		return quote(name)
	}
	return name
}

// ordinary reports whether the name of a member can stand without quotes.
func ordinary(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return name != "" && len(name) <= 40
}
