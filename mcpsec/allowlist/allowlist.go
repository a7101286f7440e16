package allowlist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpsec/mcpsec-go/mcpsec"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

var codeDenied = mcpsec.Code{
	Name: "allowlist.denied", Kind: mcpsec.NotFound,
	Meaning: "No rule allows this principal the operation; on the wire it looks as if the operation did not exist.",
	Remedy:  "If the caller should have it, add a rule for its principal as the audit record spells it; if not, nothing.",
}

// Codes lists the refusal codes of this package.
func Codes() []mcpsec.Code { return []mcpsec.Code{codeDenied} }

// A List is the control. It is immutable and safe for concurrent use.
type List struct {
	rules  []Rule
	faults []error
}

var (
	_ mcpsec.Declarer   = (*List)(nil)
	_ mcpsec.Checker    = (*List)(nil)
	_ mcpsec.Authorizer = (*List)(nil)
	_ mcpsec.Sealer     = (*List)(nil)
)

// New makes a control of rules. An operation is allowed if at least one rule
// allows it; without rules nothing is. Faulty rules make mcpsec.New fail.
func New(rules ...Rule) *List {
	l := &List{rules: rules}
	for i, r := range rules {
		if err := r.check(); err != nil {
			l.faults = append(l.faults, fmt.Errorf("rule %d: %w", i+1, err))
		}
	}
	return l
}

// Declare places the control in StageAllow. Two lists in one guard exclude each
// other: put all rules in one.
func (l *List) Declare() mcpsec.Declaration {
	return mcpsec.Declaration{Name: "allowlist", Stage: mcpsec.StageAllow, Sole: true}
}

// Check reports faulty rules.
func (l *List) Check() error { return errors.Join(l.faults...) }

// Seal refuses rules for tools that the server does not offer: a misspelt name
// would otherwise wait for a tool that takes it later.
func (l *List) Seal(_ context.Context, inv *mcpsec.Inventory) error {
	var unknown []string
	for _, r := range l.rules {
		for _, name := range r.tools {
			if !slices.ContainsFunc(inv.Tools, func(t *mcpsec.Tool) bool { return t.Name == name }) {
				unknown = append(unknown, name)
			}
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("rules name tools the server does not offer: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// Wrap refuses what Authorize refuses.
func (l *List) Wrap(next mcpsec.Handler) mcpsec.Handler {
	return func(ctx context.Context, call *mcpsec.Call) (mcp.Result, error) {
		if err := l.Authorize(ctx, call); err != nil {
			return nil, err
		}
		return next(ctx, call)
	}
}

// Authorize returns nil or a *mcpsec.Denial. Lists pass: the guard leaves out of
// them what Authorize refuses. So do the methods that open, probe and close a
// connection, notifications, and subscriptions/listen, whose subscriptions are
// decided one by one.
func (l *List) Authorize(_ context.Context, call *mcpsec.Call) error {
	if !call.Outgoing && open(call.Method) {
		return nil
	}
	for i := range l.rules {
		if l.rules[i].allows(call) {
			return nil
		}
	}
	d := codeDenied.Deny("not allowed")
	d.Detail = fmt.Sprintf("no rule allows %s %q to %s", call.Method, call.Name, call.Principal)
	return d
}

func open(method string) bool {
	switch method {
	case "initialize", "ping", "server/discover", "subscriptions/listen",
		"tools/list", "prompts/list", "resources/list", "resources/templates/list":
		return true
	}
	return strings.HasPrefix(method, "notifications/")
}
