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
// of them closes all. A Value that a [Handle] gave out is one call's view of bytes that
// other calls may use as well: it reveals nothing once the call is over, and Close ends
// the view alone. Values are safe for concurrent use.
type Value struct {
	box  func() *box
	loan *loan // nil if the bytes are nobody else's
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
	return Value{box: func() *box { return b }}
}

// Reveal returns a copy of the secret, or nil after Close. The caller clears the
// copy when it is done with it. A string made of it cannot be cleared.
func (v Value) Reveal() (secret []byte) {
	v.look(func(data []byte) { secret = bytes.Clone(data) })
	return secret
}

// look shows the bytes, which are not to be kept or changed, unless there are none.
func (v Value) look(see func(data []byte)) {
	if v.box == nil || v.loan != nil && v.loan.ended() {
		return
	}
	b := v.box()
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.data) > 0 {
		see(b.data)
	}
}

// Empty reports whether there is nothing to reveal.
func (v Value) Empty() bool {
	empty := true
	v.look(func([]byte) { empty = false })
	return empty
}

// size is the length of the secret in bytes.
func (v Value) size() (n int) {
	v.look(func(data []byte) { n = len(data) })
	return n
}

// Close overwrites the secret with zeros, or ends the call's view of it. Only copies
// that Reveal returned, and what was made of them, remain.
func (v Value) Close() {
	if v.loan != nil {
		v.loan.over.Store(true)
		return
	}
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
