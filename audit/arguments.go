package audit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Bounds of the member names that an event holds.
const (
	maxKeys   = 32
	maxKeyLen = 64 // bytes, the ellipsis of a cut name included
)

// keyNames appends to names those of the top-level members, sorted: the first maxKeys
// of them, and how many more there are. It reports whether names were left out or
// cut. Its memory does not grow with the number of members.
func keyNames(names []string, raw []byte) (_ []string, more int, cut bool) {
	var (
		first [maxKeys][]byte // sorted
		n     int
	)
	walk(raw, func(depth int, kind token, text []byte) {
		if depth != 1 || kind != tokenKey {
			return
		}
		name := unquote(text)
		i, _ := slices.BinarySearchFunc(first[:n], name, bytes.Compare)
		if n == maxKeys {
			more++
			if i == maxKeys {
				return
			}
			n--
		}
		copy(first[i+1:n+1], first[i:n])
		first[i] = name
		n++
	})
	if n == 0 {
		return nil, 0, false
	}
	var (
		room [256]byte // grows on the heap if need be
		ends [maxKeys]int
		all  = room[:0]
	)
	for i, name := range first[:n] {
		if len(name) <= maxKeyLen {
			all = append(all, name...)
		} else {
			all, cut = append(all, name[:runeStart(name, maxKeyLen-len(ellipsis))]...), true
			all = append(all, ellipsis...)
		}
		ends[i] = len(all)
	}
	text, start := string(all), 0
	for _, end := range ends[:n] {
		names = append(names, text[start:end])
		start = end
	}
	return names, more, cut || more > 0
}

type token int

const (
	tokenKey    token = iota // a member name, with its quotes
	tokenString              // a string, with its quotes
	tokenNumber
)

// walk visits the names, strings and numbers of a JSON text in order. Depth 1 is
// inside the outermost object or array. The guard has checked the text with
// mcpsec.CheckJSON; of any other text walk makes what it can, without fail.
func walk(raw []byte, visit func(depth int, kind token, text []byte)) {
	depth := 0
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '{' || c == '[':
			depth++
			i++
		case c == '}' || c == ']':
			depth--
			i++
		case c == '"':
			end := stringEnd(raw, i)
			next := end
			for next < len(raw) && (raw[next] == ' ' || raw[next] == '\t' || raw[next] == '\r' || raw[next] == '\n') {
				next++
			}
			kind := tokenString
			if next < len(raw) && raw[next] == ':' {
				kind = tokenKey
			}
			visit(depth, kind, raw[i:end])
			i = next
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(raw) && strings.IndexByte("0123456789+-.eE", raw[end]) >= 0 {
				end++
			}
			visit(depth, tokenNumber, raw[i:end])
			i = end
		default:
			i++
		}
	}
}

// stringEnd returns the index after the string that begins at i.
func stringEnd(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(raw)
}

// unquote returns what a string token means; the memory may be the token's own.
func unquote(text []byte) []byte {
	if bytes.IndexByte(text, '\\') >= 0 {
		var s string
		if json.Unmarshal(text, &s) == nil {
			return []byte(s)
		}
	}
	return inside(text)
}

// inside returns a string token without its quotes.
func inside(text []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimPrefix(text, []byte{'"'}), []byte{'"'})
}
