package redact

import "strings"

// A class is a set of bytes.
type class [256]bool

// chars returns the class of ranges, each given by its first and last byte.
func chars(ranges string) *class {
	var c class
	for i := 0; i+1 < len(ranges); i += 2 {
		for b := int(ranges[i]); b <= int(ranges[i+1]); b++ {
			c[b] = true
		}
	}
	return &c
}

var (
	digit     = chars("09")
	alnum     = chars("09AZaz")
	upperNum  = chars("09AZ")
	hexChar   = chars("09AFaf")
	wordChar  = chars("09AZaz__")
	base64url = chars("09AZaz__--")
	base64any = chars("09AZaz__--++//==")
	tokenChar = chars("09AZaz__--++//==..~~%%")
	nameChar  = chars("09AZaz__--..")
	base64std = chars("09AZaz++//")
	jwtChar   = chars("09AZaz__--..")
	// tokenSlash are the characters of a path, escaped or not.
	tokenSlash = chars(`09AZaz__--..//\\%%`)
	notDigit   = except(`09`)
	// nameEnd may stand before the sign in NAME = VALUE.
	nameEnd      = chars("09AZaz__--..\"\"''  ]]")
	authorityEnd = chars("\x00 \x7f\x7f//??##\"\"<<>>\\\\")

	unquoted  = except("\x00 \x7f\x7f,,;;&&\"\"''<<>>))]]}}||``")
	notMarkup = except("<<")
	line      = except("\x00\x08\x0a\x1f\"\"")
)

// except returns the bytes that chars does not.
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

// holdsFold reports whether a short text has a word in it, whatever its case.
func holdsFold(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}
