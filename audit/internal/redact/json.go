package redact

import (
	"bytes"
	"encoding/json"
)

// holds reports whether a JSON text has a secret in it: in a string, whatever its
// escapes, by the name of a member, or in the text as it stands.
func (p *Policy) holds(text []byte) bool {
	names := false // the value at hand is a name, as in {"name":"DB_PASSWORD","value":…}
	for i := 0; i < len(text); {
		if text[i] != '"' {
			i++
			continue
		}
		end := skipString(text, i)
		s := string(unquote(text[i:end]))
		i = skipSpace(text, end)
		member := i < len(text) && text[i] == ':'
		if (member || names) && p.names.secret(s) || p.found(s) {
			return true
		}
		names = member && namesMember[s]
	}
	return p.found(string(text))
}

// namesMember are the members in whose value lists of pairs have a name.
var namesMember = map[string]bool{"name": true, "key": true, "header": true, "variable": true, "Name": true, "Key": true}

// The functions below take the next thing of a JSON text and return the index after
// it. Of broken JSON they take what they can and never fail.

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(b)
}

// skipValue stops before a comma or a closing bracket that is not its own.
func skipValue(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth < 0 {
				return i
			}
			if depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return len(b)
}

// unquote returns what a string token means; the memory may be the token's own.
func unquote(token []byte) []byte {
	if bytes.IndexByte(token, '\\') >= 0 {
		var s string
		if json.Unmarshal(token, &s) == nil {
			return []byte(s)
		}
	}
	return bytes.TrimSuffix(bytes.TrimPrefix(token, []byte{'"'}), []byte{'"'})
}
