package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

const (
	// maxParts bounds how many members of a secret are looked for in the record.
	maxParts = 64
	// leastPart is the length below which a member is not: it would be found in
	// everything.
	leastPart = 8
)

// content makes of a stored secret what is issued, and the secrets inside it.
func (p *provider) content(stored []byte) (creds.Value, []creds.Value, error) {
	if p.whole {
		return creds.NewValue(stored), parts(stored), nil
	}
	member, err := field(stored, p.field)
	if err != nil {
		return creds.Value{}, nil, err
	}
	defer clear(member)
	return creds.NewValue(member), nil, nil
}

// field returns a member of a JSON object. Its errors say nothing of any value.
func field(stored []byte, name string) ([]byte, error) {
	members, err := object(stored)
	if err != nil {
		return nil, fmt.Errorf("secrets.Field %q: %w", name, err)
	}
	defer wipe(members)
	raw, ok := members[name]
	if !ok {
		return nil, fmt.Errorf("secrets.Field %q: the secret has no such member", name)
	}
	var text string
	if raw[0] != '"' || json.Unmarshal(raw, &text) != nil || text == "" {
		return nil, fmt.Errorf("secrets.Field %q: the member is no string, or empty", name)
	}
	return []byte(text), nil
}

// object takes a JSON object apart. Its members are copies.
func object(stored []byte) (map[string]json.RawMessage, error) {
	// The strict check first: of two members of one name, encoding/json takes the last.
	if mcpsec.CheckJSON(stored) != nil {
		return nil, errors.New("the secret is not JSON as it should be (RFC 8259, no member twice)")
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(stored, &members) != nil || members == nil {
		return nil, errors.New("the secret is no JSON object")
	}
	return members, nil
}

func wipe(members map[string]json.RawMessage) {
	for _, raw := range members {
		clear(raw)
	}
}

// harmless are the members of the database secrets of AWS that are no secrets.
var harmless = []string{
	"engine", "host", "port", "dbname", "username", "dbinstanceidentifier", "dbclusteridentifier", "masterarn",
}

// parts returns the strings in a JSON document that are secrets of their own: a driver
// quotes the password in an error, not the document it came in.
func parts(stored []byte) []creds.Value {
	if _, err := object(stored); err != nil {
		return nil // a secret need not be JSON
	}
	var all []creds.Value
	var walk func(name string, raw json.RawMessage)
	walk = func(name string, raw json.RawMessage) {
		defer clear(raw)
		var text string
		var members map[string]json.RawMessage
		var list []json.RawMessage
		known := func(h string) bool { return strings.EqualFold(name, h) }
		switch {
		case len(all) == maxParts:
		case raw[0] == '{' && json.Unmarshal(raw, &members) == nil:
			for name, raw := range members {
				walk(name, raw)
			}
		case raw[0] == '[' && json.Unmarshal(raw, &list) == nil:
			for _, raw := range list {
				walk(name, raw)
			}
		case raw[0] == '"' && !slices.ContainsFunc(harmless, known) && json.Unmarshal(raw, &text) == nil && len(text) >= leastPart:
			part := []byte(text)
			all = append(all, creds.NewValue(part))
			clear(part)
		}
	}
	walk("", bytes.TrimSpace(bytes.Clone(stored)))
	return all
}
