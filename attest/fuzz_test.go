package attest

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpsec/mcpsec-go/attest/internal/tooldef"
)

// FuzzDigest: a schema given as bytes, and the same schema given as a map whose
// order Go does not know, have one digest; so have the digest's own canonical
// bytes. What has a digest has a frame.
func FuzzDigest(f *testing.F) {
	for _, seed := range []string{
		`{"type":"object","b":[1,2.5,{"z":null,"a":true}],"a":"<&>"}`, `{"\u20ac":1,"\ud83d\ude00":2}`, `{"n":1e21,"m":1e20}`, `{"n":100e-2}`, `{"n":-0}`, `[]`, `null`, ``,
	} {
		f.Add("t", "text", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, name, text string, schema []byte) {
		tool := &mcp.Tool{Name: name, Description: text, InputSchema: json.RawMessage(schema)}
		want, err := Digest(tool)
		if err != nil {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(schema))
		dec.UseNumber()
		var m any
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		tool.InputSchema = m
		if got, err := Digest(tool); err != nil || got != want {
			t.Fatalf("as a %T: %s, %v; want %s", m, got, err, want)
		}
		var floats any
		if err := json.Unmarshal(schema, &floats); err != nil {
			t.Fatal(err)
		}
		tool.InputSchema = floats
		if got, err := Digest(tool); err != nil || got != want {
			t.Fatalf("with numbers as doubles: %s, %v; want %s", got, err, want)
		}
		wire, err := json.Marshal(tool)
		if err != nil {
			t.Fatal(err)
		}
		canonical, err := tooldef.Canonical(wire)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DigestJSON(canonical); err != nil || got != want {
			t.Fatalf("of the canonical form: %s, %v; want %s", got, err, want)
		}
		if _, err := sealTool(tool); err != nil {
			t.Fatal(err)
		}
	})
}
