// Package jcs writes JSON in the canonical form of RFC 8785 (JCS): no white space,
// members sorted by the UTF-16 code units of their names, strings with the fewest
// escapes, numbers as ECMAScript prints the IEEE 754 double nearest to them. Texts
// that mean the same have one canonical form, so that they have one hash.
//
// It is for values on the path of every call. The scanner, the sort and the writer
// are one pass over the text without a tree of values, and without allocation when
// the destination has room.
//
// # What it does not do
//
// It does not keep numbers that a double cannot hold: 9007199254740993 (2^53+1) is
// written as 9007199254740992, and 0.1 followed by thirty digits as its nearest
// double, as the RFC demands. Where two such numbers must not be taken for each
// other, refuse them before.
//
// It does not normalise Unicode: é as one code point and as two are two strings.
package jcs
