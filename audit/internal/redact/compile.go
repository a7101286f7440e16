package redact

import (
	"encoding/json"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Bounds of a schema; one beyond them is unreadable.
const (
	maxSchema      = 256 << 10 // bytes
	maxSchemaNodes = 20_000
)

// compile reads a tool's input schema: a *jsonschema.Schema, a map, raw JSON, or
// whatever else encodes as a JSON Schema. It never fails: what it cannot read is
// marked as secret.
func compile(schema any) (root *node) {
	defer func() {
		if recover() != nil { // a MarshalJSON of somebody else's
			root = unreadable
		}
	}()
	data, err := json.Marshal(schema)
	if err != nil || len(data) > maxSchema || mcpsec.CheckJSON(data) != nil {
		return unreadable
	}
	c := compiler{known: make(map[string]*node), reached: make(map[*node][]*node)}
	if json.Unmarshal(data, &c.document) != nil {
		return unreadable
	}
	root = c.node(c.document, "")
	for len(c.refs) > 0 {
		r := c.refs[0]
		c.refs = c.refs[1:]
		c.link(&r.from.also, r.from, c.resolve(r.to))
	}
	if c.count > maxSchemaNodes {
		return unreadable
	}
	c.spread()
	return root
}

type compiler struct {
	document any
	count    int
	known    map[string]*node // by JSON pointer
	refs     []ref
	marked   []*node
	reached  map[*node][]*node // from which nodes
}

type ref struct {
	from *node
	to   string
}

// node compiles the subschema v, which stands at a JSON pointer. Nesting is bounded
// by mcpsec.CheckJSON.
func (c *compiler) node(v any, at string) *node {
	if n := c.known[at]; n != nil {
		return n
	}
	n := new(node)
	c.known[at] = n
	if c.count++; c.count > maxSchemaNodes {
		return c.mark(n)
	}
	object, ok := v.(map[string]any)
	if !ok {
		if _, ok := v.(bool); !ok {
			c.mark(n)
		}
		return n
	}
	// An embedded resource has references of its own base: they are not followed.
	_, embedded := object["$id"].(string)
	if says(object) || embedded && at != "" {
		c.mark(n)
	}
	for _, keyword := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
		if v, ok := object[keyword]; ok {
			to, _ := v.(string)
			c.refs = append(c.refs, ref{n, to})
		}
	}
	for keyword, v := range object {
		c.keyword(n, keyword, v, at)
	}
	return n
}

// keyword compiles one keyword that applies subschemas. Older drafts' keywords and
// those of 2020-12 are taken together.
func (c *compiler) keyword(n *node, keyword string, v any, at string) {
	at = string(appendSegment([]byte(at), keyword))
	switch keyword {
	case "allOf", "anyOf", "oneOf":
		c.list(n, &n.also, v, at)
	case "not", "if", "then", "else", "contentSchema":
		c.link(&n.also, n, c.node(v, at))
	case "dependencies": // of draft 7; those that are lists of names say nothing here
		object, _ := v.(map[string]any)
		maps.DeleteFunc(object, func(_ string, v any) bool { _, names := v.([]any); return names })
		c.table(n, &n.also, v, at)
	case "dependentSchemas":
		c.table(n, &n.also, v, at)
	case "properties":
		object, ok := v.(map[string]any)
		if !ok {
			c.mark(n)
		}
		n.members = make(map[string]*node, len(object))
		for name, v := range object {
			m := c.node(v, string(appendSegment([]byte(at), name)))
			n.members[name], c.reached[m] = m, append(c.reached[m], n)
		}
	case "patternProperties":
		c.table(n, &n.every, v, at)
	case "contains", "propertyNames":
		c.link(&n.every, n, c.node(v, at))
	case "additionalProperties", "unevaluatedProperties":
		c.link(&n.rest, n, c.node(v, at))
	case "prefixItems":
		c.list(n, &n.prefix, v, at)
	case "items":
		if _, ok := v.([]any); ok {
			c.list(n, &n.prefix, v, at)
			return
		}
		c.link(&n.elements, n, c.node(v, at))
	case "additionalItems", "unevaluatedItems":
		c.link(&n.elements, n, c.node(v, at))
	}
}

func (c *compiler) list(n *node, to *[]*node, v any, at string) {
	list, ok := v.([]any)
	if !ok {
		c.mark(n)
	}
	for i, v := range list {
		c.link(to, n, c.node(v, at+"/"+strconv.Itoa(i)))
	}
}

func (c *compiler) table(n *node, to *[]*node, v any, at string) {
	object, ok := v.(map[string]any)
	if !ok {
		c.mark(n)
	}
	for name, v := range object {
		c.link(to, n, c.node(v, string(appendSegment([]byte(at), name))))
	}
}

func (c *compiler) link(list *[]*node, from, to *node) {
	*list = append(*list, to)
	c.reached[to] = append(c.reached[to], from)
}

func (c *compiler) mark(n *node) *node {
	if !n.marked {
		n.marked = true
		c.marked = append(c.marked, n)
	}
	return n
}

// resolve returns the subschema that a reference means. One that leaves the document,
// an anchor, or one that leads nowhere is marked as secret.
func (c *compiler) resolve(to string) *node {
	fragment, local := strings.CutPrefix(to, "#")
	pointer, err := url.PathUnescape(fragment)
	if !local || err != nil || pointer != "" && pointer[0] != '/' {
		return c.mark(new(node))
	}
	v, at := c.document, ""
	for segment := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		segment = unescapeSegment(segment)
		at = string(appendSegment([]byte(at), segment))
		switch parent := v.(type) {
		case map[string]any:
			v = parent[segment]
		case []any:
			i, ok := index(segment)
			if !ok || i >= len(parent) {
				return c.mark(new(node))
			}
			v = parent[i]
		default:
			return c.mark(new(node))
		}
		if object, ok := v.(map[string]any); ok && object["$id"] != nil {
			return c.mark(new(node))
		}
	}
	return c.node(v, at)
}

// spread sets deep in every node that reaches a marked one.
func (c *compiler) spread() {
	for len(c.marked) > 0 {
		n := c.marked[len(c.marked)-1]
		c.marked = c.marked[:len(c.marked)-1]
		if !n.deep {
			n.deep = true
			c.marked = append(c.marked, c.reached[n]...)
		}
	}
}

// says reports whether a schema object marks its own value as secret.
func says(object map[string]any) bool {
	on := func(v any) bool {
		b, ok := v.(bool)
		return v != nil && (b || !ok)
	}
	format, _ := object["format"].(string)
	return on(object["x-sensitive"]) || on(object["writeOnly"]) || strings.EqualFold(format, "password")
}
