package fakeaws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A policy is one document of IAM: of a role, of a session, or of who may assume a
// role. It is evaluated as the manual of IAM describes, as far as tests here need it.
type policy struct {
	Version    string
	ID         string     `json:"Id"`
	Statements statements `json:"Statement"`
}

type statement struct {
	Sid                   string
	Effect                string
	Principal             map[string]texts
	Action, NotAction     texts
	Resource, NotResource texts
	Condition             map[string]map[string]texts
}

// texts are a string or a list of them.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// statements are one statement or a list of them.
type statements []statement

// UnmarshalJSON implements json.Unmarshaler.
func (s *statements) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		*s = make(statements, 1)
		return strict(data, &(*s)[0])
	}
	var all []json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*s = make(statements, len(all))
	for i := range all {
		if err := strict(all[i], &(*s)[i]); err != nil {
			return err
		}
	}
	return nil
}

func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// operators are the conditions that are known.
var operators = []string{"StringEquals", "StringNotEquals", "StringLike", "StringNotLike"}

// parsePolicy reads a document. trust says that it is about who may assume a role,
// which names principals and no resources.
func parsePolicy(text string, trust bool) (*policy, error) {
	var p policy
	if err := strict([]byte(text), &p); err != nil {
		return nil, err
	}
	if p.Version != "2012-10-17" && p.Version != "2008-10-17" && p.Version != "" {
		return nil, errors.New("unknown version")
	}
	if len(p.Statements) == 0 {
		return nil, errors.New("policy statement must contain statements")
	}
	for _, s := range p.Statements {
		if err := s.check(trust); err != nil {
			return nil, err
		}
		if p.Version == "2012-10-17" && !s.closed() {
			return nil, errors.New("a policy variable has no end")
		}
	}
	return &p, nil
}

func (s *statement) check(trust bool) error {
	switch {
	case s.Effect != "Allow" && s.Effect != "Deny":
		return fmt.Errorf("invalid effect %q", s.Effect)
	case (len(s.Action) == 0) == (len(s.NotAction) == 0):
		return errors.New("policy statement must contain actions")
	case trust != (s.Principal != nil):
		return errors.New("policy document should not specify a principal, or must")
	case !trust && (len(s.Resource) == 0) == (len(s.NotResource) == 0):
		return errors.New("policy statement must contain resources")
	}
	for _, action := range append(slices.Clone(s.Action), s.NotAction...) {
		if action != "*" && !strings.Contains(action, ":") {
			return errors.New("actions must be prefixed by a vendor")
		}
	}
	for _, resource := range append(slices.Clone(s.Resource), s.NotResource...) {
		if resource != "*" && strings.Count(resource, ":") < 5 {
			return errors.New("the policy failed legacy parsing: resource is no ARN")
		}
	}
	for operator := range s.Condition {
		if !slices.Contains(operators, operator) {
			return fmt.Errorf("unknown condition operator %s", operator)
		}
	}
	return nil
}

// closed reports whether every policy variable has an end.
func (s *statement) closed() bool {
	all := slices.Concat(s.Resource, s.NotResource)
	for _, tests := range s.Condition {
		for _, values := range tests {
			all = append(all, values...)
		}
	}
	return !slices.ContainsFunc(all, func(text string) bool {
		at := strings.LastIndex(text, "${")
		return at >= 0 && !strings.Contains(text[at:], "}")
	})
}

// A decision is what policies say of an action.
type decision int

const (
	implicitDeny decision = iota
	allow
	deny
)

// decide evaluates policies together: a denial wins, then a permission. keys are
// those that conditions and variables can ask for, in lower case.
func decide(policies []*policy, principal, action, resource string, keys map[string]string) decision {
	said := implicitDeny
	for _, p := range policies {
		for _, s := range p.Statements {
			if !s.applies(p.Version, principal, action, resource, keys) {
				continue
			}
			if s.Effect == "Deny" {
				return deny
			}
			said = allow
		}
	}
	return said
}

func (s *statement) applies(version, principal, action, resource string, keys map[string]string) bool {
	like := func(patterns texts, value string, fold bool) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			if fold {
				return glob([]rune(strings.ToLower(p)), nil, strings.ToLower(value))
			}
			pattern, literal, ok := expand(p, version, keys)
			return ok && glob(pattern, literal, value)
		})
	}
	if s.Principal != nil {
		trusted := s.Principal["AWS"]
		if strings.Contains(principal, ":oidc-provider/") {
			trusted = s.Principal["Federated"]
		}
		if !slices.Contains(trusted, principal) && !slices.Contains(trusted, "*") {
			return false
		}
	} else if s.NotResource != nil == like(append(slices.Clone(s.Resource), s.NotResource...), resource, false) {
		return false
	}
	if s.NotAction != nil == like(append(slices.Clone(s.Action), s.NotAction...), action, true) {
		return false
	}
	for operator, tests := range s.Condition {
		for key, values := range tests {
			value, present := keys[strings.ToLower(key)]
			not := strings.Contains(operator, "Not")
			match := present && slices.ContainsFunc(values, func(v string) bool {
				pattern, literal, ok := expand(v, version, keys)
				if !strings.HasSuffix(operator, "Like") {
					literal = make([]bool, len(pattern))
					for i := range literal {
						literal[i] = true
					}
				}
				return ok && glob(pattern, literal, value)
			})
			if match == not {
				return false
			}
		}
	}
	return true
}

// expand puts the values of policy variables in their places, where they are literal
// text. A pattern with a variable that has no value matches nothing.
func expand(pattern, version string, keys map[string]string) (out []rune, literal []bool, ok bool) {
	put := func(s string, fixed bool) {
		for _, r := range s {
			out, literal = append(out, r), append(literal, fixed)
		}
	}
	for {
		before, rest, found := strings.Cut(pattern, "${")
		if !found || version != "2012-10-17" {
			put(pattern, false)
			return out, literal, true
		}
		put(before, false)
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, nil, false
		}
		if name == "*" || name == "?" || name == "$" {
			put(name, true)
		} else if value, present := keys[strings.ToLower(name)]; present {
			put(value, true)
		} else {
			return nil, nil, false
		}
		pattern = after
	}
}

// glob matches with * and ? where they are not literal.
func glob(pattern []rune, literal []bool, value string) bool {
	v := []rune(value)
	wild := func(i int, r rune) bool { return pattern[i] == r && (len(literal) == 0 || !literal[i]) }
	p, at, star, mark := 0, 0, -1, 0
	for at < len(v) {
		switch {
		case p < len(pattern) && wild(p, '*'):
			star, mark = p, at
			p++
		case p < len(pattern) && (wild(p, '?') || pattern[p] == v[at]):
			p, at = p+1, at+1
		case star >= 0:
			mark++
			p, at = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && wild(p, '*') {
		p++
	}
	return p == len(pattern)
}
