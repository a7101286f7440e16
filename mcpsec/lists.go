package mcpsec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	purposeCursor = "cursor"
	cursorTTL     = time.Hour
	scopePrivate  = "private"
)

// openCursor replaces the sealed cursor by the SDK's own. The SDK's cursor holds
// the last name of the unfiltered page, readable by anyone, and is decoded with
// encoding/gob from whatever a client sends.
func (f *flight) openCursor(cursor *string) {
	if *cursor == "" {
		return
	}
	var inner string
	if err := f.guard.seal.open(purposeCursor+f.call.Method, f.call.Principal, f.guard.now(), *cursor, &inner); err != nil {
		f.reject(codeBadCursor.Deny("unknown cursor: list again from the start"))
		return
	}
	*cursor = inner
}

func (f *flight) sealCursor(cursor *string) error {
	if *cursor == "" {
		return nil
	}
	sealedCursor, err := f.guard.seal.seal(purposeCursor+f.call.Method, f.call.Principal, f.guard.now().Add(cursorTTL), *cursor)
	*cursor = sealedCursor
	return err
}

// ownCopy returns a copy of a result that controls may change and the SDK may
// write to. Lists point into the server's registry: they are copied item by item,
// without the items the caller may not use, and are never cached for others.
func (f *flight) ownCopy(ctx context.Context, res mcp.Result) (mcp.Result, error) {
	if res != nil && isNil(res) {
		return nil, errNoResult
	}
	switch r := res.(type) {
	case *mcp.CallToolResult:
		if f.entry != nil {
			return r, nil // copied beside the handler
		}
		return settled(r)
	case *mcp.GetPromptResult:
		c := *r
		c.Meta = maps.Clone(r.Meta)
		return &c, nil
	case *mcp.ReadResourceResult:
		c := *r
		c.Meta, c.CacheScope = maps.Clone(r.Meta), scopePrivate
		return &c, nil
	case *mcp.DiscoverResult:
		c := *r
		c.Meta, c.CacheScope = maps.Clone(r.Meta), scopePrivate
		return &c, nil
	case *mcp.ListToolsResult:
		return f.listTools(ctx, r)
	case *mcp.ListPromptsResult:
		c := *r
		c.Meta, c.CacheScope = maps.Clone(r.Meta), scopePrivate
		c.Prompts = filter(r.Prompts, func(p *mcp.Prompt) bool { return f.mayUse(ctx, methodGetPrompt, p.Name) }, copyPrompt)
		return &c, f.sealCursor(&c.NextCursor)
	case *mcp.ListResourcesResult:
		c := *r
		c.Meta, c.CacheScope = maps.Clone(r.Meta), scopePrivate
		c.Resources = filter(r.Resources, func(r *mcp.Resource) bool { return f.mayUse(ctx, methodReadResource, r.URI) }, copyResource)
		return &c, f.sealCursor(&c.NextCursor)
	case *mcp.ListResourceTemplatesResult:
		c := *r
		c.Meta, c.CacheScope = maps.Clone(r.Meta), scopePrivate
		c.ResourceTemplates = filter(r.ResourceTemplates, func(t *mcp.ResourceTemplate) bool {
			return f.mayUse(ctx, methodReadResource, t.URITemplate)
		}, copyTemplate)
		return &c, f.sealCursor(&c.NextCursor)
	}
	return res, nil
}

var errNoResult = errors.New("the handler returned neither a result nor an error")

func (f *flight) listTools(ctx context.Context, r *mcp.ListToolsResult) (mcp.Result, error) {
	c := *r
	c.Meta, c.CacheScope = maps.Clone(r.Meta), scopePrivate
	c.Tools = []*mcp.Tool{}
	for _, t := range r.Tools {
		if !f.mayUse(ctx, methodCallTool, t.Name) {
			continue
		}
		own, err := copyTool(t)
		if err != nil {
			return nil, err
		}
		c.Tools = append(c.Tools, own)
	}
	return &c, f.sealCursor(&c.NextCursor)
}

// mayUse reports whether the caller would be allowed the operation on the item.
func (f *flight) mayUse(ctx context.Context, method, name string) bool {
	probe := &Call{ID: f.call.ID, Method: method, Name: name, Principal: f.call.Principal, Session: f.call.Session, Client: f.call.Client, flight: f}
	if method == methodCallTool {
		if probe.Tool = f.guard.tool(name); probe.Tool == nil {
			return false // appeared after the server was sealed
		}
	}
	return f.guard.visible(ctx, probe)
}

func filter[T any](items []*T, keep func(*T) bool, copyOf func(*T) *T) []*T {
	out := make([]*T, 0, len(items))
	for _, item := range items {
		if keep(item) {
			out = append(out, copyOf(item))
		}
	}
	return out
}

// copyTool copies a definition with everything it points to. Schemas become raw
// JSON, so that no later write to a schema reaches the copy.
func copyTool(t *mcp.Tool) (*mcp.Tool, error) {
	c := *t
	c.Meta, _ = copyMeta(map[string]any(t.Meta), 0).(map[string]any)
	if t.Annotations != nil {
		a := *t.Annotations
		a.DestructiveHint, a.OpenWorldHint = clonePtr(a.DestructiveHint), clonePtr(a.OpenWorldHint)
		c.Annotations = &a
	}
	c.Icons = copyIcons(t.Icons)
	var err error
	if c.InputSchema, err = rawSchema(t.InputSchema); err != nil {
		return nil, fmt.Errorf("tool %q: input schema: %w", t.Name, err)
	}
	if c.OutputSchema, err = rawSchema(t.OutputSchema); err != nil {
		return nil, fmt.Errorf("tool %q: output schema: %w", t.Name, err)
	}
	return &c, nil
}

// copyMeta copies what JSON decodes to, as deep as JSON may be. What lies deeper
// may be a cycle, and a stack that overflows ends the process: it stays shared, as
// do values that only Go code can have put there.
func copyMeta(v any, depth int) any {
	if depth > maxJSONDepth {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return map[string]any(nil)
		}
		c := make(map[string]any, len(v))
		for key, e := range v {
			c[key] = copyMeta(e, depth+1)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = copyMeta(e, depth+1)
		}
		return c
	}
	return v
}

func rawSchema(schema any) (any, error) {
	if schema == nil {
		return nil, nil //nolint:nilnil // no schema stays no schema
	}
	raw, err := json.Marshal(schema)
	return json.RawMessage(raw), err
}

func copyPrompt(p *mcp.Prompt) *mcp.Prompt {
	c := *p
	c.Meta = maps.Clone(p.Meta)
	c.Icons = copyIcons(p.Icons)
	c.Arguments = slices.Clone(p.Arguments)
	for i, a := range c.Arguments {
		c.Arguments[i] = clonePtr(a)
	}
	return &c
}

func copyResource(r *mcp.Resource) *mcp.Resource {
	c := *r
	c.Meta = maps.Clone(r.Meta)
	c.Icons = copyIcons(r.Icons)
	c.Annotations = copyAnnotations(r.Annotations)
	return &c
}

func copyTemplate(t *mcp.ResourceTemplate) *mcp.ResourceTemplate {
	c := *t
	c.Meta = maps.Clone(t.Meta)
	c.Icons = copyIcons(t.Icons)
	c.Annotations = copyAnnotations(t.Annotations)
	return &c
}

func copyIcons(icons []mcp.Icon) []mcp.Icon {
	c := slices.Clone(icons)
	for i := range c {
		c[i].Sizes = slices.Clone(c[i].Sizes)
	}
	return c
}

func copyAnnotations(a *mcp.Annotations) *mcp.Annotations {
	c := clonePtr(a)
	if c != nil {
		c.Audience = slices.Clone(c.Audience)
	}
	return c
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
