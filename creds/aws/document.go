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
		`(Numeric|Date)((Not)?Equals|(Less|Greater)Than(Equals)?)|Bool|BinaryEquals|(Not)?IpAddress|Null)(IfExists)?$`)
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
	if err := s.checkConditions(); err != nil {
		return err
	}
	for _, a := range slices.Concat(s.Action, s.NotAction) {
		_, name, _ := strings.Cut(a, ":")
		if every := strings.Trim(name, "*?") == "" && a != ""; every && s.Effect == "Allow" && !allow.actions {
			return fmt.Errorf("action %q is every action: name those that the tool needs, or accept it with AllowWildcardActions", a)
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

func (s *statement) checkConditions() error {
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
		}
	}
	return nil
}

func (s *statement) checkResource(r string, allow wide) error {
	parts := strings.SplitN(r, ":", 6)
	head := strings.Join(parts[:min(len(parts), 5)], ":")
	switch {
	case strings.Contains(head, "{{"):
		return errors.New("a placeholder may stand only after the fifth colon: partition, service, region and account are never a call's choice")
	case s.Effect == "Deny", allow.resources && r == "*":
		return nil
	case len(parts) < 6 || parts[0] != "arn" || strings.ContainsAny(parts[1]+parts[2], "*?$") || parts[1] == "" || parts[2] == "":
		return errors.New("need an ARN, whose partition and service have no wildcard; accept * with AllowWildcardResources")
	case strings.Trim(parts[5], "*?/") == "" && !allow.resources:
		return errors.New("is every resource of the service: name those that the tool needs, or accept it with AllowWildcardResources")
	}
	return nil
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
