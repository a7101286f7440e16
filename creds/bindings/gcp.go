package bindings

import (
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/gcp"
)

// A gcpAccount is a service account, impersonated with a token of the platform or, as
// the weakest choice, with its own key.
type gcpAccount struct {
	ServiceAccount   string        `json:"serviceAccount"`
	Audience         string        `json:"audience,omitempty"`
	Token            *reference    `json:"token,omitempty"`
	TokenType        string        `json:"tokenType,omitempty"`
	KeyFile          *reference    `json:"keyFile,omitempty"`
	Endpoints        *gcpEndpoints `json:"endpoints,omitempty"`
	Roots            string        `json:"roots,omitempty"` // path of a PEM file
	InsecureLoopback bool          `json:"insecureLoopback,omitempty"`
}

type gcpEndpoints struct {
	STS     string `json:"sts,omitempty"`
	IAM     string `json:"iam,omitempty"`
	Secrets string `json:"secrets,omitempty"`
	OAuth   string `json:"oauth,omitempty"`
}

func (a *gcpAccount) open(d *decoder, at place) any {
	conf := gcp.Config{Roots: d.content(at.in("roots"), a.Roots), InsecureLoopback: a.InsecureLoopback}
	if a.Endpoints != nil {
		conf.Endpoints = gcp.Endpoints(*a.Endpoints)
	}
	switch {
	case (a.Token == nil) == (a.KeyFile == nil):
		d.faultf(at, "needs one of token and keyFile")
		return nil
	case a.KeyFile != nil:
		if a.Audience != "" || a.TokenType != "" {
			d.faultf(at, "audience and tokenType go with a token, and not with a keyFile")
		}
		conf.Account = gcp.KeyFile{Key: d.secret(at.in("keyFile"), a.KeyFile), ServiceAccount: a.ServiceAccount}
	default:
		conf.Account = gcp.Federation{
			Audience: a.Audience, Token: d.secret(at.in("token"), a.Token), TokenType: a.TokenType, ServiceAccount: a.ServiceAccount,
		}
	}
	return &conf
}

const anAccountOfGCP = "a gcp account"

type gcpToken struct {
	Base     string      `json:"base"`
	Scopes   []string    `json:"scopes"`
	Lifetime string      `json:"lifetime,omitempty"`
	Boundary []gcpBucket `json:"boundary,omitempty"`
}

type gcpBucket struct {
	Bucket      string   `json:"bucket"`
	Prefix      string   `json:"prefix,omitempty"`
	Permissions []string `json:"permissions"`
}

func (t *gcpToken) grant(d *decoder, at place, name string) creds.Grant {
	want := gcp.Token{Scopes: t.Scopes, Lifetime: d.duration(at.in("lifetime"), t.Lifetime)}
	if t.Boundary != nil && len(t.Boundary) == 0 {
		d.faultf(at.in("boundary"), "is empty, which would narrow nothing: leave it out or name a bucket")
	}
	for _, b := range t.Boundary {
		want.Boundary = append(want.Boundary, gcp.Bucket(b.Bucket, b.Prefix, b.Permissions...))
	}
	conf := baseOf[*gcp.Config](d, at, t.Base, anAccountOfGCP)
	if conf == nil {
		return creds.Grant{}
	}
	return creds.Named(name, gcp.AccessToken(*conf, want))
}

type gcpSecret struct {
	Base string `json:"base"`
	Name string `json:"name"`
}

func (s *gcpSecret) grant(d *decoder, at place, name string) creds.Grant {
	conf := baseOf[*gcp.Config](d, at, s.Base, anAccountOfGCP)
	if conf == nil {
		return creds.Grant{}
	}
	return creds.Named(name, gcp.Secret(*conf, s.Name))
}
