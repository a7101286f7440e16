package allowlist

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// A Rule says what some principals may use. Begin one with [Anyone], [Subject],
// [Scope] or [Who]; the methods return a rule that allows more, and leave the
// receiver as it was. The zero Rule matches nobody and is refused by New.
type Rule struct {
	who       func(mcpsec.Principal) bool
	faults    []string
	tools     []string
	allTools  bool
	prompts   []string
	resources []string // exact, or a prefix that ends in "*"
	methods   []string
	questions []string
}

// Anyone begins a rule for every principal, the anonymous one included.
func Anyone() Rule { return Who(func(mcpsec.Principal) bool { return true }) }

// Subject begins a rule for one principal: how it is known, by whom, and its name
// there. For a local process the issuer is empty and the subject is "uid:1000".
func Subject(rung mcpsec.Rung, issuer, subject string) Rule {
	r := Who(func(p mcpsec.Principal) bool {
		return p.Rung == rung && p.Issuer == issuer && p.Subject == subject
	})
	if subject == "" && rung != mcpsec.Anonymous {
		r.faults = append(r.faults, "Subject needs a subject")
	}
	return r
}

// Scope begins a rule for principals whose verified token was granted every scope.
func Scope(scopes ...string) Rule {
	r := Who(func(p mcpsec.Principal) bool {
		if p.Rung != mcpsec.Token {
			return false
		}
		for _, s := range scopes {
			if !slices.Contains(p.Scopes, s) {
				return false
			}
		}
		return true
	})
	if len(scopes) == 0 || slices.Contains(scopes, "") {
		r.faults = append(r.faults, "Scope needs scopes that are not empty")
	}
	return r
}

// Who begins a rule for the principals that match. The function must be fast and
// safe for concurrent use; a panic in it refuses the call.
func Who(match func(mcpsec.Principal) bool) Rule { return Rule{who: match} }

// Tools allows the tools of exactly these names.
func (r Rule) Tools(names ...string) Rule {
	r.faults = need(r.faults, "Tools", names)
	r.tools = extend(r.tools, names)
	return r
}

// AllTools allows every tool the server offered when it was sealed.
func (r Rule) AllTools() Rule {
	r.allTools = true
	return r
}

// Prompts allows the prompts of exactly these names, and their completions.
func (r Rule) Prompts(names ...string) Rule {
	r.faults = need(r.faults, "Prompts", names)
	r.prompts = extend(r.prompts, names)
	return r
}

// Resources allows reading, subscribing to and completing the resources of exactly
// these URIs; a URI that ends in "*" stands for all that begin like it. A template
// is listed to those who may read what its URI template begins with.
func (r Rule) Resources(uris ...string) Rule {
	r.faults = need(r.faults, "Resources", uris)
	r.resources = extend(r.resources, uris)
	return r
}

// Methods allows other methods by name, such as a custom one or
// "logging/setLevel".
func (r Rule) Methods(methods ...string) Rule {
	r.faults = need(r.faults, "Methods", methods)
	r.methods = extend(r.methods, methods)
	return r
}

// MayAsk allows handlers that run for the principal to send these requests to its
// client: "elicitation/create", "sampling/createMessage", "roots/list".
func (r Rule) MayAsk(methods ...string) Rule {
	for _, m := range methods {
		if m != "elicitation/create" && m != "sampling/createMessage" && m != "roots/list" {
			r.faults = extend(r.faults, []string{fmt.Sprintf("MayAsk knows no request %q", m)})
		}
	}
	r.faults = need(r.faults, "MayAsk", methods)
	r.questions = extend(r.questions, methods)
	return r
}

func need(faults []string, what string, names []string) []string {
	if len(names) == 0 || slices.Contains(names, "") {
		return extend(faults, []string{what + " needs names that are not empty"})
	}
	return faults
}

// extend never writes to memory that another rule holds.
func extend(a, b []string) []string { return append(slices.Clip(a), b...) }

func (r Rule) check() error {
	if r.who == nil {
		return errors.New("matches nobody: begin with Anyone, Subject, Scope or Who")
	}
	if len(r.faults) > 0 {
		return errors.New(strings.Join(r.faults, "; "))
	}
	if !r.allTools && len(r.tools)+len(r.prompts)+len(r.resources)+len(r.methods)+len(r.questions) == 0 {
		return errors.New("allows nothing: name tools, prompts, resources or methods")
	}
	return nil
}

func (r Rule) allows(call *mcpsec.Call) bool {
	return r.covers(call) && r.who(call.Principal)
}

func (r Rule) covers(call *mcpsec.Call) bool {
	if call.Outgoing {
		return slices.Contains(r.questions, call.Method)
	}
	switch call.Method {
	case "tools/call":
		return r.allTools || slices.Contains(r.tools, call.Name)
	case "prompts/get":
		return slices.Contains(r.prompts, call.Name)
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return r.coversResource(call.Name)
	case "completion/complete":
		return slices.Contains(r.prompts, call.Name) || r.coversResource(call.Name)
	}
	return slices.Contains(r.methods, call.Method)
}

func (r Rule) coversResource(uri string) bool {
	return slices.ContainsFunc(r.resources, func(allowed string) bool {
		prefix, open := strings.CutSuffix(allowed, "*")
		return allowed == uri || open && strings.HasPrefix(uri, prefix) && !climbs(uri)
	})
}

// climbs reports whether a URI may leave the prefix it begins with once somebody
// resolves its dots, written plainly or as percent escapes.
func climbs(uri string) bool {
	folded := strings.ToLower(uri)
	for _, dots := range []string{"..", "%2e", "%252e", `\`, "%5c"} {
		if strings.Contains(folded, dots) {
			return true
		}
	}
	return false
}
