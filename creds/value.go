package creds

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// redacted stands for every secret, whatever its length.
const redacted = "[secret]"

// A Value is a secret that does not print. The bytes are held by a closure and not
// by a field: fmt walks into the unexported fields of a struct without asking any
// method, and of a function it can only print the address.
//
// The zero Value holds nothing. Copies of a Value share its bytes, and Close on one
// of them closes all. Values are safe for concurrent use.
type Value struct {
	box func() *box
}

type box struct {
	mu   sync.RWMutex
	data []byte
}

// NewValue returns a Value with a copy of the secret; clear the original.
func NewValue(secret []byte) Value { return own(bytes.Clone(secret)) }

// own makes a Value of bytes that nobody else has.
func own(secret []byte) Value {
	b := &box{data: secret}
	return Value{func() *box { return b }}
}

// Reveal returns a copy of the secret, or nil after Close. The caller clears the
// copy when it is done with it. A string made of it cannot be cleared.
func (v Value) Reveal() []byte {
	if v.box == nil {
		return nil
	}
	b := v.box()
	b.mu.RLock()
	defer b.mu.RUnlock()
	return bytes.Clone(b.data)
}

// Empty reports whether there is nothing to reveal.
func (v Value) Empty() bool {
	if v.box == nil {
		return true
	}
	b := v.box()
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.data) == 0
}

// Close overwrites the secret with zeros. Only copies that Reveal returned, and
// what was made of them, remain.
func (v Value) Close() {
	if v.box == nil {
		return
	}
	b := v.box()
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.data)
	b.data = nil
}

// String returns "[secret]".
func (Value) String() string { return redacted }

// GoString returns "[secret]".
func (Value) GoString() string { return redacted }

// Format writes "[secret]" for every verb.
func (Value) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, redacted) // fmt keeps the error, if any
}

// LogValue returns "[secret]".
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "[secret]" as a JSON string.
func (Value) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[secret]".
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalBinary refuses: a secret is not stored or sent this way.
func (Value) MarshalBinary() ([]byte, error) { return nil, errEncode }

// GobEncode refuses, like MarshalBinary.
func (Value) GobEncode() ([]byte, error) { return nil, errEncode }

var errEncode = errors.New("creds: a secret cannot be encoded")
