package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/internal/strictjson"
)

// A document is a policy as IAM reads it.
type document struct {
	Version   string     `json:"Version"`
	ID        string     `json:"Id"`
	Statement statements `json:"Statement"`
}

// statements are a statement, or a list of them.
type statements []statement

type statement struct {
	Sid         string                      `json:"Sid"`
	Effect      string                      `json:"Effect"`
	Action      texts                       `json:"Action"`
	NotAction   texts                       `json:"NotAction"`
	Resource    texts                       `json:"Resource"`
	NotResource texts                       `json:"NotResource"`
	Condition   map[string]map[string]texts `json:"Condition"`
}

// texts are a string, or a list of them; both are the same to IAM.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(data []byte) error {
	var one *string
	if json.Unmarshal(data, &one) == nil && one != nil {
		*t = texts{*one}
		return nil
	}
	var all []*string
	if json.Unmarshal(data, &all) != nil || len(all) == 0 || slices.Contains(all, nil) {
		return errors.New("need a text, or a list of them that is not empty")
	}
	for _, s := range all {
		*t = append(*t, *s)
	}
	return nil
}

// UnmarshalJSON implements json.Unmarshaler. It is as strict as the decoder around it.
func (s *statements) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); bytes.HasPrefix(data, []byte("{")) {
		*s = make(statements, 1)
		return strictjson.Decode(data, maxTemplate, &(*s)[0])
	}
	var all []json.RawMessage
	if json.Unmarshal(data, &all) != nil || len(all) == 0 {
		return errors.New("need a statement, or a list of them that is not empty")
	}
	*s = make(statements, len(all))
	for i := range all {
		if err := strictjson.Decode(all[i], maxTemplate, &(*s)[i]); err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
	}
	return nil
}

var (
	action   = regexp.MustCompile(`^[a-z0-9-]{1,64}:[A-Za-z0-9*?]{1,128}$`)
	sid      = regexp.MustCompile(`^[A-Za-z0-9]{0,128}$`)
	operator = regexp.MustCompile(`^(ForAllValues:|ForAnyValue:)?(` +
		`String(Not)?Equals(IgnoreCase)?|String(Not)?Like|Arn(Not)?(Equals|Like)|` +
		`(Numeric|Date)((Not)?Equals|(Less|Greater)Than(Equals)?)|Bool|BinaryEquals|(Not)?IpAddress)(IfExists)?$|^(ForAllValues:|ForAnyValue:)?Null$`)
)

// check judges one statement.
func (s *statement) check(allow wide) error {
	if s.Effect != "Allow" && s.Effect != "Deny" {
		return errors.New(`"Effect" must be Allow or Deny`)
	}
	if s.Effect == "Allow" && (s.NotAction != nil || s.NotResource != nil) {
		return errors.New("NotAction and NotResource with Allow allow whatever is not named, also what AWS adds later: name what is allowed")
	}
	if (s.Action == nil) == (s.NotAction == nil) || (s.Resource == nil) == (s.NotResource == nil) {
		return errors.New("need one of Action and NotAction, and one of Resource and NotResource")
	}
	if !sid.MatchString(s.Sid) {
		return errors.New("a Sid has only letters and digits")
	}
	if err := s.checkConditions(allow); err != nil {
		return err
	}
	for _, a := range slices.Concat(s.Action, s.NotAction) {
		_, name, _ := strings.Cut(a, ":")
		if open := a != "" && (name == "" || strings.ContainsAny(name[:1], "*?")); open && s.Effect == "Allow" && !allow.actions {
			return fmt.Errorf("action %q begins with a wildcard, so that it may be every action: name those that the tool needs, or accept it with AllowWildcardActions", a)
		}
		if a != "*" && !action.MatchString(a) {
			return fmt.Errorf("action %q: need service:Operation", a)
		}
	}
	for _, r := range slices.Concat(s.Resource, s.NotResource) {
		if err := s.checkResource(r, allow); err != nil {
			return fmt.Errorf("resource %q: %w", r, err)
		}
	}
	return nil
}

func (s *statement) checkConditions(allow wide) error {
	if s.Condition != nil && len(s.Condition) == 0 {
		return errors.New("has an empty Condition")
	}
	for name, keys := range s.Condition {
		if !operator.MatchString(name) || len(keys) == 0 {
			return fmt.Errorf("condition %q: IAM knows no such operator, or it has no key", name)
		}
		for key, values := range keys {
			if key == "" || len(values) == 0 {
				return fmt.Errorf("condition %q: a key is empty, or has no value", name)
			}
			if s.Effect == "Allow" && s.holdsWithout(name, key) {
				return fmt.Errorf("condition %q: allows where %s is absent: leave out IfExists; beside ForAllValues demand the key with \"Null\": {%q: \"false\"}", name, key, key)
			}
			for _, v := range values {
				if err := s.pattern(v, allow); err != nil {
					return fmt.Errorf("condition %q: %q: %w", name, v, err)
				}
			}
		}
	}
	return nil
}

// holdsWithout reports whether a condition is written to hold for requests that do not
// have its key at all.
func (s *statement) holdsWithout(operator, key string) bool {
	for demanded, values := range s.Condition["Null"] {
		if strings.EqualFold(demanded, key) && slices.Equal(values, texts{"false"}) {
			return false
		}
	}
	return strings.HasSuffix(operator, "IfExists") || strings.HasPrefix(operator, "ForAllValues:")
}

// pattern judges a string of the statement. What an Allow has in it must not be up to
// whoever makes a request.
func (s *statement) pattern(text string, allow wide) error {
	parts, err := parsePattern(text)
	if err != nil {
		return err
	}
	if v := chosen(parts); v != "" && s.Effect == "Allow" && !allow.resources {
		return fmt.Errorf("what %s is, may be up to whoever makes the request, as with a wildcard: use aws:PrincipalTag/KEY, or accept it with AllowWildcardResources", v)
	}
	return nil
}

func (s *statement) checkResource(r string, allow wide) error {
	fields := strings.SplitN(r, ":", 6)
	head := strings.Join(fields[:min(len(fields), 5)], ":")
	if strings.Contains(head, "{{") {
		return errors.New("a placeholder may stand only after the fifth colon: partition, service, region and account are never a call's choice")
	}
	if r == "*" && (s.Effect == "Deny" || allow.resources) {
		return nil
	}
	if len(fields) < 6 || fields[0] != "arn" {
		return errors.New("need an ARN; * is for what is denied, or is accepted with AllowWildcardResources")
	}
	if err := s.pattern(r, allow); err != nil || s.Effect == "Deny" {
		return err
	}
	switch {
	case strings.ContainsAny(fields[1]+fields[2], "*?$") || fields[1] == "" || fields[2] == "":
		return errors.New("partition and service have no wildcard and no variable")
	case allow.resources:
		return nil
	case strings.ContainsAny(fields[3]+fields[4], "*?$"):
		return errors.New("region and account have no wildcard and no variable: name those where the tool works, or accept it with AllowWildcardResources")
	case !names(fields[2], fields[3]+fields[4] == "", fields[5]):
		return errors.New("is every resource of its kind: name those that the tool needs, at least by how their names begin, or accept it with AllowWildcardResources")
	}
	return nil
}

// tags are those that are part of a resource that is allowed, in lower case.
func (d *document) tags() (keys []string) {
	for _, s := range d.Statement {
		if s.Effect != "Allow" {
			continue
		}
		for _, r := range s.Resource {
			parts, _ := parsePattern(r) // it has been checked
			for _, p := range parts {
				if key, ok := strings.CutPrefix(strings.ToLower(p.text), "${aws:principaltag/"); ok {
					keys = append(keys, strings.TrimSuffix(key, "}"))
				}
			}
		}
	}
	return keys
}

// rules tell people what a policy allows.
func (d *document) rules() []creds.Rule {
	var rules []creds.Rule
	for _, s := range d.Statement {
		r := creds.Rule{Deny: s.Effect == "Deny", Actions: s.Action, Resources: s.Resource}
		if s.NotAction != nil {
			r.Actions = []string{"all but " + strings.Join(s.NotAction, ", ")}
		}
		if s.NotResource != nil {
			r.Resources = []string{"all but " + strings.Join(s.NotResource, ", ")}
		}
		var when []string
		for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
			for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
				when = append(when, operator+" "+key+" "+strings.Join(s.Condition[operator][key], ", "))
			}
		}
		r.When = strings.Join(when, " and ")
		rules = append(rules, r)
	}
	return rules
}
