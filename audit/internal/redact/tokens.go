package redact

import (
	"strings"
	"unicode/utf8"
)

// What follows are the rules that need more than a literal and a run. Each reads as
// family.more says.

// jwt finds a JSON Web Token (RFC 7519), signed or encrypted, cut off or not: a
// base64url text that begins with {" and the beginning of another part. The second
// part of an encrypted one may be empty.
func (w window) jwt(i, _ int) (from, to int, ok bool) {
	dot := w.run(i, base64url)
	if dot-i < 13 || dot == len(w.text) || w.text[dot] != '.' {
		return 0, dot, false
	}
	part := dot + 1
	if part < len(w.text) && w.text[part] == '.' {
		part++
	}
	if w.run(part, base64url)-part < 4 {
		return 0, dot, false
	}
	return i, w.run(dot, jwtChar), true
}

// privateKey finds a PEM block (RFC 7468) of a private key, on one line or many. A
// block without an end goes to the end of the text. A first line alone, as
// documentation quotes it, is none.
func (w window) privateKey(i, after int) (from, to int, ok bool) {
	const dashes, maxLabel = "-----", 64
	label, _, found := strings.Cut(w.text[after:min(len(w.text), after+maxLabel)], dashes)
	if !found || !strings.Contains(label, "PRIVATE") {
		return 0, 0, false
	}
	end := w.lineEnds(after + len(label) + len(dashes))
	if end == len(w.text) || !base64any[w.text[end]] {
		return 0, 0, false
	}
	body := strings.Index(w.text[end:], "-----END")
	if body < 0 {
		return i, len(w.text), true
	}
	end += body + len("-----END")
	if last := strings.Index(w.text[end:min(len(w.text), end+maxLabel)], dashes); last >= 0 {
		return i, end + last + len(dashes), true
	}
	return i, end, true
}

// lineEnds returns the index after the white space at i, raw or escaped.
func (w window) lineEnds(i int) int {
	for range 16 {
		start := i
		for _, s := range [...]string{" ", "\t", "\r", "\n", `\r`, `\n`, "%0D", "%0A", "%0d", "%0a", "%20", "+"} {
			if strings.HasPrefix(w.text[i:], s) {
				i += len(s)
			}
		}
		if i == start {
			break
		}
	}
	return i
}

// openai finds keys that begin with sk-, as many vendors' do. Words between hyphens
// can begin so too: a key has a digit, and either both cases or one long part.
func (w window) openai(i, after int) (from, to int, ok bool) {
	const enough, part = 20, 16
	var digits, uppers, lowers bool
	longest, length, end := 0, 0, after
	for ; end < len(w.text) && base64url[w.text[end]]; end++ {
		c := w.text[end]
		digits = digits || digit[c]
		uppers = uppers || c >= 'A' && c <= 'Z'
		lowers = lowers || c >= 'a' && c <= 'z'
		if length++; !alnum[c] {
			length = 0
		}
		longest = max(longest, length)
	}
	if varied := uppers && lowers || longest >= part; !varied || !digits || end-after < enough {
		return 0, end, false
	}
	return i, end, true
}

// gap returns the index after the white space or its URL-escaped forms at i, and a
// colon or equals sign before or after it.
func (w window) gap(i int) int {
	for n := 0; n < 8 && i < len(w.text); n++ {
		switch {
		case strings.IndexByte(" \t+:=", w.text[i]) >= 0:
			i++
		case strings.HasPrefix(w.text[i:], "%20"):
			i += 3
		default:
			return i
		}
	}
	return i
}

// bearer finds the token after the word Bearer (RFC 6750), which may stand in prose
// too: a token has a digit or is long.
func (w window) bearer(_, after int) (from, to int, ok bool) {
	const short, long = 8, 24
	from = w.gap(after)
	to = w.run(from, tokenChar)
	enough := to-from >= long || to-from >= short && w.run(from, notDigit) < to
	if from == after || !enough {
		return 0, 0, false
	}
	return from, to, true
}

// basic finds the credentials after the word Basic (RFC 7617), which may stand in
// prose too: they are the base64 of a text with a colon.
func (w window) basic(_, after int) (from, to int, ok bool) {
	from = w.gap(after)
	to = w.run(from, base64any)
	if from == after || to-from < 8 || !w.colon(from) {
		return 0, 0, false
	}
	return from, to, true
}

// colon reports whether a base64 text at i decodes to printable characters and then a
// colon, among its first 256 bytes.
func (w window) colon(i int) bool {
	var name [256]byte
	n, bits, acc := 0, 0, 0
	for ; i < len(w.text) && n < len(name); i++ {
		v := sextet(w.text[i])
		if v < 0 {
			return false
		}
		acc, bits = acc<<6&0xfff|v, bits+6
		if bits < 8 {
			continue
		}
		bits -= 8
		c := byte(acc >> bits & 0xff)
		switch {
		case c == ':':
			return utf8.Valid(name[:n])
		case c < ' ' || c == 0x7f:
			return false
		}
		name[n] = c
		n++
	}
	return false
}

// sendgrid finds SG.ID.SECRET.
func (w window) sendgrid(i, after int) (from, to int, ok bool) {
	dot := after
	for dot < len(w.text) && dot-after <= 64 && base64url[w.text[dot]] {
		dot++
	}
	if dot-after < 16 || dot == len(w.text) || w.text[dot] != '.' {
		return 0, 0, false
	}
	to = w.run(dot+1, base64url)
	if to-dot-1 < 16 {
		return 0, 0, false
	}
	return i, to, true
}

// twilio finds SK and 32 hexadecimal digits.
func (w window) twilio(i, after int) (from, to int, ok bool) {
	to = w.run(after, hexChar)
	if to-after < 32 {
		return 0, 0, false
	}
	return i, to, true
}

// userinfo finds the user and password of a URL (RFC 3986, section 3.2.1), from the
// slashes to the last @ of the authority. Both are blanked: many services take a
// token as the user. A user alone is not.
func (w window) userinfo(i, after int) (from, to int, ok bool) {
	if i == w.floor || !alnum[w.text[i-1]] {
		return 0, 0, false
	}
	colon, at, end := -1, -1, after
	for ; end < len(w.text) && !authorityEnd[w.text[end]]; end++ {
		switch w.text[end] {
		case ':':
			if colon < 0 {
				colon = end
			}
		case '@':
			at = end
		}
	}
	if colon < 0 || at <= colon+1 {
		return 0, end - 1, false // the colon before it may be that of the next one
	}
	return after, at, true
}

// awsSecret finds the 40 characters of an AWS secret access key after its name.
func (w window) awsSecret(_, after int) (from, to int, ok bool) {
	i := after
	for _, word := range [...]string{"access", "key"} {
		if i < len(w.text) && strings.IndexByte("_- .", w.text[i]) >= 0 {
			i++
		}
		end := i + len(word)
		if end > len(w.text) || !strings.EqualFold(w.text[i:end], word) {
			return 0, 0, false
		}
		i = end
	}
	for n := 0; n < 12 && i < len(w.text) && !base64std[w.text[i]]; n++ {
		i++
	}
	to = w.run(i, base64std)
	if i-after < 1 || to-i < 40 {
		return 0, 0, false
	}
	return i, to, true
}
