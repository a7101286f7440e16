package redact

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// The same arguments under schemas that mark some of them. A path stands for a value
// that must be withheld, with - before it, or shown.
func TestSchema(t *testing.T) {
	t.Parallel()
	const args = `{"a":{"b":{"c":1},"d":2},"e":[10,20,{"f":3}],"g":4}`
	paths := []string{"/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/0", "/e/1", "/e/2/f", "/g"}
	const all = "-/a -/a/b -/a/b/c -/a/d -/e -/e/0 -/e/1 -/e/2/f -/g"
	const mark = `{"x-sensitive":true}`
	tests := []struct{ name, schema, withheld string }{
		{"nothing marked", `{"type":"object","properties":{"a":{"type":"object"},"password":` + mark + `}}`, ""},
		{"anything goes", `true`, ""},
		{"empty", `{}`, ""},
		{"nothing goes", `false`, ""},
		{"x-sensitive", `{"properties":{"g":{"x-sensitive":true}}}`, "-/g"},
		{"writeOnly", `{"properties":{"g":{"writeOnly":true}}}`, "-/g"},
		{"format", `{"properties":{"g":{"format":"Password"}}}`, "-/g"},
		{"marks switched off", `{"x-sensitive":false,"writeOnly":false,"format":"uri","properties":{"g":{"x-sensitive":null}}}`, ""},
		{"marks that are no booleans", `{"properties":{"a":{"properties":{"d":{"writeOnly":"true"}}},"g":{"x-sensitive":{"level":"high"}}}}`, "-/a -/a/d -/g"},
		{"root", `{"x-sensitive":true}`, all},
		{"above and below", `{"properties":{"a":{"properties":{"b":` + mark + `}}}}`, "-/a -/a/b -/a/b/c"},
		{"not present", `{"properties":{"a":{"properties":{"z":` + mark + `}}}}`, "-/a"},
		{"all items", `{"properties":{"e":{"items":` + mark + `}}}`, "-/e -/e/0 -/e/1 -/e/2/f"},
		{"inside items", `{"properties":{"e":{"items":{"properties":{"f":` + mark + `}}}}}`, "-/e -/e/0 -/e/1 -/e/2/f"},
		{"prefix items", `{"properties":{"e":{"prefixItems":[{},` + mark + `],"items":{}}}}`, "-/e -/e/1"},
		{"items of draft 7", `{"properties":{"e":{"items":[` + mark + `],"additionalItems":{}}}}`, "-/e -/e/0"},
		{"items after the prefix", `{"properties":{"e":{"prefixItems":[{},{}],"items":` + mark + `}}}`, "-/e -/e/2/f"},
		{"additional items", `{"properties":{"e":{"items":[{},{}],"additionalItems":` + mark + `}}}`, "-/e -/e/2/f"},
		{"contains", `{"properties":{"e":{"contains":` + mark + `}}}`, "-/e -/e/0 -/e/1 -/e/2/f"},
		{"additional properties", `{"properties":{"a":{},"e":{}},"additionalProperties":` + mark + `}`, "-/g"},
		{"unevaluated properties", `{"properties":{"a":{},"g":{}},"unevaluatedProperties":{"items":` + mark + `}}`, "-/e -/e/0 -/e/1 -/e/2/f"},
		{"pattern, taken for all", `{"properties":{"a":{"patternProperties":{"^x-":` + mark + `}}}}`, "-/a -/a/b -/a/b/c -/a/d"},
		{"all of", `{"allOf":[{},{"properties":{"g":` + mark + `}}]}`, "-/g"},
		{"one of the alternatives", `{"properties":{"g":{"oneOf":[{"type":"string"},{"anyOf":[{},` + mark + `]}]}}}`, "-/g"},
		{"conditions", `{"if":{},"then":{"properties":{"g":` + mark + `}},"else":{"properties":{"e":` + mark + `}},"not":{"properties":{"a":{"properties":{"d":` + mark + `}}}}}`, "-/a -/a/d -/e -/e/0 -/e/1 -/e/2/f -/g"},
		{"dependent schemas", `{"dependentSchemas":{"a":{"properties":{"g":` + mark + `}}}}`, "-/g"},
		{"dependencies", `{"dependencies":{"a":["g"],"e":{"properties":{"g":` + mark + `}}}}`, "-/g"},
		{"reference", `{"properties":{"g":{"$ref":"#/$defs/s"}},"$defs":{"s":` + mark + `}}`, "-/g"},
		{"reference of draft 7 with siblings", `{"definitions":{"s":{}},"properties":{"g":{"$ref":"#/definitions/s","writeOnly":true}}}`, "-/g"},
		{"chain of references", `{"properties":{"g":{"$ref":"#/$defs/a"}},"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/c"}]},"c":` + mark + `}}`, "-/g"},
		{"reference with escapes", `{"properties":{"g":{"$ref":"#/$defs/a~1b%20c"}},"$defs":{"a/b c":` + mark + `}}`, "-/g"},
		{"reference into a list", `{"properties":{"g":{"$ref":"#/allOf/1"}},"allOf":[{},{"properties":{"x":` + mark + `}}]}`, "-/g"},
		{"reference to an unusual place", `{"properties":{"g":{"$ref":"#/x-things/s"}},"x-things":{"s":` + mark + `}}`, "-/g"},
		{"cycle", `{"properties":{"a":{"$ref":"#"},"b":{"$ref":"#"},"d":` + mark + `}}`, "-/a -/a/b -/a/d"},
		{"reference to itself", `{"$ref":"#","properties":{"g":` + mark + `}}`, "-/g"},
		{"reference to nothing", `{"properties":{"g":{"$ref":"#/$defs/none"}}}`, "-/g"},
		{"reference to a number", `{"properties":{"g":{"$ref":"#/minProperties"}},"minProperties":1}`, "-/g"},
		{"reference beyond a list", `{"properties":{"g":{"$ref":"#/allOf/7"}},"allOf":[{}]}`, "-/g"},
		{"reference elsewhere", `{"properties":{"g":{"$ref":"https://example.com/s.json"}}}`, "-/g"},
		{"anchor", `{"properties":{"g":{"$ref":"#s"}},"$defs":{"s":{"$anchor":"s"}}}`, "-/g"},
		{"dynamic reference", `{"properties":{"g":{"$dynamicRef":"#s"}}}`, "-/g"},
		{"reference that is no text", `{"properties":{"g":{"$ref":1}}}`, "-/g"},
		{"embedded resource", `{"properties":{"g":{"$id":"https://example.com/g"}}}`, "-/g"},
		{"reference into an embedded resource", `{"properties":{"g":{"$ref":"#/$defs/e/properties/x"}},"$defs":{"e":{"$id":"e","properties":{"x":{}}}}}`, "-/g"},
		{"identified root", `{"$id":"https://example.com/root","properties":{"g":{}}}`, ""},
		{"subschema that is none", `{"properties":{"g":5}}`, "-/g"},
		{"properties that are none", `{"properties":[]}`, all},
		{"alternatives that are none", `{"anyOf":{}}`, all},
		{"not JSON", `{"properties":`, all},
		{"name twice", `{"properties":{"g":{"writeOnly":true}},"properties":{}}`, all},
		{"too deep", strings.Repeat(`{"not":`, 70) + `{}` + strings.Repeat(`}`, 70), all},
		{"too long", `{"description":"` + strings.Repeat("x", maxSchema) + `"}`, all},
		{"too many subschemas", `{"allOf":[` + strings.Repeat(`{},`, maxSchemaNodes) + `{}]}`, all},
		{"null", `null`, all},
		{"number", `1`, all},
	}
	p := policy(t, Config{Clear: map[string][]string{"*": paths}})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, redacted, _ := p.Arguments(test.name, json.RawMessage(test.schema), json.RawMessage(args))
			got := ""
			for _, path := range redacted {
				got += " -" + path
			}
			if strings.TrimSpace(got) != strings.TrimSpace(test.withheld) {
				t.Errorf("withheld %s\nwant    %s", got, test.withheld)
			}
		})
	}
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("no") }

// A schema comes in the types that mcp.Tool.InputSchema may have.
func TestSchemaTypes(t *testing.T) {
	t.Parallel()
	secret := &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{"g": {Extra: map[string]any{"x-sensitive": true}}}}
	referred := &jsonschema.Schema{
		Defs:       map[string]*jsonschema.Schema{"s": {WriteOnly: true}},
		Properties: map[string]*jsonschema.Schema{"g": {Items: &jsonschema.Schema{Ref: "#/$defs/s"}}},
	}
	type schema struct {
		Properties map[string]map[string]string `json:"properties"`
	}
	p := policy(t, Config{Clear: map[string][]string{"*": {"/g"}}})
	for name, test := range map[string]struct {
		schema   any
		withheld bool
	}{
		"Schema":            {secret, true},
		"Schema, reference": {referred, true},
		"Schema, plain":     {&jsonschema.Schema{Type: "object"}, false},
		"Schema by value":   {*secret, true},
		"map":               {map[string]any{"properties": map[string]any{"g": map[string]any{"format": "password"}}}, true},
		"map, plain":        {map[string]any{"type": "object"}, false},
		"raw":               {json.RawMessage(`{"properties":{"g":{"writeOnly":true}}}`), true},
		"raw, plain":        {json.RawMessage(`{}`), false},
		"struct":            {schema{map[string]map[string]string{"g": {"format": "password"}}}, true},
		"true":              {true, false},
		"false":             {false, false},
		"nil":               {nil, true},
		"nil Schema":        {(*jsonschema.Schema)(nil), true},
		"nil raw":           {json.RawMessage(nil), true},
		"nil map":           {map[string]any(nil), true},
		"channel":           {make(chan int), true},
		"panics":            {panics{}, true},
		"text":              {`{}`, true},
	} {
		for range 2 { // the second time from the cache
			if shown, redacted, _ := p.Arguments(name, test.schema, json.RawMessage(`{"g":1}`)); len(redacted) == 1 != test.withheld || len(shown) == 1 == test.withheld {
				t.Errorf("%s: got %v %v", name, shown, redacted)
			}
		}
	}
}

// A tool that gets another schema is judged by that one, whichever came first.
func TestSchemaChanges(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Clear: map[string][]string{"*": {"/g"}}})
	marked := []any{
		nil, json.RawMessage(`{"properties":{"g":{"writeOnly":true}}}`), &jsonschema.Schema{WriteOnly: true},
		map[string]any{"writeOnly": true}, json.RawMessage(nil),
	}
	plain := []any{true, json.RawMessage(`{"properties":{"g":{"writeOnly":null}}}`), &jsonschema.Schema{}, map[string]any{}, false}
	for range 2 {
		for i := range marked {
			for k := range plain {
				_, redacted, _ := p.Arguments("tool", marked[i], json.RawMessage(`{"g":1}`))
				shown, _, _ := p.Arguments("tool", plain[k], json.RawMessage(`{"g":1}`))
				if len(redacted) != 1 || len(shown) != 1 {
					t.Errorf("schema %d: %v, schema %d: %v", i, redacted, k, shown)
				}
			}
		}
	}
	raw := json.RawMessage(`{"properties":{"g":{"writeOnly":true }}}`)
	p.Arguments("tool", raw, json.RawMessage(`{"g":1}`))
	copy(raw, `{"properties":{"g":{"writeOnly":false}}}`) // the same memory
	if shown, _, _ := p.Arguments("tool", raw, json.RawMessage(`{"g":1}`)); len(shown) != 1 {
		t.Error("the schema before is remembered")
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	p := policy(t, Config{Clear: map[string][]string{"*": {"/*"}}})
	for i := range 3 * maxCached {
		p.Arguments(strings.Repeat("n", i), true, json.RawMessage(`{"a":1}`))
		if n := len(p.schemas.tools); n == 0 || n > maxCached {
			t.Fatalf("%d tools", n)
		}
	}
	for i := range 3 * maxCachedPaths {
		p.Arguments("tool", true, json.RawMessage(`{"`+string(rune('a'+i%26))+string(rune('a'+i/26))+`":1}`))
	}
	if n := len(p.schemas.tools["tool"].paths); n != maxCachedPaths {
		t.Errorf("%d paths", n)
	}
}
