package cef

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// What stands here reads messages as their grammars say and as nothing in this
// package writes them: a parser that shared code would share mistakes.

type parsed struct {
	header []string          // vendor, product, version, signature, and of CEF name and severity
	fields map[string]string // as the grammar has them
	order  []string
}

var alphanumeric = regexp.MustCompile(`^[A-Za-z0-9]+$`)

func (p *parsed) add(name, value string) error {
	if !alphanumeric.MatchString(name) {
		return fmt.Errorf("key %q", name)
	}
	if _, twice := p.fields[name]; twice {
		return fmt.Errorf("key %q twice", name)
	}
	p.fields[name] = value
	p.order = append(p.order, name)
	return nil
}

// parseCEF reads CEF:0. Header fields end at a pipe and know \| and \\; a value ends
// before the space in front of the next "key=", and knows \=, \\, \n and \r.
func parseCEF(s string) (*parsed, error) {
	p := &parsed{fields: map[string]string{}}
	rest, ok := strings.CutPrefix(s, "CEF:0|")
	if !ok {
		return nil, errors.New("no CEF:0")
	}
	for range 6 {
		var field strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != '|'; i++ {
			if rest[i] == '\\' {
				i++
				if i == len(rest) || rest[i] != '|' && rest[i] != '\\' {
					return nil, fmt.Errorf("header escape at %q", rest[i-1:])
				}
			}
			field.WriteByte(rest[i])
		}
		if i == len(rest) {
			return nil, errors.New("header ends early")
		}
		p.header = append(p.header, field.String())
		rest = rest[i+1:]
	}
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, fmt.Errorf("no = in %q", rest)
		}
		end := len(after) // of the value: the next unescaped = belongs to the next key
		for i := 0; i < len(after); i++ {
			if after[i] == '\\' {
				i++
			} else if after[i] == '=' {
				end = strings.LastIndexByte(after[:i], ' ')
				break
			}
		}
		if end < 0 {
			return nil, fmt.Errorf("bare = in the value of %q", name)
		}
		value, err := unescapeCEF(after[:end])
		if err != nil {
			return nil, err
		}
		if err := p.add(name, value); err != nil {
			return nil, err
		}
		rest = strings.TrimPrefix(after[end:], " ")
	}
	return p, nil
}

func unescapeCEF(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", fmt.Errorf("backslash at the end of %q", s)
		}
		switch s[i] {
		case '=', '\\':
			b.WriteByte(s[i])
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		default:
			return "", fmt.Errorf("escape \\%c", s[i])
		}
	}
	return b.String(), nil
}

// parseLEEF reads LEEF:2.0. There are no escapes: pipes end header fields, the
// delimiter in the header separates attributes, the first = ends a key.
func parseLEEF(s string) (*parsed, error) {
	p := &parsed{fields: map[string]string{}}
	parts := strings.SplitN(s, "|", 7)
	if len(parts) != 7 || parts[0] != "LEEF:2.0" || len(parts[5]) != 1 {
		return nil, fmt.Errorf("header of %q", s)
	}
	p.header = parts[1:5]
	for attribute := range strings.SplitSeq(parts[6], parts[5]) {
		name, value, ok := strings.Cut(attribute, "=")
		if !ok {
			return nil, fmt.Errorf("no = in %q", attribute)
		}
		if err := p.add(name, value); err != nil {
			return nil, err
		}
	}
	return p, nil
}

var spelling = regexp.MustCompile(`\\u\{([0-9a-f]{1,6})\}`)

// plainText replaces each \u{HEX}.
func plainText(s string) string {
	return spelling.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseUint(spelling.FindStringSubmatch(m)[1], 16, 32)
		if err != nil {
			panic(err)
		}
		return string(rune(n))
	})
}
