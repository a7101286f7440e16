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
func (sc *scanner) jwt(i, _ int) (from, to int, ok bool) {
	dot := sc.run(i, base64url)
	if dot-i < 13 || dot == len(sc.text) || sc.text[dot] != '.' {
		return 0, dot, false
	}
	part := dot + 1
	if part < len(sc.text) && sc.text[part] == '.' {
		part++
	}
	if sc.run(part, base64url)-part < 4 {
		return 0, dot, false
	}
	return i, sc.run(dot, jwtChar), true
}

var jwtChar = chars("09AZaz__--..")

// privateKey finds a PEM block (RFC 7468) of a private key, on one line or many. A
// block without an end goes to the end of the text.
func (sc *scanner) privateKey(i, after int) (from, to int, ok bool) {
	const dashes, maxLabel = "-----", 64
	label, _, found := strings.Cut(sc.text[after:min(len(sc.text), after+maxLabel)], dashes)
	if !found || !strings.Contains(label, "PRIVATE") {
		return 0, 0, false
	}
	end := after + len(label) + len(dashes)
	body := strings.Index(sc.text[end:], "-----END")
	if body < 0 {
		return i, len(sc.text), true
	}
	end += body + len("-----END")
	if last := strings.Index(sc.text[end:min(len(sc.text), end+maxLabel)], dashes); last >= 0 {
		return i, end + last + len(dashes), true
	}
	return i, end, true
}

// openai finds keys that begin with sk-, as many vendors' do. Words between hyphens
// can begin so too: a key has a digit, and either both cases or one long part.
func (sc *scanner) openai(i, after int) (from, to int, ok bool) {
	const enough, part = 20, 16
	var digits, uppers, lowers bool
	longest, length, end := 0, 0, after
	for ; end < len(sc.text) && base64url[sc.text[end]]; end++ {
		c := sc.text[end]
		digits = digits || digit[c]
		uppers = uppers || c >= 'A' && c <= 'Z'
		lowers = lowers || c >= 'a' && c <= 'z'
		if length++; !alnum[c] {
			length = 0
		}
		longest = max(longest, length)
	}
	return i, end, end-after >= enough && digits && (uppers && lowers || longest >= part)
}

// gap returns the index after the white space or its URL-escaped forms at i, and a
// colon or equals sign before or after it.
func (sc *scanner) gap(i int) int {
	for n := 0; n < 8 && i < len(sc.text); n++ {
		switch {
		case strings.IndexByte(" \t+:=", sc.text[i]) >= 0:
			i++
		case strings.HasPrefix(sc.text[i:], "%20"):
			i += 3
		default:
			return i
		}
	}
	return i
}

// bearer finds the token after the word Bearer (RFC 6750), which may stand in prose
// too: a token has a digit or is long.
func (sc *scanner) bearer(_, after int) (from, to int, ok bool) {
	const short, long = 8, 24
	from = sc.gap(after)
	to = sc.run(from, tokenChar)
	digits := sc.run(from, notDigit)
	enough := to-from >= long || to-from >= short && digits < to
	if from == after || !enough {
		return 0, 0, false
	}
	return from, to, true
}

var notDigit = func() *class {
	c := *tokenChar
	for b := range c {
		c[b] = c[b] && !digit[b]
	}
	return &c
}()

// basic finds the credentials after the word Basic (RFC 7617), which may stand in
// prose too: they are the base64 of a text with a colon.
func (sc *scanner) basic(_, after int) (from, to int, ok bool) {
	from = sc.gap(after)
	if from == after || !sc.colon(from) {
		return 0, 0, false
	}
	return from, sc.run(from, base64any), true
}

// colon reports whether a base64 text at i decodes to printable characters and then a
// colon, among its first 256 bytes.
func (sc *scanner) colon(i int) bool {
	var name [256]byte
	n, bits, acc := 0, 0, uint32(0)
	for ; i < len(sc.text) && n < len(name); i++ {
		v := sextet(sc.text[i])
		if v < 0 {
			return false
		}
		acc, bits = acc<<6|uint32(v), bits+6
		if bits < 8 {
			continue
		}
		bits -= 8
		c := byte(acc >> bits)
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
func (sc *scanner) sendgrid(i, after int) (from, to int, ok bool) {
	dot := after
	for dot < len(sc.text) && dot-after <= 64 && base64url[sc.text[dot]] {
		dot++
	}
	if dot-after < 16 || dot == len(sc.text) || sc.text[dot] != '.' {
		return 0, 0, false
	}
	to = sc.run(dot+1, base64url)
	if to-dot-1 < 16 {
		return 0, 0, false
	}
	return i, to, true
}

// twilio finds SK and 32 hexadecimal digits.
func (sc *scanner) twilio(i, after int) (from, to int, ok bool) {
	to = sc.run(after, hexChar)
	if to-after < 32 {
		return 0, 0, false
	}
	return i, to, true
}

// userinfo finds the user and password of a URL (RFC 3986, section 3.2.1), from the
// slashes to the last @ of the authority. Both are blanked: many services take a
// token as the user. A user alone is not.
func (sc *scanner) userinfo(i, after int) (from, to int, ok bool) {
	if i == sc.floor || !alnum[sc.text[i-1]] {
		return 0, 0, false
	}
	colon, at, end := -1, -1, after
	for ; end < len(sc.text) && !authorityEnd[sc.text[end]]; end++ {
		switch sc.text[end] {
		case ':':
			if colon < 0 {
				colon = end
			}
		case '@':
			at = end
		}
	}
	if colon < 0 || at <= colon+1 {
		return 0, end, false
	}
	return after, at, true
}

var authorityEnd = chars("\x00 \x7f\x7f//??##\"\"<<>>\\\\")

// awsSecret finds the 40 characters of an AWS secret access key after its name.
func (sc *scanner) awsSecret(_, after int) (from, to int, ok bool) {
	i := after
	for _, word := range [...]string{"access", "key"} {
		if i < len(sc.text) && strings.IndexByte("_- .", sc.text[i]) >= 0 {
			i++
		}
		end := i + len(word)
		if end > len(sc.text) || !strings.EqualFold(sc.text[i:end], word) {
			return 0, 0, false
		}
		i = end
	}
	for n := 0; n < 12 && i < len(sc.text) && !base64std[sc.text[i]]; n++ {
		i++
	}
	to = sc.run(i, base64std)
	if i-after < 1 || to-i < 40 {
		return 0, 0, false
	}
	return i, to, true
}

var base64std = chars("09AZaz++//")
