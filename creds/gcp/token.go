package gcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/internal/rest"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// DefaultLifetime of a token. A token cannot be recalled, so it is short.
const DefaultLifetime = 15 * time.Minute

// A Token says what an access token is for.
type Token struct {
	Scopes   []string      // "https://www.googleapis.com/auth/...", at least one
	Lifetime time.Duration // 1 minute to 1 hour; zero means [DefaultLifetime]. A [KeyFile] gets an hour from Google, of which no more than this is used
	// Boundary narrows the token to some buckets and objects of Cloud Storage, at most
	// ten rules. Nil means that roles and scopes alone decide; a list without rules is
	// refused.
	Boundary []Rule
}

// A Rule is one rule of a credential access boundary. Make one with [Bucket].
type Rule struct {
	bucket, prefix string
	permissions    []string
}

// Bucket allows roles, such as "inRole:roles/storage.objectViewer", on the objects of
// a bucket whose names begin with the prefix; empty means all objects.
func Bucket(name, prefix string, permissions ...string) Rule {
	return Rule{name, prefix, slices.Clone(permissions)}
}

var (
	buckets     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)
	prefixes    = regexp.MustCompile(`^[A-Za-z0-9._/=@ -]{0,256}$`)
	permissions = regexp.MustCompile(`^inRole:(roles|projects/[a-z0-9-]+/roles|organizations/[0-9]+/roles)/[A-Za-z0-9._]{1,100}$`)
	scopes      = regexp.MustCompile(`^https://www\.googleapis\.com/auth/[a-z0-9._-]{1,64}$`)
)

func (r Rule) check() error {
	// What is put into the condition must not be able to end the string it stands in.
	if !buckets.MatchString(r.bucket) || !prefixes.MatchString(r.prefix) || strings.Contains(r.prefix, "..") {
		return fmt.Errorf("bucket %.80q with prefix %.80q: plain names only", r.bucket, r.prefix)
	}
	if len(r.permissions) == 0 || len(r.permissions) > 10 {
		return fmt.Errorf("bucket %q: give 1 to 10 permissions", r.bucket)
	}
	for _, p := range r.permissions {
		if !permissions.MatchString(p) {
			return fmt.Errorf("bucket %q: permission %.80q is not \"inRole:roles/...\"", r.bucket, p)
		}
	}
	return nil
}

// condition is the rule's condition in the Common Expression Language.
func (r Rule) condition() string {
	if r.prefix == "" {
		return ""
	}
	return "resource.name.startsWith('projects/_/buckets/" + r.bucket + "/objects/" + r.prefix + "')" +
		" || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('" + r.prefix + "')"
}

// boundary returns the rules as the security token service wants them.
func boundary(rules []Rule) string {
	type condition struct {
		Expression string `json:"expression"`
	}
	type rule struct {
		Permissions []string   `json:"availablePermissions"`
		Resource    string     `json:"availableResource"`
		Condition   *condition `json:"availabilityCondition,omitempty"`
	}
	out := make([]rule, len(rules))
	for i, r := range rules {
		out[i] = rule{r.permissions, "//storage.googleapis.com/projects/_/buckets/" + r.bucket, nil}
		if text := r.condition(); text != "" {
			out[i].Condition = &condition{text}
		}
	}
	text, _ := json.Marshal(map[string]any{"accessBoundary": map[string]any{"accessBoundaryRules": out}}) //nolint:errchkjson // strings only
	return string(text)
}

// AccessToken returns a provider of access tokens. The plan is the account, the scopes,
// the lifetime and the boundary: whoever is granted the same shares a token.
func AccessToken(conf Config, t Token) creds.Provider {
	if t.Lifetime == 0 {
		t.Lifetime = DefaultLifetime
	}
	t.Scopes, t.Boundary = slices.Clone(t.Scopes), slices.Clone(t.Boundary)
	p := &token{cloud: newCloud(conf), Token: t}
	if p.fault == nil {
		p.plan = "token " + rest.Fingerprint(p.account.email(), strings.Join(t.Scopes, " "), t.Lifetime.String(), boundary(t.Boundary))
	}
	return p
}

type token struct {
	*cloud
	Token
	plan string
}

var (
	_ creds.Checker   = (*token)(nil)
	_ creds.Planner   = (*token)(nil)
	_ creds.Describer = (*token)(nil)
	_ creds.Prober    = (*token)(nil)
)

func (t *token) Check(spec creds.Spec) error {
	faults := []error{t.check(), rest.NoParams(spec)}
	if len(t.Scopes) == 0 || len(t.Scopes) > 16 {
		faults = append(faults, fmt.Errorf("%d scopes: give 1 to 16", len(t.Scopes)))
	}
	for _, scope := range t.Scopes {
		if !scopes.MatchString(scope) {
			faults = append(faults, fmt.Errorf("scope %.80q is not \"https://www.googleapis.com/auth/...\"", scope))
		}
	}
	if t.Lifetime < time.Minute || t.Lifetime > time.Hour {
		faults = append(faults, fmt.Errorf("Token.Lifetime is %v: give 1m to 1h", t.Lifetime))
	}
	if t.Boundary != nil && len(t.Boundary) == 0 {
		faults = append(faults, errors.New("Token.Boundary has no rules: a token that may do nothing is of no use, and nil is one without a boundary"))
	}
	if len(t.Boundary) > 10 {
		faults = append(faults, fmt.Errorf("Token.Boundary has %d rules: Google takes 10", len(t.Boundary)))
	}
	for _, rule := range t.Boundary {
		faults = append(faults, rule.check())
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("gcp: %w", err)
	}
	return nil
}

func (t *token) Plan(creds.Spec, creds.Request) (string, error) {
	if t.fault != nil {
		return "", fmt.Errorf("gcp: %w", t.fault)
	}
	return t.plan, nil
}

func (t *token) Issue(ctx context.Context, spec creds.Spec, _ creds.Request) (creds.Material, error) {
	if err := t.Check(spec); err != nil {
		return creds.Material{}, err
	}
	asked := t.now()
	b, err := t.account.token(ctx, t.cloud, t.Scopes, t.Lifetime)
	if err != nil {
		return creds.Material{}, wrap("issuing a token", err)
	}
	record := mcpsec.Credential{Provider: "gcp", Role: t.account.email()}
	if len(t.Boundary) > 0 {
		if b, err = t.narrow(ctx, b); err != nil {
			return creds.Material{}, wrap("narrowing the token", err)
		}
		record.Policy = rest.Digest(boundary(t.Boundary))
	}
	if last := asked.Add(t.Lifetime); last.Before(b.expires) {
		b.expires = last
	}
	return creds.Material{Secret: b.token.Value(), Expires: b.expires, Record: record}, nil
}

// narrow exchanges a token for one with a credential access boundary.
func (t *token) narrow(ctx context.Context, b bearer) (bearer, error) {
	defer clear(b.token)
	return t.exchange(ctx, url.Values{
		"grant_type": {exchangeGrant}, "requested_token_type": {accessToken},
		"subject_token": {string(b.token)}, "subject_token_type": {accessToken}, "options": {boundary(t.Boundary)},
	}, b.token, &b.expires)
}

func (t *token) Describe(creds.Spec, creds.Request) (creds.Access, error) {
	if t.fault != nil {
		return creds.Access{}, fmt.Errorf("gcp: %w", t.fault)
	}
	a := creds.Access{Identity: t.account.email(), Lifetime: t.Lifetime}
	for _, r := range t.Boundary {
		a.Rules = append(a.Rules, creds.Rule{Actions: r.permissions, Resources: []string{"bucket " + r.bucket}, When: r.condition()})
	}
	if len(t.Boundary) == 0 {
		a.Rules = []creds.Rule{{Actions: t.Scopes, Resources: []string{"what the roles of the account allow"}}}
	} else {
		a.Policy = boundary(t.Boundary)
	}
	if slices.Contains(t.Scopes, platformScope) && len(t.Boundary) == 0 {
		a.Notes = append(a.Notes, "The scope cloud-platform leaves everything to the roles of the account.")
	}
	if _, ok := t.account.(KeyFile); ok {
		a.Notes = append(a.Notes, "The account's key is a file that is good for ever: prefer a Federation.")
	}
	return a, nil
}

// Probe gets a token and forgets it.
func (t *token) Probe(ctx context.Context, spec creds.Spec) (creds.Access, error) {
	m, err := t.Issue(ctx, spec, creds.Request{})
	m.Secret.Close()
	if err != nil {
		return creds.Access{}, err
	}
	return t.Describe(spec, creds.Request{})
}
