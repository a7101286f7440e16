package mcpsec

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/yosida95/uritemplate/v3"
)

// A catalog is what a server can be asked to read, as it was last seen. The SDK compiles
// every template again for each read that names no listed resource, under a lock of the
// whole server: whoever asks for what nothing can produce must not get that far. The zero
// value has seen nothing.
type catalog struct {
	mu        sync.Mutex
	listed    map[string]bool // URIs
	templates []*mcp.ResourceTemplate
	compiled  map[string]*regexp.Regexp // by a template's text; nil matches nothing
}

// holds reports whether a URI is listed or a template can produce it.
func (c *catalog) holds(uri string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listed[uri] || c.match(c.templates, uri)
}

// produces reports whether one of the templates can produce a URI.
func (c *catalog) produces(templates []*mcp.ResourceTemplate, uri string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.match(templates, uri)
}

// match compiles what was not compiled before. The lock is held.
func (c *catalog) match(templates []*mcp.ResourceTemplate, uri string) bool {
	return slices.ContainsFunc(templates, func(t *mcp.ResourceTemplate) bool {
		compiled, ok := c.compiled[t.URITemplate]
		if !ok {
			if c.compiled == nil {
				c.compiled = make(map[string]*regexp.Regexp)
			}
			compiled = compileTemplate(t.URITemplate)
			c.compiled[t.URITemplate] = compiled
		}
		return compiled != nil && compiled.MatchString(uri)
	})
}

// learn takes what a server lists now in the place of what it listed before.
func (c *catalog) learn(resources []*mcp.Resource, templates []*mcp.ResourceTemplate) {
	listed := make(map[string]bool, len(resources))
	for _, r := range resources {
		listed[r.URI] = true
	}
	kept := make(map[string]bool, len(templates))
	for _, t := range templates {
		kept[t.URITemplate] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed, c.templates = listed, templates
	maps.DeleteFunc(c.compiled, func(text string, _ *regexp.Regexp) bool { return !kept[text] })
}

// compileTemplate reads a template as the SDK does, which matches nothing with one that
// it cannot read.
func compileTemplate(text string) *regexp.Regexp {
	t, err := uritemplate.New(text)
	if err != nil {
		return nil
	}
	return t.Regexp()
}

// canRead reports whether what lies inside the guard can have an answer to a read. What is
// not in the catalog is looked for in the lists of this moment. A server without templates
// finds out for itself, at no cost.
func (f *flight) canRead(ctx context.Context, uri string) (bool, error) {
	c := &f.guard.catalog
	if c.holds(uri) {
		return true, nil
	}
	ss, ok := f.req.GetSession().(*mcp.ServerSession)
	if !ok {
		return true, nil
	}
	templates, err := listTemplates(ctx, f.next, ss)
	if err != nil || len(templates) == 0 {
		return true, err
	}
	resources, err := listResources(ctx, f.next, ss)
	if err != nil {
		return false, err
	}
	c.learn(resources, templates)
	return c.holds(uri), nil
}
