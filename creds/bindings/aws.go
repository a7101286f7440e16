package bindings

import (
	"context"
	"encoding/json"
	"errors"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/aws"
	"github.com/mcpsec/mcpsec-go/creds/aws/rolesanywhere"
)

const aBaseOfAWS = "awsKeys, awsWebIdentity or awsRolesAnywhere"

type awsKeys struct {
	ID     string     `json:"id"`
	Secret *reference `json:"secret"`
}

func (k *awsKeys) open(d *decoder, at place) any {
	d.required(at, "id", k.ID)
	secret := d.secret(at.in("secret"), k.Secret)
	if secret == nil {
		return nil
	}
	// The base is asked when a credential is needed, and its errors then do not say
	// which file is missing.
	if c, ok := secret.(creds.Checker); ok {
		if err := c.Check(creds.Spec{}); err != nil {
			d.faultf(at.in("secret"), "%w", err)
		}
	}
	return aws.From(longLived{id: k.ID, secret: secret})
}

// longLived is the access key of an IAM user, whose secret is read anew from time to
// time, so that a rotation is seen.
type longLived struct {
	id     string
	secret creds.Provider
}

var errNoSecretKey = errors.New("the secret of awsKeys is empty")

// Retrieve implements the SDK's CredentialsProvider.
func (k longLived) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	m, err := k.secret.Issue(ctx, creds.Spec{}, creds.Request{})
	if err != nil {
		return awssdk.Credentials{}, err
	}
	defer m.Secret.Close()
	secret := m.Secret.Reveal()
	defer clear(secret)
	if len(secret) == 0 {
		return awssdk.Credentials{}, errNoSecretKey
	}
	return awssdk.Credentials{AccessKeyID: k.id, SecretAccessKey: string(secret), Source: "mcpsec"}, nil
}

type awsWebIdentity struct {
	Role      string `json:"role"`
	TokenFile string `json:"tokenFile"`
	Audience  string `json:"audience"`
	Region    string `json:"region"`
	Endpoint  string `json:"endpoint,omitempty"`
}

func (w *awsWebIdentity) open(d *decoder, at place) any {
	opts := []aws.Option{aws.Region(w.Region)}
	if w.Endpoint != "" {
		opts = append(opts, aws.Endpoint(w.Endpoint))
	}
	b := aws.WebIdentity(w.Role, d.path(at.in("tokenFile"), w.TokenFile), w.Audience, opts...)
	if err := b.Check(); err != nil {
		d.faultf(at, "%w", err)
	}
	return b
}

type awsRolesAnywhere struct {
	TrustAnchor string `json:"trustAnchor"`
	Profile     string `json:"profile"`
	Role        string `json:"role"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Region      string `json:"region,omitempty"`
	Duration    string `json:"duration,omitempty"`
	Endpoint    string `json:"endpoint,omitempty"`
}

func (r *awsRolesAnywhere) open(d *decoder, at place) any {
	p, err := rolesanywhere.New(rolesanywhere.Config{
		TrustAnchorARN: r.TrustAnchor, ProfileARN: r.Profile, RoleARN: r.Role, Region: r.Region,
		Certificate: rolesanywhere.Files(d.path(at.in("certificate"), r.Certificate), d.path(at.in("key"), r.Key)),
		Duration:    d.duration(at.in("duration"), r.Duration), Endpoint: r.Endpoint,
	})
	if err != nil {
		d.faultf(at, "%w", err)
		return nil
	}
	return aws.From(p)
}

// An awsRole is assumed with a base, or with the workload's own token.
type awsRole struct {
	Role       string   `json:"role"`
	Base       string   `json:"base,omitempty"`
	TokenFile  string   `json:"tokenFile,omitempty"`
	Audience   string   `json:"audience,omitempty"`
	Region     string   `json:"region"`
	Endpoint   string   `json:"endpoint,omitempty"`
	Accounts   []string `json:"accounts,omitempty"`
	ExternalID string   `json:"externalId,omitempty"`
	Duration   string   `json:"duration,omitempty"`
	Maximum    string   `json:"roleMaximum,omitempty"`

	SessionPolicy          json.RawMessage   `json:"sessionPolicy,omitempty"` // as in IAM, with placeholders
	PolicyARNs             []string          `json:"policyArns,omitempty"`
	Tags                   map[string]string `json:"tags,omitempty"`
	PrincipalTags          map[string]string `json:"principalTags,omitempty"` // by key: issuer, subject, tenant, client, identity
	TransitiveTags         []string          `json:"transitiveTags,omitempty"`
	InheritedTags          []string          `json:"inheritedTags,omitempty"`
	SourceIdentity         string            `json:"sourceIdentity,omitempty"`
	PrincipalIsSource      bool              `json:"principalSourceIdentity,omitempty"`
	SharedSession          bool              `json:"sharedSession,omitempty"`
	Unrestricted           bool              `json:"unrestricted,omitempty"`
	AllowWildcardActions   bool              `json:"allowWildcardActions,omitempty"`
	AllowWildcardResources bool              `json:"allowWildcardResources,omitempty"`
}

func (r *awsRole) grant(d *decoder, at place, name string) creds.Grant {
	opts := append(r.narrowing(d, at), aws.As(name), aws.Region(r.Region))
	if r.Endpoint != "" {
		opts = append(opts, aws.Endpoint(r.Endpoint))
	}
	if r.Accounts != nil {
		opts = append(opts, aws.AllowAccounts(r.Accounts...))
	}
	if r.ExternalID != "" {
		opts = append(opts, aws.ExternalID(r.ExternalID))
	}
	if t := d.duration(at.in("duration"), r.Duration); t != 0 {
		opts = append(opts, aws.Duration(t))
	}
	if t := d.duration(at.in("roleMaximum"), r.Maximum); t != 0 {
		opts = append(opts, aws.RoleMaximum(t))
	}
	if r.TokenFile != "" || r.Audience != "" {
		if r.Base != "" {
			d.faultf(at, "has a base and a token: a role is assumed with one of them")
		}
		return aws.AssumeRoleWithWebIdentity(r.Role, d.path(at.in("tokenFile"), r.TokenFile), r.Audience, opts...)
	}
	return aws.AssumeRole(r.Role, append(opts, aws.Using(baseOf[*aws.Base](d, at, r.Base, aBaseOfAWS)))...)
}
