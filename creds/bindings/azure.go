package bindings

import (
	"github.com/mcpsec/mcpsec-go/creds"
	"github.com/mcpsec/mcpsec-go/creds/azure"
)

// An azureApplication proves who it is with a token of the platform, or with a
// certificate and its key.
type azureApplication struct {
	Tenant           string     `json:"tenant"`
	ClientID         string     `json:"clientId"`
	Token            *reference `json:"token,omitempty"`
	Certificate      *pair      `json:"certificate,omitempty"`
	Authority        string     `json:"authority,omitempty"`
	VaultDomain      string     `json:"vaultDomain,omitempty"`
	Roots            string     `json:"roots,omitempty"` // path of a PEM file
	InsecureLoopback bool       `json:"insecureLoopback,omitempty"`
}

func (a *azureApplication) open(d *decoder, at place) any {
	app := &azure.Application{
		Tenant: a.Tenant, ClientID: a.ClientID, Authority: a.Authority, VaultDomain: a.VaultDomain,
		Roots: d.content(at.in("roots"), a.Roots), InsecureLoopback: a.InsecureLoopback,
	}
	switch {
	case (a.Token == nil) == (a.Certificate == nil):
		d.faultf(at, "needs one of token and certificate")
		return nil
	case a.Token != nil:
		app.Proof = azure.Workload(d.secret(at.in("token"), a.Token))
	default:
		c := a.Certificate.load(d, at.in("certificate"))
		if c == nil {
			return nil
		}
		app.Proof = azure.Certificate(c.Leaf, signer(c))
	}
	return app
}

const anApplicationOfAzure = "an azure application"

type azureToken struct {
	Base  string `json:"base"`
	Scope string `json:"scope"`
}

func (t *azureToken) grant(d *decoder, at place, name string) creds.Grant {
	app := baseOf[*azure.Application](d, at, t.Base, anApplicationOfAzure)
	if app == nil {
		return creds.Grant{}
	}
	return creds.Named(name, azure.AccessToken(*app, t.Scope))
}

type azureSecret struct {
	Base    string `json:"base"`
	Vault   string `json:"vault"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

func (s *azureSecret) grant(d *decoder, at place, name string) creds.Grant {
	app := baseOf[*azure.Application](d, at, s.Base, anApplicationOfAzure)
	if app == nil {
		return creds.Grant{}
	}
	return creds.Named(name, azure.Secret(*app, s.Vault, s.Name, s.Version))
}
