package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/mcpsec"
)

// MaxSecret bounds a secret, in bytes, as Secrets Manager does.
const MaxSecret = 64 << 10

// A provider issues one secret of one store.
type provider struct {
	config
	kind  string // "Secrets Manager" or "Parameter Store"
	id    string // as configured: a name or an ARN
	store store
	http  *client
	now   func() time.Time
}

// A store is where secrets are kept.
type store interface {
	// current returns the version that is in use.
	current(ctx context.Context) (answer, error)
	// look says what a reviewer should know of the secret.
	look(ctx context.Context) ([]string, error)
	// action is the IAM action that reading takes.
	action() string
}

// An answer is one version of a secret.
type answer struct {
	arn     string
	version string
	secret  []byte
	request string // id of the request, as CloudTrail has it
}

var (
	_ creds.Checker   = (*provider)(nil)
	_ creds.Planner   = (*provider)(nil)
	_ creds.Describer = (*provider)(nil)
	_ creds.Prober    = (*provider)(nil)
	_ io.Closer       = (*provider)(nil)
)

// newProvider returns a provider without a store.
func newProvider(kind, id string, opts []Option) *provider {
	p := &provider{config: newConfig(opts), kind: kind, id: id, now: time.Now}
	p.http = newClient(p.client)
	return p
}

// place settles the region of a secret of which an ARN may say it too.
func (p *provider) place(at arn.ARN) {
	switch {
	case p.region == "":
		p.region = at.Region
	case at.Region != "" && at.Region != p.region:
		p.faultf("secrets.Region: %s, but the ARN is in %s", p.region, at.Region)
	}
	if p.region == "" {
		p.faultf("need secrets.Region")
	}
	if at.AccountID != "" && len(p.accounts) > 0 && !slices.Contains(p.accounts, at.AccountID) {
		p.faultf("secrets.Accounts: account %s of the ARN is none of them", at.AccountID)
	}
}

// Check implements [creds.Checker]: it says what is wrong with the name and the options.
func (p *provider) Check(s creds.Spec) error {
	faults := slices.Clone(p.faults)
	for key := range s.Params() {
		faults = append(faults, fmt.Errorf("it takes no parameter %q: use the options of package secrets", key))
	}
	return p.because(errors.Join(faults...))
}

// Plan implements [creds.Planner]: the secret is the same for all who may have it.
func (*provider) Plan(creds.Spec, creds.Request) (string, error) { return "shared", nil }

// Issue implements [creds.Provider].
func (p *provider) Issue(ctx context.Context, _ creds.Spec, _ creds.Request) (creds.Material, error) {
	a, err := p.read(ctx)
	defer clear(a.secret)
	if err != nil {
		return creds.Material{}, p.because(err)
	}
	secret, parts, err := p.content(a.secret)
	if err != nil {
		return creds.Material{}, p.because(err)
	}
	return creds.Material{
		Secret: secret, Parts: parts, Version: a.version, Expires: p.now().Add(p.poll),
		Record: mcpsec.Credential{Provider: "aws " + p.store.action(), Role: a.arn, KeyID: a.version},
		Public: map[string]string{"region": p.region, "request": a.request},
	}, nil
}

// read returns the current version, if it may be issued.
func (p *provider) read(ctx context.Context) (answer, error) {
	if len(p.faults) > 0 {
		return answer{}, errors.Join(p.faults...)
	}
	a, err := p.store.current(ctx)
	if err == nil {
		err = p.judge(a)
	}
	return a, err
}

func (p *provider) judge(a answer) error {
	at, err := arn.Parse(a.arn)
	switch {
	case err != nil:
		return unreadable("it has no ARN")
	case at.Region != p.region:
		return fmt.Errorf("the secret is in region %s, not in %s", word(at.Region), p.region)
	case len(p.accounts) > 0 && !slices.Contains(p.accounts, at.AccountID):
		return fmt.Errorf("the secret is in account %s, which is none of secrets.Accounts: the base credentials are of the wrong account", word(at.AccountID))
	case a.version == "" || len(a.version) > 64:
		return unreadable("it has no version")
	case len(a.secret) == 0:
		return errors.New("the secret is empty")
	case len(a.secret) > MaxSecret:
		return fmt.Errorf("the secret has more than %d bytes", MaxSecret)
	}
	return nil
}

// Describe implements [creds.Describer].
func (p *provider) Describe(s creds.Spec, _ creds.Request) (creds.Access, error) {
	if err := p.Check(s); err != nil {
		return creds.Access{}, err
	}
	a := creds.Access{
		Identity: p.String(), Lifetime: p.poll,
		Notes: []string{"The tool can do whatever the secret opens: AWS cannot narrow it to a call."},
	}
	if !p.whole {
		a.Notes = append(a.Notes, fmt.Sprintf("Only the member %q of the secret is issued.", p.field))
	}
	return a, nil
}

// Probe implements [creds.Prober]: it reads the secret, and keeps nothing of it.
func (p *provider) Probe(ctx context.Context, s creds.Spec) (creds.Access, error) {
	access, err := p.Describe(s, creds.Request{})
	if err != nil {
		return creds.Access{}, err
	}
	m, err := p.Issue(ctx, s, creds.Request{})
	if err != nil {
		return creds.Access{}, err
	}
	m.Secret.Close()
	for _, part := range m.Parts {
		part.Close()
	}
	access.Identity = m.Record.Role
	notes, err := p.store.look(ctx)
	if err != nil {
		notes = []string{"Its state could not be looked at: " + err.Error()}
	}
	access.Notes = append(access.Notes, notes...)
	return access, nil
}

// Close gives up idle connections.
func (p *provider) Close() error {
	p.http.close()
	return nil
}

// String says which secret this is.
func (p *provider) String() string {
	what := p.kind + " " + p.id
	if !p.whole {
		what += " member " + p.field
	}
	return what + " in " + p.region
}

// Format writes what String returns, for every verb: what the options hold is nobody's
// business.
func (p *provider) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

func (p *provider) because(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", p.kind, word(p.id), err)
}
