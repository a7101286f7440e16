package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Kind is how something differs between two manifests.
type Kind string

// The kinds, in the order in which [Diff] lists them.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// A Change is one difference between two manifests, for a reviewer.
type Change struct {
	// Weaker is set if the new manifest promises less than the old one, or if the change
	// is one that an attacker would make; such changes want a reason.
	Weaker bool
	Kind   Kind
	What   string // "tool read_file", "artifact model", "expires", ...
	Text   string // what happened to it, in words; empty if the kind says all
}

// String returns the change in one line.
func (c Change) String() string {
	s := string(c.Kind) + " " + c.What
	if c.Text != "" {
		s += ": " + c.Text
	}
	if c.Weaker {
		s = "weaker: " + s
	}
	return s
}

// Diff returns what a manifest changes of the one before, in words: what weakens it
// first, then what was added, removed and changed, each sorted. Both are valid manifests.
// That sequence and times rise is no change; that they do not is one.
func Diff(before, after *Manifest) []Change {
	var d differ
	d.head(before, after)
	d.tools(before.Tools, after.Tools)
	for _, kind := range []struct {
		name          string
		before, after []Definition
	}{{"prompt", before.Prompts, after.Prompts}, {"resource", before.Resources, after.Resources}, {"resource template", before.ResourceTemplates, after.ResourceTemplates}} {
		pairs(&d, kind.name, kind.before, kind.after, func(e Definition) string { return e.Name }, func(what string, a, b Definition) {
			d.whenf(a.SHA256 != b.SHA256, false, what, "the definition changed")
		})
	}
	d.executables(before.Executables, after.Executables)
	d.artifacts(before.Artifacts, after.Artifacts)
	d.evidence(before, after)
	slices.SortStableFunc(d.list, func(a, b Change) int {
		rank := func(c Change) int {
			if c.Weaker {
				return 0
			}
			return 1
		}
		order := []Kind{Added, Removed, Changed}
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)),
			cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)),
			cmp.Compare(a.What, b.What),
			cmp.Compare(a.Text, b.Text),
		)
	})
	return d.list
}

type differ struct{ list []Change }

func (d *differ) add(kind Kind, weaker bool, what, text string) {
	d.list = append(d.list, Change{weaker, kind, what, text})
}

// whenf adds a change if there is one.
func (d *differ) whenf(changed, weaker bool, what, format string, args ...any) {
	if changed {
		d.add(Changed, weaker, what, fmt.Sprintf(format, args...))
	}
}

// pairs walks two sorted lists side by side.
func pairs[T any](d *differ, what string, before, after []T, key func(T) string, both func(what string, a, b T)) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && key(before[0]) < key(after[0]):
			d.add(Removed, false, what+" "+shown(key(before[0])), "")
			before = before[1:]
		case len(before) == 0 || key(after[0]) < key(before[0]):
			d.add(Added, false, what+" "+shown(key(after[0])), "")
			after = after[1:]
		default:
			both(what+" "+shown(key(before[0])), before[0], after[0])
			before, after = before[1:], after[1:]
		}
	}
}

func (d *differ) head(before, after *Manifest) {
	d.whenf(before.ServerName != after.ServerName, true, "serverName", "from %s to %s: this is another server", quote(before.ServerName), quote(after.ServerName))
	d.whenf(before.ServerVersion != after.ServerVersion, versionFell(before.ServerVersion, after.ServerVersion), "serverVersion", "from %s to %s", quote(before.ServerVersion), quote(after.ServerVersion))
	d.whenf(after.Sequence <= before.Sequence, true, "sequence", "from %d to %d: it must rise", before.Sequence, after.Sequence)
	d.whenf(after.IssuedAt.Before(before.IssuedAt), true, "issuedAt", "it goes back, from %s to %s", before.IssuedAt.Format(time.RFC3339), after.IssuedAt.Format(time.RFC3339))
	was, is := before.Expires.Sub(before.NotBefore), after.Expires.Sub(after.NotBefore)
	d.whenf(is > was, true, "lifetime", "longer, from %s to %s", was, is)
	d.whenf(is < was, false, "lifetime", "shorter, from %s to %s", was, is)
	d.whenf(before.ServerSHA256 != after.ServerSHA256 && before.ServerName == after.ServerName && before.ServerVersion == after.ServerVersion, false,
		"server", "its title, description, site or icons changed")
	d.whenf(before.InstructionsSHA256 != after.InstructionsSHA256, false, "instructions", "the text changed")
	d.optional("policy", before.PolicySHA256, after.PolicySHA256)
}

// optional compares a digest that may be left out.
func (d *differ) optional(what, before, after string) {
	switch {
	case before == after:
	case after == "":
		d.add(Removed, true, what, "it is no longer pinned")
	case before == "":
		d.add(Added, false, what, "")
	default:
		d.add(Changed, false, what, "the content changed")
	}
}

func (d *differ) tools(before, after []Tool) {
	pairs(d, "tool", before, after, func(t Tool) string { return t.Name }, func(what string, a, b Tool) {
		d.whenf(versionFell(a.Version, b.Version), true, what, "the version went down, from %s to %s", quote(a.Version), quote(b.Version))
		d.whenf(a.Version != b.Version && !versionFell(a.Version, b.Version), false, what, "from version %s to %s", quote(a.Version), quote(b.Version))
		d.whenf(a.SHA256 != b.SHA256, a.Version == b.Version, what, "the definition changed%s", map[bool]string{true: " under the same version"}[a.Version == b.Version])
		for _, name := range a.Artifacts {
			d.whenf(!slices.Contains(b.Artifacts, name), true, what, "it is no longer bound to the artifact %s", shown(name))
		}
		for _, name := range b.Artifacts {
			d.whenf(!slices.Contains(a.Artifacts, name), false, what, "it is bound to the artifact %s", shown(name))
		}
	})
}

// shown returns a name that has been validated, shortened.
func shown(name string) string { return strings.Trim(quote(name), `"`) }
