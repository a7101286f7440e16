package bindings

import (
	"bytes"
	"encoding/json"
	"runtime"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The schema is judged by another implementation than the one that made it.
func TestTheSchemaTakesWhatDecodeTakes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("reason: the paths of this file are those of Unix")
	}
	raw, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("creds.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("creds.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	judge := func(text string) error {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	if err := judge(everything(t)); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"no tools":            `{}`,
		"unknown member":      `{"tools": {}, "tool": {}}`,
		"two kinds":           `{"tools": {"t": {"c": {"file": {"path": "/x"}, "keyring": {"service": "s", "user": "u"}}}}}`,
		"no kind":             `{"tools": {"t": {"c": {}}}}`,
		"null":                `{"tools": {"t": {"c": null}}}`,
		"no path":             `{"tools": {"t": {"c": {"file": {}}}}}`,
		"secret in the clear": `{"bases": {"b": {"awsKeys": {"id": "AKIA", "secret": "hunter2"}}}, "tools": {}}`,
		"policy as text":      `{"tools": {"t": {"c": {"awsRole": {"role": "r", "region": "r", "sessionPolicy": "{}"}}}}}`,
	} {
		if judge(text) == nil {
			t.Errorf("%s: the schema takes %s", name, text)
		}
		if _, err := Decode([]byte(text)); err == nil {
			t.Errorf("%s: Decode takes %s", name, text)
		}
	}
}
