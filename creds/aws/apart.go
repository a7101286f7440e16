package aws

import (
	"errors"
	"slices"
	"strings"
)

var (
	errTouching = errors.New("a placeholder or variable and a wildcard, or two of them, stand side by side, or with nothing between them but what a value may have itself, so that one value could stand for another: put a slash between them")
	errPath     = errors.New("who the caller is stands behind a path, or is one that something follows, so that one caller's path could lead to another's: put who the caller is first, as a segment or as principal.identity")
)

// apart refuses a string that is the same for different values: with tenants "acme" and
// "acme-eu", what is "TENANT-NAME", or "TENANT-*", of the one can be the other's.
func apart(parts []part) error {
	var last part // that is not plain, or the beginning
	between, path := "", false
	for i, p := range parts {
		if p.kind == plainText {
			between += p.text
			continue
		}
		if !secretSuffix(parts, i, between) && touching(last, p, between) {
			return errTouching
		}
		if who := p.kind == variable || p.kind == hole && p.hole.of != 0; who && path || last.nested() && last.hole.of != 0 {
			return errPath
		}
		path = path || p.nested()
		last, between = p, ""
	}
	return nil
}

// touching reports whether two parts that are not plain have too little between them.
func touching(a, b part, between string) bool {
	if a.kind == plainText || a.kind == wildcard && b.kind == wildcard {
		return false
	}
	loose := a.loose() || a.kind == wildcard && b.loose()
	return between == "" || loose && !strings.ContainsFunc(between, odd)
}

// loose reports whether the part may stand for texts of which one begins, or ends, with
// another.
func (p part) loose() bool {
	if p.kind != hole {
		return p.kind == variable
	}
	return p.hole.form == "segment" || p.hole.form == "path" || p.hole.choice(func(a, b string) bool {
		return strings.HasPrefix(a, b) || strings.HasSuffix(a, b)
	})
}

// nested reports whether the part may stand for a path that leads into another.
func (p part) nested() bool {
	return p.kind == hole && (p.hole.form == "path" || p.hole.choice(func(a, b string) bool {
		return strings.HasPrefix(a, b+"/")
	}))
}

// choice reports whether two of the texts to choose from are related.
func (p *placeholder) choice(related func(a, b string) bool) bool {
	return slices.ContainsFunc(p.values, func(a string) bool {
		return slices.ContainsFunc(p.values, func(b string) bool { return a != b && related(a, b) })
	})
}

// secretSuffix reports whether the rest is what Secrets Manager adds to a secret's name
// in its ARN: a dash and six characters, whatever the name is.
func secretSuffix(parts []part, i int, between string) bool {
	return strings.Contains(parts[0].text, ":secretsmanager:") && between == "-" && len(parts)-i == 6 &&
		!slices.ContainsFunc(parts[i:], func(p part) bool { return p.text != "?" })
}
