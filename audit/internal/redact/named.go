package redact

import "strings"

// schemes are the words before the credentials in authorization texts.
var schemes = [...]string{"bearer", "basic", "token", "digest", "negotiate", "apikey", "key"}

// named finds the value that is given to a name that says it is secret: password=x,
// "apiKey": "x", <Secret>x</Secret>, Authorization: Token x. sign is the index after
// the sign, i the one before it.
func (w window) named(i, sign int) (from, to int, ok bool) {
	kind := w.text[sign-1]
	for n := 0; n < 2 && kind != '>' && sign < len(w.text) && (w.text[sign] == '=' || w.text[sign] == '>'); n++ {
		sign++ // := and =>
	}
	from, quoted := w.given(sign, kind)
	if from == len(w.text) || strings.HasPrefix(w.text[from:], "[argument]") {
		return 0, 0, false
	}
	name, before := w.nameBefore(i)
	switch {
	case name == "":
		return 0, 0, false
	case kind == '>':
		ok = before == '<'
	case !quoted:
		ok = unquoted[w.text[from]] && (kind == '=' || w.afterColon(name, before, sign, from))
	default:
		ok = true
	}
	if !ok || !w.names.secret(name) {
		return 0, 0, false
	}
	switch {
	case kind == '>':
		to = w.run(from, notMarkup)
		ok = strings.HasPrefix(w.text[to:], "</")
	case quoted:
		to = w.closing(from)
	default:
		from, to = w.plain(name, from)
	}
	if !ok || to == from {
		return 0, 0, false
	}
	return from, to, true
}

// plain returns the value without quotes that begins at from, or after the name of an
// authorization scheme there.
func (w window) plain(name string, from int) (start, end int) {
	if scheme := w.scheme(from); scheme > 0 {
		from = scheme
	}
	if holdsFold(name, "cookie") {
		return from, w.run(from, line)
	}
	return from, w.run(from, unquoted)
}

// afterColon reports whether what stands at from, without quotes, is a value. In prose
// a colon follows secret names too ("invalid token: expected a comma"), and parts of
// identifiers, times and addresses are divided by it ("arn:aws:secretsmanager:…").
func (w window) afterColon(name string, before byte, sign, from int) bool {
	if from == sign {
		return before != ':'
	}
	if holdsFold(name, "auth") && w.scheme(from) > 0 {
		return true
	}
	for i := from; i < len(w.text) && i-from < 64 && unquoted[w.text[i]]; i++ {
		if c := w.text[i]; c == '=' || digit[c] && w.run(from, unquoted)-from >= 6 {
			return true
		}
	}
	return false
}

// given returns where a value begins, and whether it is in quotes.
func (w window) given(i int, kind byte) (from int, quoted bool) {
	t := w.text
	for n := 0; n < 4 && i < len(t) && (t[i] == ' ' || t[i] == '\t'); n++ {
		i++
	}
	if kind != '>' && i < len(t) && t[i] == '\\' {
		i++
	}
	if kind != '>' && i < len(t) && (t[i] == '"' || t[i] == '\'' || t[i] == '`') {
		return i + 1, true
	}
	return i, false
}

// closing returns the end of the quoted value that begins at i: the quote that opened
// it, as often escaped as that one. It is the end of the text if there is none.
func (w window) closing(i int) int {
	t := w.text
	quote := t[i-1]
	escaped := i >= 2 && t[i-2] == '\\'
	for end := i; end < len(t); end++ {
		switch {
		case escaped && strings.HasPrefix(t[end:], `\\\`): // a quote inside the value
			end += 3
		case escaped && t[end] == '\\' && end+1 < len(t) && t[end+1] == quote:
			return end
		case t[end] == '\\':
			end++
		case !escaped && t[end] == quote:
			return end
		}
	}
	return len(t)
}

// nameBefore returns the name that ends at i, or before a quote, a bracket and spaces
// that stand there, and the byte before the name.
func (w window) nameBefore(i int) (name string, before byte) {
	t := w.text[w.floor : i+1]
	for n := 0; n < 2 && strings.HasSuffix(t, " "); n++ {
		t = t[:len(t)-1]
	}
	t = strings.TrimSuffix(t, "]")
	if n := len(t); n > 0 && (t[n-1] == '"' || t[n-1] == '\'') {
		t = strings.TrimSuffix(t[:n-1], `\`)
	}
	start := len(t)
	for start > 0 && len(t)-start < 64 && nameChar[t[start-1]] {
		start--
	}
	if start > 0 {
		before = t[start-1]
	}
	return strings.Trim(t[start:], ".-_"), before
}

// scheme returns where the credentials begin, if an authorization scheme and white
// space stand at i, or 0. It is the end of the text if they are not there any more.
func (w window) scheme(i int) int {
	for _, word := range schemes {
		end := i + len(word)
		if end >= len(w.text) || !strings.EqualFold(w.text[i:end], word) {
			continue
		}
		if from := w.gap(end); from > end && (from == len(w.text) || unquoted[w.text[from]]) {
			return from
		}
	}
	return 0
}
