package attest

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/manifest"
)

// items are the attested prompts, resources or resource templates of a server, by name or
// URI: a closed set.
type items map[string]*sealedItem

// A sealedItem is one attested definition.
type sealedItem struct {
	kind, name string
	live       any // the SDK's own: what the next list will send
	now        [sha256.Size]byte
	digest     string
	wire       tripwire
}

// An item is a live definition and what it is called.
type item struct {
	name string
	live any
}

func promptItems(list []*mcp.Prompt) []item {
	return itemsOf(list, func(p *mcp.Prompt) string { return p.Name })
}

func resourceItems(list []*mcp.Resource) []item {
	return itemsOf(list, func(r *mcp.Resource) string { return r.URI })
}

func templateItems(list []*mcp.ResourceTemplate) []item {
	return itemsOf(list, func(t *mcp.ResourceTemplate) string { return t.URITemplate })
}

func itemsOf[T any](list []*T, name func(*T) string) []item {
	out := make([]item, len(list))
	for i, e := range list {
		if e != nil {
			out[i] = item{name(e), e}
		}
	}
	return out
}

// sealItems compares the two sets and every definition in both.
func sealItems(kind string, pins []manifest.Definition, offered []item) (s items, faults []error) {
	s = make(items, len(offered))
	for _, o := range offered {
		i := slices.IndexFunc(pins, func(d manifest.Definition) bool { return d.Name == o.name })
		if i < 0 {
			faults = append(faults, fmt.Errorf("%s %q is extra: it is not in the manifest", kind, o.name))
			continue
		}
		e := &sealedItem{kind: kind, name: o.name, live: o.live}
		wire, err := marshal(o.live)
		if err == nil {
			e.now = sha256.Sum256(wire)
			e.digest, err = DigestJSON(wire)
		}
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%s %q cannot be attested: %w", kind, o.name, err))
		case e.digest != pins[i].SHA256:
			faults = append(faults, fmt.Errorf("%s %q changed: expected sha256:%s, found sha256:%s", kind, o.name, pins[i].SHA256, e.digest))
		}
		s[o.name] = e
	}
	for _, pin := range pins {
		if s[pin.Name] == nil {
			faults = append(faults, fmt.Errorf("%s %q is missing: the manifest has it and the server does not", kind, pin.Name))
		}
	}
	return s, faults
}

// check compares a definition, live or on its way out, with the attested one.
func (e *sealedItem) check(v any) *finding {
	wire, err := marshal(v)
	if got := sha256.Sum256(wire); err == nil && subtle.ConstantTimeCompare(got[:], e.now[:]) == 1 {
		return e.wire.tripped()
	}
	actual := "what has no digest"
	if err == nil {
		if digest, err := DigestJSON(wire); err == nil {
			actual = digestPrefix + digest
		}
	}
	return e.wire.trip(codeMismatch, "this definition is not the reviewed one",
		fmt.Sprintf("%s %q: expected %s%s, found %s", e.kind, e.name, digestPrefix, e.digest, actual))
}

// named checks the live definition before it is used.
func (s items) named(name string) *finding {
	e := s[name]
	if e == nil {
		return &finding{code: codeNotOffered, reason: "not offered"}
	}
	return e.check(e.live)
}

// checkItems checks every definition that goes out and every live one.
func checkItems[T any](s items, list []*T, name func(*T) string) *finding {
	for _, v := range list {
		if v == nil || s[name(v)] == nil {
			return &finding{code: codeNotSealed, reason: "the list has an entry that cannot be attested"}
		}
		if f := s[name(v)].check(v); f != nil {
			return listFinding(f)
		}
	}
	for _, e := range s {
		if f := e.check(e.live); f != nil {
			return listFinding(f)
		}
	}
	return nil
}

// resource looks at a resource before it is read or subscribed to: an attested one, or one
// that an attested template can produce, as far as the template's literal beginning says.
func (s *seal) resource(uri string) *finding {
	if s.resources[uri] != nil {
		return s.resources.named(uri)
	}
	found := &finding{code: codeNotOffered, reason: "not offered"}
	for template, e := range s.templates { // all of them: which one the SDK takes is its own business
		literal, _, _ := strings.Cut(template, "{")
		if !strings.HasPrefix(uri, literal) {
			continue
		}
		if found = e.check(e.live); found != nil {
			return found
		}
	}
	return found
}
