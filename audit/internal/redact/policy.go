package redact

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Config says what may stand in the record. The zero value lets no argument through
// and looks for secrets in texts by their form.
type Config struct {
	// Clear chooses argument values that may be shown: tool name, or "*" for every
	// tool, to JSON pointers (RFC 6901). A segment that is "*" stands for every member
	// of an object and every index of an array. The choices for "*" add to those for a
	// tool. At most 64 pointers a tool, of at most 512 bytes and 32 segments.
	Clear map[string][]string
	// Names are further member names whose values are secret, beside the built-in
	// list. A member matches if these words are among the words of its name, whatever
	// their case and what separates them: "card no" matches cardNo and CARD-NO-2. At
	// most 256 names of at most 64 bytes.
	Names []string
	// Held yields the secrets that the process holds at the moment, for example
	// issued credentials. It is called once for each text, by several goroutines at
	// once, and must not call back. What it yields is read during the call only.
	// Secrets of less than 8 bytes are not looked for: they would blank everything.
	Held iter.Seq[[]byte]
}

// Bounds of a configuration.
const (
	maxPointers = 64 // for one tool
	maxPointer  = 512
	maxSegments = 32
	maxNames    = 256
	anyTool     = "*"
)

// A Policy decides what may stand in the record. It is safe for concurrent use.
type Policy struct {
	clear   map[string]*choices // that of anyTool is nil if there is none
	names   names
	schemas cache
	held    iter.Seq[[]byte]
}

// New returns the policy of a configuration, or all that is wrong with it.
func New(cfg Config) (*Policy, error) {
	p := &Policy{clear: make(map[string]*choices, len(cfg.Clear)), held: cfg.Held}
	errs := p.names.add(cfg.Names)
	every, faults := parsePointers(anyTool, cfg.Clear[anyTool])
	errs = append(errs, faults...)
	for _, tool := range slices.Sorted(maps.Keys(cfg.Clear)) {
		pointers := every
		if tool != anyTool {
			own, faults := parsePointers(tool, cfg.Clear[tool])
			pointers, errs = slices.Concat(own, every), append(errs, faults...)
		}
		if tool == "" {
			errs = append(errs, errors.New(`redact.Config.Clear: a tool without a name; "*" stands for every tool`))
		}
		if len(pointers) > maxPointers {
			errs = append(errs, fmt.Errorf("redact.Config.Clear[%q]: %d pointers, with those of \"*\"; the limit is %d", tool, len(pointers), maxPointers))
		}
		p.clear[tool] = choose(pointers)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// parsePointers splits JSON pointers into segments.
func parsePointers(tool string, pointers []string) (all [][]string, errs []error) {
	for _, pointer := range pointers {
		segments, err := parsePointer(pointer)
		if err != nil {
			errs = append(errs, fmt.Errorf("redact.Config.Clear[%q]: the JSON pointer %.64q %w", tool, pointer, err))
			continue
		}
		all = append(all, segments)
	}
	return all, errs
}

func parsePointer(pointer string) ([]string, error) {
	switch {
	case pointer == "":
		return nil, nil
	case pointer[0] != '/':
		return nil, errors.New("does not begin with a slash (RFC 6901)")
	case len(pointer) > maxPointer:
		return nil, fmt.Errorf("is longer than %d bytes", maxPointer)
	case !utf8.ValidString(pointer):
		return nil, errors.New("is not UTF-8")
	}
	segments := strings.Split(pointer[1:], "/")
	if len(segments) > maxSegments {
		return nil, fmt.Errorf("has more than %d segments", maxSegments)
	}
	for i, s := range segments {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(s), "~") {
			return nil, errors.New("has a ~ that is not ~0 or ~1 (RFC 6901)")
		}
		segments[i] = unescapeSegment(s)
	}
	return segments, nil
}

func unescapeSegment(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
}

// appendSegment appends a slash and a segment of a JSON pointer.
func appendSegment(b []byte, s string) []byte {
	b = append(b, '/')
	for i := range len(s) {
		switch s[i] {
		case '~':
			b = append(b, '~', '0')
		case '/':
			b = append(b, '~', '1')
		default:
			b = append(b, s[i])
		}
	}
	return b
}

// choices are the chosen paths of one tool. Those without a wildcard are looked for
// first: a caller picks the names that a wildcard matches, and could otherwise use up
// the bounds before the others have their turn.
type choices struct{ exact, wild *choice }

// A choice is a node of the tree of chosen paths.
type choice struct {
	chosen  bool
	members map[string]*choice
	every   *choice // of the segment "*"
}

func choose(pointers [][]string) *choices {
	if len(pointers) == 0 {
		return nil
	}
	c := &choices{exact: new(choice), wild: new(choice)}
	for _, segments := range pointers {
		n := c.exact
		if slices.Contains(segments, "*") {
			n = c.wild
		}
		for _, s := range segments {
			n = n.child(s)
		}
		n.chosen = true
	}
	return c
}

// child returns the child for a segment of a pointer, a new one if there is none.
func (c *choice) child(segment string) *choice {
	if segment == "*" {
		if c.every == nil {
			c.every = new(choice)
		}
		return c.every
	}
	if c.members == nil {
		c.members = make(map[string]*choice)
	}
	if c.members[segment] == nil {
		c.members[segment] = new(choice)
	}
	return c.members[segment]
}
