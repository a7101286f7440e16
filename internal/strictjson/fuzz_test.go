package strictjson

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"testing"
)

// FuzzDecode compares with encoding/json: whatever is accepted here, it reads as
// the same value, and every name in it is spelled as in the struct.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"name":"n","count":1,"inner":{"a":"x","b":true},"list":[{"a":"1"}],"named":{"k":{}},"ptr":{"b":false}}`,
		`{"Name":"n"}`, `{"n\u0061me":"n"}`, `{"list":[null],"ptr":null}`, `{"count":1e2}`, `null`, `{"named":null}`, `{"count":-0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got doc
		if Decode(data, 4096, &got) != nil {
			return
		}
		var want doc
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", data, err)
		}
		if _, err := dec.Token(); err != io.EOF {
			t.Fatalf("trailing data in %q", data)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %+v, encoding/json: %+v", data, got, want)
		}
		var top map[string]any
		if err := json.Unmarshal(data, &top); err != nil {
			t.Fatal(err)
		}
		checkNames(t, top, "name", "count", "inner", "list", "named", "ptr", "aMemberNameOfMoreThanSixteenBytes")
		checkNames(t, top["inner"], "a", "b")
		checkNames(t, top["ptr"], "a", "b")
	})
}

func checkNames(t *testing.T, object any, known ...string) {
	t.Helper()
	members, _ := object.(map[string]any)
	for name := range members {
		if !slices.Contains(known, name) {
			t.Fatalf("accepted member %q", name)
		}
	}
}
