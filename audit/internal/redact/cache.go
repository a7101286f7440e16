package redact

import (
	"bytes"
	"encoding/json"
	"reflect"
	"sync"
)

// Bounds of the cache, in tools and in paths of one tool.
const (
	maxCached      = 256
	maxCachedPaths = 128
)

// A cache keeps the compiled schema of each tool.
type cache struct {
	mu    sync.RWMutex
	tools map[string]*compiled
}

// A compiled schema knows what it was made of: a pointer or a map by identity, which
// cannot be given to another while it is held here, raw JSON by content. A schema
// that is changed in place is not compiled again.
type compiled struct {
	source any
	raw    []byte
	root   *node

	mu    sync.RWMutex
	paths map[string]bool // which are secret
}

// of returns the schema of a tool. No schema is an unreadable one: whoever knows that
// there is none passes true, the JSON Schema that takes everything.
func (c *cache) of(tool string, schema any) *compiled {
	c.mu.RLock()
	known := c.tools[tool]
	c.mu.RUnlock()
	if known != nil && known.is(schema) {
		return known
	}
	fresh := &compiled{source: schema, root: unreadable, paths: make(map[string]bool)}
	if schema != nil {
		fresh.root = compile(schema)
	}
	if raw, ok := schema.(json.RawMessage); ok {
		if len(raw) > maxSchema {
			return fresh
		}
		fresh.source, fresh.raw = nil, bytes.Clone(raw)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tools == nil || len(c.tools) >= maxCached {
		c.tools = make(map[string]*compiled)
	}
	c.tools[tool] = fresh
	return fresh
}

func (c *compiled) is(schema any) bool {
	if raw, ok := schema.(json.RawMessage); ok {
		return c.raw != nil && bytes.Equal(c.raw, raw)
	}
	now, then := reflect.ValueOf(schema), reflect.ValueOf(c.source)
	if !now.IsValid() || !then.IsValid() || now.Type() != then.Type() {
		return !now.IsValid() && !then.IsValid() && c.raw == nil
	}
	switch now.Kind() {
	case reflect.Pointer, reflect.Map:
		return now.UnsafePointer() == then.UnsafePointer()
	case reflect.Bool:
		return now.Bool() == then.Bool()
	default:
		return false
	}
}

// secret is node.secret for a path whose JSON pointer is given too.
func (c *compiled) secret(pointer []byte, path []segment) bool {
	c.mu.RLock()
	secret, ok := c.paths[string(pointer)]
	c.mu.RUnlock()
	if ok {
		return secret
	}
	secret = c.root.secret(path)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.paths) < maxCachedPaths {
		c.paths[string(pointer)] = secret
	}
	return secret
}
