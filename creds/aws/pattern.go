package aws

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// A part is what a string of a policy is made of: a text that stands for itself, a
// wildcard, a policy variable or a placeholder.
type part struct {
	kind partKind
	text string
	hole *placeholder
}

type partKind int

const (
	plainText partKind = iota
	wildcard
	variable
	hole
)

var (
	special = regexp.MustCompile(`\{\{|\$\{|[*?]`)
	// ofSession are the variables that whoever uses the keys cannot choose.
	ofSession = regexp.MustCompile(`(?i)^\$\{aws:(PrincipalTag/[^{},*?]+|PrincipalAccount|PrincipalArn|PrincipalOrgID|SourceIdentity|userid)\}$`)
)

// parsePattern takes a string apart.
func parsePattern(s string) (parts []part, err error) {
	for s != "" {
		at := special.FindStringIndex(s)
		if at == nil {
			return append(parts, part{text: s}), nil
		}
		if at[0] > 0 {
			parts = append(parts, part{text: s[:at[0]]})
		}
		p := part{kind: wildcard, text: s[at[0]:at[1]]}
		s = s[at[1]:]
		switch p.text {
		case "{{":
			inside, after, closed := strings.Cut(s, "}}")
			if !closed {
				return nil, errors.New("a placeholder has no end: need }}")
			}
			p.kind, p.text, s = hole, "", after
			if p.hole, err = parsePlaceholder(inside); err != nil {
				return nil, err
			}
		case "${":
			name, after, closed := strings.Cut(s, "}")
			switch {
			case strings.Contains(name, "{"):
				return nil, errors.New("a placeholder stands inside a policy variable, or behind a $")
			case !closed:
				return nil, errors.New("a policy variable has no end: need }")
			}
			p.text, s = "${"+name+"}", after
			if p.kind = variable; name == "*" || name == "?" || name == "$" { // how IAM writes the character itself
				p.kind = plainText
			}
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// chosen returns a variable whose value is up to whoever makes the request, which is
// as good as a wildcard, or "".
func chosen(parts []part) string {
	for _, p := range parts {
		if p.kind == variable && !ofSession.MatchString(p.text) {
			return p.text
		}
	}
	return ""
}

// untyped are the services whose resources have no type before their name. For S3 that
// is so for buckets, whose ARNs have neither region nor account.
var untyped = []string{"execute-api", "s3", "sns", "sqs"}

// names reports whether a resource, as an ARN has it behind the account, begins with a
// name, or with a type and a name, and not with a wildcard in the place of either.
func names(service string, placeless bool, resource string) bool {
	var b strings.Builder
	parts, _ := parsePattern(resource) // it has been checked
	for _, p := range parts {
		if p.kind == variable || p.kind == hole || p.kind == plainText && strings.HasPrefix(p.text, "${") {
			p.text = "x" // whatever its value is, it has no wildcard
		}
		b.WriteString(p.text)
	}
	rest := strings.TrimLeft(b.String(), "/:")
	if !slices.Contains(untyped, service) || service == "s3" && !placeless {
		end := strings.IndexAny(rest, "/:")
		if end < 0 {
			return rest != "" && !strings.ContainsAny(rest, "*?")
		}
		if strings.ContainsAny(rest[:end], "*?") {
			return false
		}
		if rest = strings.TrimLeft(rest[end:], "/:"); rest == "" { // which matches nothing
			return true
		}
	}
	return rest != "" && !strings.ContainsAny(rest[:1], "*?")
}
