package attest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestDigestIsThatOfTheWire: a tool and the bytes a client gets share a digest.
func TestDigestIsThatOfTheWire(t *testing.T) {
	for name, tool := range map[string]*mcp.Tool{
		"raw schema":   {Name: "t", InputSchema: json.RawMessage(` {"type" : "object", "a":"<&>\u2028" } `)},
		"map schema":   {Name: "t", InputSchema: map[string]any{"type": "object", "n": 1.50}},
		"annotations":  {Name: "t", InputSchema: map[string]any{}, Annotations: &mcp.ToolAnnotations{}},
		"bad UTF-8":    {Name: "t", Description: "\xff", InputSchema: map[string]any{}},
		"empty extras": {Name: "t", InputSchema: map[string]any{}, Icons: []mcp.Icon{}, Meta: mcp.Meta{}},
	} {
		t.Run(name, func(t *testing.T) {
			wire, err := json.Marshal(mcp.ListToolsResult{Tools: []*mcp.Tool{tool}})
			if err != nil {
				t.Fatal(err)
			}
			var list struct {
				Tools []json.RawMessage `json:"tools"`
			}
			if err := json.Unmarshal(wire, &list); err != nil {
				t.Fatal(err)
			}
			a, errA := Digest(tool)
			b, errB := DigestJSON(list.Tools[0])
			if a != b || errA != nil || errB != nil || len(a) != 64 {
				t.Errorf("%q, %v; %q, %v", a, errA, b, errB)
			}
		})
	}
}

func TestDigestTellsApart(t *testing.T) {
	seen := map[string]string{}
	for _, wire := range []string{
		`{"name":"t"}`, `{"name":"T"}`, `{"name":"t","title":""}`, `{"name":"t","title":null}`, `{"name":"t","annotations":{}}`,
		`{"name":"t","annotations":{"readOnlyHint":false}}`, `{"name":"t","x":[1,2]}`, `{"name":"t","x":[2,1]}`, `{"name":"t","x":"1"}`,
		`{"name":"t","x":1}`, `{"name":"t","x":"\u00e9"}`, `{"name":"t","x":"e\u0301"}`, // no normalization
	} {
		d, err := DigestJSON([]byte(wire))
		if err != nil {
			t.Errorf("%s: %v", wire, err)
		}
		if twin, ok := seen[d]; ok {
			t.Errorf("%s and %s share a digest", wire, twin)
		}
		seen[d] = wire
	}
}

func TestDigestRefuses(t *testing.T) {
	for attack, wire := range map[string]string{
		"duplicate member":          `{"name":"a","name":"b"}`,
		"duplicate, escaped":        `{"name":"a","n\u0061me":"b"}`,
		"invalid UTF-8":             "{\"name\":\"\xff\"}",
		"lone surrogate":            `{"name":"\ud800"}`,
		"depth bomb":                `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"too large":                 `{"a":"` + strings.Repeat("x", MaxDefinition) + `"}`,
		"trailing bytes":            `{}{}`,
		"not an object":             `["name"]`,
		"null":                      `null`,
		"empty":                     ``,
		"integer beyond 2^53":       `{"n":9007199254740993}`,
		"largest int64":             `{"n":9223372036854775807}`,
		"2^63":                      `{"n":9223372036854775808}`,
		"negative beyond 2^53":      `{"n":-9007199254740993}`,
		"overflow":                  `{"n":1e400}`,
		"negative overflow":         `{"n":-1e400}`,
		"underflow":                 `{"n":1e-400}`,
		"minus zero":                `{"n":-0}`,
		"minus zero, as a fraction": `{"n":-0.0}`,
		"minus zero, as a power":    `{"n":-0e5}`,
		"too many digits":           `{"n":0.30000000000000001}`,
		"after an escaped quote":    `{"a":"\\\"","n":1e400}`,
		"in an array":               `{"n":[1,2,1e999]}`,
	} {
		if d, err := DigestJSON([]byte(wire)); err == nil {
			t.Errorf("%s: digest %s", attack, d)
		}
	}
	if _, err := Digest(nil); err == nil {
		t.Error("nil tool")
	}
	if _, err := Digest(&mcp.Tool{Name: "t", InputSchema: func() {}}); err == nil {
		t.Error("schema that is a function")
	}
	if _, err := Digest(&mcp.Tool{Name: "t", InputSchema: json.RawMessage(`{"a":1,"a":2}`)}); err == nil {
		t.Error("schema with a duplicate member")
	}
}
