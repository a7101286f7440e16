package redact

import "strings"

// schemes are the words before the credentials in authorization texts.
var schemes = [...]string{"bearer", "basic", "token", "digest", "negotiate", "apikey", "key"}

// named finds the value that is given to a name that says it is secret: password=x,
// "apiKey": "x", <Secret>x</Secret>, Authorization: Token x. sign is the index after
// the sign, i the one before it.
func (sc *scanner) named(i, sign int) (from, to int, ok bool) {
	t := sc.text
	markup, colon := t[sign-1] == '>', t[sign-1] == ':'
	for n := 0; n < 2 && !markup && sign < len(t) && (t[sign] == '=' || t[sign] == '>'); n++ {
		sign++ // := and =>
	}
	from, to, plain := sc.given(sign, markup)
	if from == to || strings.HasPrefix(t[from:], "[argument]") {
		return 0, 0, false
	}
	scheme := 0
	if plain {
		scheme = sc.scheme(from)
	}
	// In prose a colon follows such words too: "invalid token: expected a comma".
	if plain && colon && scheme == 0 && !telling(t[from:to]) {
		return 0, 0, false
	}
	name := sc.nameBefore(i, markup)
	if name == "" || !sc.names.secret(name) {
		return 0, 0, false
	}
	switch {
	case !plain:
		return from, sc.closing(from), true
	case scheme > 0:
		return scheme, sc.run(scheme, unquoted), true
	case len(name) >= 6 && strings.EqualFold(name[len(name)-6:], "cookie"):
		return from, sc.run(from, line), true
	default:
		return from, sc.run(from, unquoted), true
	}
}

// given returns where a value begins, where its first characters end, and whether it
// is plain: without quotes or markup around it.
func (sc *scanner) given(i int, markup bool) (from, to int, plain bool) {
	t := sc.text
	for n := 0; n < 4 && i < len(t) && (t[i] == ' ' || t[i] == '\t'); n++ {
		i++
	}
	if markup {
		return i, sc.short(i, notMarkup), false
	}
	if i < len(t) && t[i] == '\\' {
		i++
	}
	if i < len(t) && (t[i] == '"' || t[i] == '\'' || t[i] == '`') {
		return i + 1, sc.short(i+1, notQuote), false
	}
	return i, sc.short(i, unquoted), true
}

// short is run for the first 64 characters.
func (sc *scanner) short(i int, of *class) int {
	end := i
	for end < len(sc.text) && end-i < 64 && of[sc.text[end]] {
		end++
	}
	return end
}

// closing returns the end of the quoted value that begins at i: the quote that opened
// it, as often escaped as that one. It is the end of the text if there is none.
func (sc *scanner) closing(i int) int {
	t := sc.text
	quote := t[i-1]
	if strings.IndexByte("\"'`", quote) < 0 {
		quote = '<'
	}
	escaped := i >= 2 && quote != '<' && t[i-2] == '\\'
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
// that stand there.
func (sc *scanner) nameBefore(i int, markup bool) string {
	t := sc.text[sc.floor : i+1]
	for n := 0; n < 2 && strings.HasSuffix(t, " "); n++ {
		t = t[:len(t)-1]
	}
	t = strings.TrimSuffix(t, "]")
	if unquoted := strings.TrimRight(t, `"'`); len(t)-len(unquoted) == 1 {
		t = strings.TrimSuffix(unquoted, `\`)
	}
	start := len(t)
	for start > 0 && len(t)-start < 64 && nameChar[t[start-1]] {
		start--
	}
	if markup && (start == 0 || t[start-1] != '<') {
		return ""
	}
	return strings.Trim(t[start:], ".-_")
}

// scheme returns where the credentials begin, if an authorization scheme and white
// space stand at i, or 0.
func (sc *scanner) scheme(i int) int {
	for _, word := range schemes {
		end := i + len(word)
		if end >= len(sc.text) || !strings.EqualFold(sc.text[i:end], word) {
			continue
		}
		if from := sc.gap(end); from > end && from < len(sc.text) && unquoted[sc.text[from]] {
			return from
		}
	}
	return 0
}

// telling reports whether an unquoted value after a colon is more than a word.
func telling(value string) bool {
	return len(value) >= 6 && strings.ContainsAny(value, "0123456789") || strings.Contains(value, "=")
}

var (
	unquoted  = except("\x00 \x7f\x7f,,;;&&\"\"''<<>>))]]}}||``")
	notQuote  = except("\"\"''``")
	notMarkup = except("<<")
	line      = except("\x00\x08\x0a\x1f\"\"")
)

func except(ranges string) *class {
	c := chars(ranges)
	for b := range c {
		c[b] = !c[b]
	}
	return c
}

// sextet returns the value of a base64 character of either alphabet, or -1.
func sextet(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26
	case c >= '0' && c <= '9':
		return int(c-'0') + 52
	case c == '+' || c == '-':
		return 62
	case c == '/' || c == '_':
		return 63
	default:
		return -1
	}
}
