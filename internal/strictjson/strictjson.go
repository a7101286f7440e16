// Package strictjson decodes JSON that decides about security: manifests,
// policies, keys, tokens. encoding/json takes the last of two members of one
// name, matches names whatever their case and ignores names it does not know, so
// that what a reviewer reads and what a program obeys can differ. Here each of
// these is an error.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/encoding/json"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// ErrTooLarge is wrapped by the error about input above the caller's limit.
var ErrTooLarge = errors.New("too large")

// flags make the decoder take a member only by its exact name, and only if the
// destination has it. It is the decoder the SDK itself uses.
const flags = json.DontMatchCaseInsensitiveStructFields | json.DisallowUnknownFields

// Decode decodes data into v, a non-nil pointer to a zero value. It refuses
//
//   - more than limit bytes, before it looks at any of them;
//   - whatever [mcpsec.CheckJSON] refuses: duplicate names, invalid UTF-8 or a
//     byte order mark, unpaired surrogates, more than 64 levels, trailing bytes;
//   - members that the structs of v do not have under exactly that name, at any
//     depth;
//   - null in the place of the whole value.
//
// A member that is absent or null leaves its field as it is: the caller checks for
// what it requires. Types with an unmarshal method of their own answer for
// themselves. Errors may name a member but hold no value. After an error v is
// partly filled and must not be used.
func Decode(data []byte, limit int, v any) error {
	if len(data) > limit {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(data), limit)
	}
	if err := mcpsec.CheckJSON(data); err != nil {
		return err
	}
	rest, err := json.Parse(data, v, flags)
	switch {
	case err != nil:
		return describe(err)
	case len(rest) != 0:
		return fmt.Errorf("%w: data after the value", mcpsec.ErrJSON)
	case isNull(data):
		return fmt.Errorf("%w: null in place of the value", mcpsec.ErrJSON)
	}
	return nil
}

// maxNameInError bounds how much of a member name an error repeats, in bytes.
const maxNameInError = 80

// describe puts the decoder's error into words that hold nothing of a value.
func describe(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("member %s does not fit a %v", clip(wrong.Field), wrong.Type)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown member %s", clip(name))
	}
	return err
}

func clip(name string) string {
	if len(name) > maxNameInError {
		return name[:maxNameInError] + "..."
	}
	return name
}

func isNull(data []byte) bool { return bytes.Equal(bytes.TrimSpace(data), []byte("null")) }
