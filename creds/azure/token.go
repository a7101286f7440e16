package azure

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// AccessToken returns a provider of access tokens for a resource: "https://storage.
// azure.com/.default". Entra ID knows no narrower scope for an application. The plan is
// tenant, application and scope: whoever is granted the same shares a token.
func AccessToken(app Application, scope string) creds.Provider {
	d := newDirectory(app)
	return &token{d, scope, "token " + rest.Fingerprint(d.endpoint, d.app.ClientID, scope)}
}

type token struct {
	*directory
	scope, plan string
}

var (
	_ creds.Checker   = (*token)(nil)
	_ creds.Planner   = (*token)(nil)
	_ creds.Describer = (*token)(nil)
	_ creds.Prober    = (*token)(nil)
)

var scopes = regexp.MustCompile(`^(https|api)://[A-Za-z0-9][A-Za-z0-9./-]{0,250}/\.default$`)

func (t *token) Check(spec creds.Spec) error {
	faults := []error{t.check(), rest.NoParams(spec)}
	if !scopes.MatchString(t.scope) {
		faults = append(faults, fmt.Errorf("scope %.120q is not \"https://RESOURCE/.default\"", t.scope))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("azure: %w", err)
	}
	return nil
}

func (t *token) Plan(creds.Spec, creds.Request) (string, error) {
	return t.plan, nil
}

func (t *token) Issue(ctx context.Context, spec creds.Spec, _ creds.Request) (creds.Material, error) {
	if err := t.Check(spec); err != nil {
		return creds.Material{}, err
	}
	secret, expires, err := t.token(ctx, t.scope)
	if err != nil {
		return creds.Material{}, wrap("issuing a token for "+t.scope, err)
	}
	return creds.Material{
		Secret: secret.Value(), Expires: expires,
		Record: mcpsec.Credential{Provider: "azure", Role: t.app.ClientID},
	}, nil
}

func (t *token) Describe(creds.Spec, creds.Request) (creds.Access, error) {
	return creds.Access{
		Identity: "application " + t.app.ClientID + " of tenant " + t.app.Tenant,
		Rules:    []creds.Rule{{Actions: []string{"what its role assignments allow"}, Resources: []string{t.scope}}},
		Notes:    []string{"One token of an application cannot be narrower than its roles."},
	}, nil
}

// Probe gets a token and forgets it.
func (t *token) Probe(ctx context.Context, spec creds.Spec) (creds.Access, error) {
	m, err := t.Issue(ctx, spec, creds.Request{})
	m.Secret.Close()
	if err != nil {
		return creds.Access{}, err
	}
	a, err := t.Describe(spec, creds.Request{})
	a.Lifetime = m.Expires.Sub(t.now()).Round(1e9)
	return a, err
}
