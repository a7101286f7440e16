package bearer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A rule says what scopes some requests need.
type rule struct {
	method, name string // patterns
	any          bool   // of the name
	scopes       []string
}

// scopes decides what requests need and whether it is there.
type scopes struct {
	rules []rule
	// satisfies maps a scope to those that include it, itself among them.
	satisfies map[string][]string
	all       []string // sorted
	every     string   // what every request needs, for challenges
}

func newScopes(needs, implies map[string][]string) *scopes {
	s := &scopes{satisfies: make(map[string][]string)}
	known := make(map[string]bool)
	for _, pattern := range slices.Sorted(maps.Keys(needs)) {
		method, name, named := strings.Cut(pattern, " ")
		s.rules = append(s.rules, rule{method, name, !named, slices.Clone(needs[pattern])})
		for _, scope := range needs[pattern] {
			known[scope] = true
		}
	}
	s.all = slices.Sorted(maps.Keys(known))
	s.every = strings.Join(needs["*"], " ")
	for granted := range implies {
		known[granted] = true
	}
	for granted := range known {
		for included := range closure(granted, implies) {
			s.satisfies[included] = append(s.satisfies[included], granted)
		}
	}
	return s
}

func closure(scope string, implies map[string][]string) map[string]bool {
	found := map[string]bool{scope: true}
	for todo := []string{scope}; len(todo) > 0; todo = todo[1:] {
		for _, next := range implies[todo[0]] {
			if !found[next] {
				found[next] = true
				todo = append(todo, next)
			}
		}
	}
	return found
}

// missing returns all that a request needs, space separated, if the granted scopes do not
// suffice for it.
func (s *scopes) missing(granted []string, method, name string) (need string, missing bool) {
	for i := range s.rules {
		r := &s.rules[i]
		if !r.covers(method, name) {
			continue
		}
		for _, scope := range r.scopes {
			if !s.has(granted, scope) {
				return s.needs(method, name), true
			}
		}
	}
	return "", false
}

func (s *scopes) has(granted []string, scope string) bool {
	for _, g := range granted {
		if g == scope || slices.Contains(s.satisfies[scope], g) {
			return true
		}
	}
	return false
}

func (s *scopes) needs(method, name string) string {
	var all []string
	for i := range s.rules {
		if !s.rules[i].covers(method, name) {
			continue
		}
		for _, scope := range s.rules[i].scopes {
			if !slices.Contains(all, scope) {
				all = append(all, scope)
			}
		}
	}
	return strings.Join(all, " ")
}

func (r *rule) covers(method, name string) bool {
	return match(r.method, method) && (r.any || match(r.name, name))
}

// match reports whether text fits a pattern in which "*" stands for any letters.
func match(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text, rest = text[at+len(part):], after
	}
}

func checkScopes(needs, implies map[string][]string) (faults []error) {
	check := func(where, scope string) {
		switch {
		case !isScope(scope):
			faults = append(faults, fmt.Errorf("bearer: %s: %q is no scope (RFC 6749, section 3.3)", where, scope))
		case scope == "offline_access":
			faults = append(faults, fmt.Errorf("bearer: %s: offline_access is between a client and its issuer, no resource needs it", where))
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(needs)) {
		method, name, named := strings.Cut(pattern, " ")
		if method == "" || named && name == "" {
			faults = append(faults, fmt.Errorf("bearer: Scopes: %q is neither a method nor a method and a name", pattern))
		}
		for _, scope := range needs[pattern] {
			check("Scopes", scope)
		}
	}
	for _, from := range slices.Sorted(maps.Keys(implies)) {
		check("Implies", from)
		for _, scope := range implies[from] {
			check("Implies", scope)
		}
	}
	return faults
}

// isScope reports whether s is a scope-token of RFC 6749.
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c > '~' {
			return false
		}
	}
	return s != ""
}
