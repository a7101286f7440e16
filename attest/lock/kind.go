package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mcpsec/mcpsec-go/attest/internal/tooldef"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Kind is a kind of definition.
type Kind struct {
	Name   string // for people: "tool"
	method string // that lists it
	member string // of the list's result
	key    string // the member that names a definition
}

// The kinds. [Identity] is what the server says of itself; it is not in a list.
var (
	Identity         = Kind{Name: "server"}
	Tool             = Kind{"tool", "tools/list", "tools", "name"}
	Prompt           = Kind{"prompt", "prompts/list", "prompts", "name"}
	Resource         = Kind{"resource", "resources/list", "resources", "uri"}
	ResourceTemplate = Kind{"resource-template", "resources/templates/list", "resourceTemplates", "uriTemplate"}
)

var kinds = []Kind{Tool, Prompt, Resource, ResourceTemplate}

// String returns the name of the kind.
func (k Kind) String() string { return k.Name }

// list returns where a server keeps the kind.
func (s *Server) list(k Kind) *map[string]*Definition {
	switch k {
	case Prompt:
		return &s.Prompts
	case Resource:
		return &s.Resources
	case ResourceTemplate:
		return &s.ResourceTemplates
	default:
		return &s.Tools
	}
}

// get returns a definition, or nil.
func (s *Server) get(k Kind, name string) *Definition {
	switch {
	case s == nil:
		return nil
	case k == Identity:
		return s.Identity
	}
	return (*s.list(k))[name]
}

// put adds or replaces a definition, unless there would be too many.
func (s *Server) put(k Kind, name string, d *Definition) error {
	if k == Identity {
		s.Identity = d
		return nil
	}
	list := s.list(k)
	if *list == nil {
		*list = make(map[string]*Definition)
	}
	if (*list)[name] == nil && len(*list) >= MaxDefinitions {
		return fmt.Errorf("more than %d definitions of kind %s", MaxDefinitions, k)
	}
	(*list)[name] = d
	return nil
}

// remove takes a definition out.
func (s *Server) remove(k Kind, name string) {
	if k == Identity {
		s.Identity = nil
	} else {
		delete(*s.list(k), name)
	}
}

// A shown definition is one as the server sent it.
type shown struct {
	name   string
	text   []byte // canonical
	sha256 string
}

// A page is one answer to a list request.
type page struct {
	cursor, next string // of the request, and for the page after; empty at the ends
	shown        []shown
}

// read takes the definitions out of the result of a list. The last result is false if
// the server wants input first and so has shown nothing.
func (k Kind) read(result []byte) (p page, complete bool, err error) {
	members, err := object(result, k.member, "nextCursor", "resultType")
	if err != nil {
		return p, false, err
	}
	raw, ok := members[k.member]
	if !ok {
		if string(members["resultType"]) == `"input_required"` {
			return p, false, nil
		}
		return p, false, fmt.Errorf("the result has no member %q", k.member)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return p, false, fmt.Errorf("%q is no list", k.member)
	}
	if len(list) > MaxDefinitions {
		return p, false, fmt.Errorf("more than %d definitions on a page", MaxDefinitions)
	}
	if next, ok := members["nextCursor"]; ok {
		if err := json.Unmarshal(next, &p.next); err != nil {
			return p, false, errors.New("nextCursor is no string")
		}
	}
	names := make(map[string]bool, len(list))
	for i, wire := range list {
		d, err := k.show(wire)
		if err != nil {
			return p, false, fmt.Errorf("%s %d of the page: %w", k, i+1, err)
		}
		if names[d.name] {
			return p, false, fmt.Errorf("%s %d of the page has the name of another", k, i+1)
		}
		names[d.name] = true
		p.shown = append(p.shown, d)
	}
	return p, true, nil
}

// show reads one definition.
func (k Kind) show(wire []byte) (d shown, err error) {
	if d.text, err = tooldef.Canonical(wire); err != nil {
		return d, err
	}
	d.sha256 = digestText(d.text)
	d.name, err = k.nameOf(d.text)
	return d, err
}

// digestText returns the digest tooldef/1 of a text that is in canonical form.
func digestText(canonical []byte) string {
	hash := sha256.Sum256(canonical)
	return hex.EncodeToString(hash[:])
}

// nameOf returns the name of a definition.
func (k Kind) nameOf(text []byte) (string, error) {
	members, err := object(text, k.key)
	if err != nil {
		return "", err
	}
	var name string
	if err := json.Unmarshal(members[k.key], &name); err != nil || name == "" || len(name) > maxName {
		return "", fmt.Errorf("%s is no string of 1 to %d bytes", k.key, maxName)
	}
	return name, nil
}

// object reads the members of a JSON object. It refuses members whose names differ
// from the given ones in case only: some decoder would take the one for the other.
func object(raw []byte, names ...string) (map[string]json.RawMessage, error) {
	if err := mcpsec.CheckJSON(raw); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, errors.New("no JSON object")
	}
	for member := range members {
		for _, name := range names {
			if member != name && strings.EqualFold(member, name) {
				return nil, fmt.Errorf("a member that differs from %q in its case only", name)
			}
		}
	}
	return members, nil
}
