package manifest

import (
	"cmp"
	"strings"
)

// A version is a semantic version 2.0.0 without its build metadata, which has no rank.
type version struct {
	core [3]string
	pre  []string
}

func isSemver(s string) bool {
	_, ok := parseSemver(s)
	return ok
}

func parseSemver(s string) (v version, ok bool) {
	s, build, hasBuild := strings.Cut(s, "+")
	core, pre, hasPre := strings.Cut(s, "-")
	parts := strings.Split(core, ".")
	if len(parts) != len(v.core) {
		return v, false
	}
	for i, p := range parts {
		if !isNumeric(p) {
			return v, false
		}
		v.core[i] = p
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
		for _, p := range v.pre {
			if !isIdentifier(p) || only(p, digits, len(p)) && !isNumeric(p) {
				return v, false
			}
		}
	}
	if hasBuild {
		for p := range strings.SplitSeq(build, ".") {
			if !isIdentifier(p) {
				return v, false
			}
		}
	}
	return v, true
}

// isNumeric reports whether s is a decimal number without leading zeros.
func isNumeric(s string) bool { return only(s, digits, len(s)) && (s == "0" || s[0] != '0') }

func isIdentifier(s string) bool { return only(s, letters+digits+"-", len(s)) }

// compare returns a number below, at or above zero as v comes before, with or after w.
func (v version) compare(w version) int {
	for i := range v.core {
		if c := compareNumbers(v.core[i], w.core[i]); c != 0 {
			return c
		}
	}
	if (v.pre == nil) != (w.pre == nil) {
		if v.pre == nil {
			return 1 // a release comes after what led to it
		}
		return -1
	}
	for i := range min(len(v.pre), len(w.pre)) {
		a, b := v.pre[i], w.pre[i]
		aNumber, bNumber := isNumeric(a), isNumeric(b)
		var c int
		switch {
		case aNumber && bNumber:
			c = compareNumbers(a, b)
		case aNumber:
			c = -1
		case bNumber:
			c = 1
		default:
			c = cmp.Compare(a, b)
		}
		if c != 0 {
			return c
		}
	}
	return len(v.pre) - len(w.pre)
}

// compareNumbers compares decimal numbers of any length without leading zeros.
func compareNumbers(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return cmp.Compare(a, b)
}
