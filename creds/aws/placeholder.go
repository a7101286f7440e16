package aws

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpsec/mcpsec-go/creds"
)

// A placeholder is the place of one value in a string of a session policy:
//
//	{{arg.NAME | one-of A B C}}   one of these texts
//	{{arg.NAME | segment MOST}}   letters, digits and . _ = + , @ -, no more than MOST
//	{{arg.NAME | path MOST}}      segments with slashes between them, and perhaps one at the end
//	{{principal.ATTRIBUTE | ...}} issuer, subject, tenant or client, likewise
//	{{principal.identity}}        32 hexadecimal digits that no other caller has
//
// NAME may lead into objects by full stops. A value is refused, never escaped.
type placeholder struct {
	arg    []string // the way to an argument, or
	of     Attribute
	form   string // "one-of", "segment", "path" or "identity"
	most   int    // characters of a value
	values []string
}

var (
	argName = regexp.MustCompile(`^arg((?:\.[A-Za-z0-9_-]{1,64}){1,8})$`)
	integer = regexp.MustCompile(`^-?(0|[1-9]\d{0,18})$`)
)

// parsePlaceholder reads what stands between the braces.
func parsePlaceholder(text string) (*placeholder, error) {
	source, rest, typed := strings.Cut(text, "|")
	source = strings.TrimSpace(source)
	p := &placeholder{}
	if m := argName.FindStringSubmatch(source); m != nil {
		p.arg = strings.Split(m[1][1:], ".")
	} else if name, ok := strings.CutPrefix(source, "principal."); ok {
		p.of = attributeNamed(name)
	}
	if p.arg == nil && p.of == 0 {
		return nil, fmt.Errorf("placeholder {{%s}}: need arg.NAME, or principal. with issuer, subject, tenant, client or identity", text)
	}
	words := strings.Fields(rest)
	if p.of == Identity {
		p.form, p.most = "identity", identityLength
		if typed {
			return nil, fmt.Errorf("placeholder {{%s}}: principal.identity takes no form", text)
		}
		return p, nil
	}
	if len(words) < 2 {
		return nil, fmt.Errorf(`placeholder {{%s}}: need "| segment MOST", "| path MOST" or "| one-of TEXTS" after it`, text)
	}
	p.form = words[0]
	switch p.form {
	case "one-of":
		p.values = words[1:]
		for _, v := range p.values {
			if err := pathOf(v); err != nil {
				return nil, fmt.Errorf("placeholder {{%s}}: %q %w", text, v, err)
			}
			p.most = max(p.most, len(v))
		}
	case "segment", "path":
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 1 || n > maxPolicy || len(words) != 2 {
			return nil, fmt.Errorf("placeholder {{%s}}: need one number from 1 to %d, of the most characters a value may have", text, maxPolicy)
		}
		p.most = n
	default:
		return nil, fmt.Errorf("placeholder {{%s}}: %q is none of segment, path and one-of", text, p.form)
	}
	return p, nil
}

// name is what a caller calls the source.
func (p *placeholder) name() string {
	if p.arg != nil {
		return "argument " + strconv.Quote(strings.Join(p.arg, "."))
	}
	return "principal's " + p.of.String()
}

// value returns the text for a request. Its errors may be shown to a model.
func (p *placeholder) value(r creds.Request) (string, error) {
	var text string
	if p.arg != nil {
		raw, err := lookup(r.Arguments, p.arg)
		if err != nil {
			return "", refuse(codeArgument, p.name()+" "+err.Error())
		}
		text = raw
	} else {
		of, err := p.of.value(r.Principal)
		if err != nil {
			return "", err
		}
		text = of
	}
	if err := p.judge(text); err != nil {
		if p.arg != nil {
			return "", refuse(codeArgument, p.name()+" "+err.Error())
		}
		return "", refuse(codePrincipal, p.name()+" "+err.Error())
	}
	return text, nil
}

// judge refuses a text that is not of the form.
func (p *placeholder) judge(text string) error {
	if p.form == "one-of" {
		if !slices.Contains(p.values, text) {
			return errors.New("must be one of " + strings.Join(p.values, ", "))
		}
		return nil
	}
	if len(text) > p.most {
		return fmt.Errorf("has more than %d characters", p.most)
	}
	if p.form == "path" {
		return pathOf(text)
	}
	return segmentOf(text)
}

// sample is a text of the form, for a trial without a call.
func (p *placeholder) sample() string {
	if p.form == "one-of" {
		return p.values[0]
	}
	return strings.Repeat("x", min(p.most, identityLength))
}

// segmentOf refuses what could mean anything but itself in a policy, in the name of a
// resource, or to whoever resolves that name.
func segmentOf(s string) error {
	switch {
	case s == "":
		return errors.New("must not be empty")
	case strings.ContainsFunc(s, odd):
		return errors.New("may have only letters, digits and . _ = + , @ -")
	case s == ".", strings.Contains(s, ".."):
		return errors.New("must not lead upwards")
	}
	return nil
}

// odd reports whether a character can be in no segment.
func odd(r rune) bool { return !isAlnum(r) && !strings.ContainsRune("._=+,@-", r) }

// pathOf is segmentOf for segments with slashes between them.
func pathOf(s string) error {
	for segment := range strings.SplitSeq(strings.TrimSuffix(s, "/"), "/") {
		if err := segmentOf(segment); err != nil {
			return err
		}
	}
	return nil
}

// lookup finds a string or a whole number among arguments.
func lookup(args json.RawMessage, way []string) (string, error) {
	for _, name := range way {
		var members map[string]json.RawMessage
		if json.Unmarshal(args, &members) != nil {
			return "", errors.New("is missing")
		}
		next, ok := members[name]
		if !ok {
			return "", errors.New("is missing")
		}
		args = next
	}
	var text *string
	if json.Unmarshal(args, &text) == nil && text != nil {
		return *text, nil
	}
	if integer.Match(args) {
		return string(args), nil
	}
	return "", errors.New("must be a text or a whole number")
}
