// Package tooldef is the definition digest, scheme tooldef/1: SHA-256 of the canonical
// form (RFC 8785) of a definition as it goes over the wire.
package tooldef

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/mcpsec/mcpsec-go/internal/jcs"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// Max bounds the JSON of a definition, in bytes.
const Max = 256 << 10

// Digest returns the digest of a definition as it arrived over the wire, as 64
// lower-case hexadecimal digits.
func Digest(wire []byte) (string, error) {
	canonical, err := Canonical(wire)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(canonical)
	return hex.EncodeToString(hash[:]), nil
}

// Canonical returns the canonical form. It refuses what is not one strict JSON object of
// at most [Max] bytes, and numbers that the canonical form would change.
func Canonical(wire []byte) ([]byte, error) {
	if len(wire) > Max {
		return nil, fmt.Errorf("the definition has %d bytes, the limit is %d", len(wire), Max)
	}
	return Reread(wire)
}

// Reread is Canonical for a definition that was kept in another form, indented and
// escaped, which can be many times as long. The caller bounds it.
func Reread(wire []byte) ([]byte, error) {
	if err := mcpsec.CheckJSON(wire); err != nil {
		return nil, fmt.Errorf("the definition is %w", err)
	}
	if body := bytes.TrimLeft(wire, " \t\r\n"); body[0] != '{' {
		return nil, errors.New("the definition is no JSON object")
	}
	if err := checkNumbers(wire); err != nil {
		return nil, err
	}
	return jcs.Append(nil, wire)
}
