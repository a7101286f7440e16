package bindings

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema returns the JSON schema (draft 2020-12) of a file of bindings, for editors. It
// is made of the types that Decode uses; Decode alone decides what is right.
func Schema() ([]byte, error) {
	known := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[json.RawMessage](): {Type: "object"}, // a session policy
	}
	err := errors.Join(
		unionOf[reference](known),
		unionOf[vaultAuth](known), unionOf[oauthAuth](known),
		unionOf[base](known), unionOf[grant](known),
	)
	if err != nil {
		return nil, err
	}
	s, err := jsonschema.For[document](&jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		return nil, err
	}
	withoutNull(s)
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "Which tool of an MCP server gets which credentials"
	return json.MarshalIndent(s, "", "  ")
}

// unionOf adds a type of which exactly one member is given.
func unionOf[T any](known map[reflect.Type]*jsonschema.Schema) error {
	s, err := jsonschema.For[T](&jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		return err
	}
	withoutNull(s)
	s.MinProperties, s.MaxProperties = new(1), new(1)
	known[reflect.TypeFor[T]()] = s
	return nil
}

// withoutNull takes away that what is a pointer or a list in Go may be null.
func withoutNull(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if i := slices.Index(s.Types, "null"); i >= 0 && len(s.Types) == 2 {
		s.Type, s.Types = s.Types[1-i], nil
	}
	for _, p := range s.Properties {
		withoutNull(p)
	}
	withoutNull(s.Items)
	withoutNull(s.AdditionalProperties)
}
