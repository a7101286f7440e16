package rest

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/encoding/json"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Decode decodes an answer into a pointer to a struct. Answers gain members with time,
// so unknown ones are ignored; all else is strict: one object, no name twice, names
// matched exactly. Errors hold nothing of the content.
func Decode(data []byte, v any) error {
	switch {
	case len(data) > MaxBody:
		return errTooLarge
	case len(bytes.TrimSpace(data)) == 0:
		return errors.New("it is empty")
	}
	if err := mcpsec.CheckJSON(data); err != nil {
		return err
	}
	if data = bytes.TrimSpace(data); data[0] != '{' {
		return fmt.Errorf("%w: not an object", mcpsec.ErrJSON)
	}
	if _, err := json.Parse(data, v, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return errors.New("a member has the wrong type") // the decoder's text may quote
	}
	return nil
}

// A Secret is a JSON string that is kept as bytes, to be overwritten.
type Secret []byte

// UnmarshalJSON takes a string or null.
func (s *Secret) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	if len(text) < 2 || text[0] != '"' {
		return errors.New("not a string")
	}
	if inner := text[1 : len(text)-1]; bytes.IndexByte(inner, '\\') < 0 {
		*s = bytes.Clone(inner)
		return nil
	}
	var unescaped string // a copy that cannot be overwritten; tokens have no escapes
	if err := stdjson.Unmarshal(text, &unescaped); err != nil {
		return errors.New("not a string")
	}
	*s = []byte(unescaped)
	return nil
}

// Format writes "[secret]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") } // fmt keeps the error

// Value moves the secret into a [creds.Value] and overwrites s.
func (s Secret) Value() creds.Value {
	defer clear(s)
	return creds.NewValue(s)
}
