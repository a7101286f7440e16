package sbom

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestTheSchemaOfCycloneDXAgrees validates a bill of materials with the published JSON
// Schema of 1.5, which the library's module carries.
func TestTheSchemaOfCycloneDXAgrees(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	compiler := jsonschema.NewCompiler()
	for _, name := range []string{"bom-1.5.schema.json", "spdx.schema.json"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	// Signatures are in a schema that the module lacks; no bill of ours has one.
	if err := compiler.AddResource("http://cyclonedx.org/schema/jsf-0.82.schema.json", map[string]any{"definitions": map[string]any{"signature": false}}); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.5.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	program, err := Running()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Document{program, build(t, info(nil))} {
		var bom any
		if err := json.Unmarshal(encode(t, d), &bom); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(bom); err != nil {
			t.Error(err)
		}
		bom.(map[string]any)["specVersion"] = 1.5
		if schema.Validate(bom) == nil {
			t.Error("the schema takes anything")
		}
	}
}
